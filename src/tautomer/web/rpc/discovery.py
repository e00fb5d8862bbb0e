"""The OpenRPC document of an endpoint: a pure function of what it leads to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tautomer.validation.json_schema import json_schema
from tautomer.web.rpc.methods import MethodTable, Target
from tautomer.web.settings.records import GatewaySettings, OpenApiSettings

__all__ = ["openrpc_document"]

OPENRPC: Final = "1.3.2"
_TEXT_MAX: Final = 10_000


def openrpc_document(methods: MethodTable, gateway: GatewaySettings) -> dict[str, Any]:
    """All methods that a client can call now. Title and version are those of the gateway's OpenAPI document."""
    told = gateway.openapi or OpenApiSettings()
    return {
        "openrpc": OPENRPC,
        "info": {"title": told.title, "version": told.version},
        "methods": [_method(methods.own_name(target), target) for target in methods.all()],
    }


def _method(name: str, target: Target) -> dict[str, Any]:
    entry = target.entry
    schema = json_schema(entry["params"]) if entry.get("params") is not None else {}
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = schema.get("required", ())
    order = [one.lstrip("*") for one in target.order or ()]
    names = [*[one for one in order if one in properties], *[one for one in properties if one not in order]]
    params = [
        # The standard of this document: what is required stands first.
        {"name": one, "schema": properties[one], "required": one in required}
        for one in sorted(names, key=lambda one: one not in required)
    ]
    returns = entry.get("returns")
    method: dict[str, Any] = {
        "name": name,
        "params": params,
        "paramStructure": "either" if target.order is not None else "by-name",
        "result": {"name": "result", "schema": {} if returns is None else _rule_schema(returns)},
    }
    description = entry.get("description")
    if isinstance(description, str) and description:
        method["description"] = description[:_TEXT_MAX]
        method["summary"] = description.splitlines()[0][:200]
    if target.private:
        method["x-private"] = True
    return method


def _rule_schema(rule: Any) -> Any:
    found: Any = json_schema({"result": rule}).get("properties", {}).get("result", {})
    return found
