"""The gateways that services bring along: those that name an address at which they are asked by JSON-RPC, and those
that have methods with `@http` (architecture §15.16)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from tautomer.errors import BrokerOptionsError
from tautomer.service import Service
from tautomer.web.entrypoint.mark import EXTRA
from tautomer.web.service import ApiGatewayService

__all__ = ["DEFAULT_ADDRESS", "gateways_of", "http_gateway", "parse_address"]

DEFAULT_ADDRESS: Final = "0.0.0.0:8000"

_ADDRESS = re.compile(r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]*)):)?(?P<port>[0-9]{1,5})")


def parse_address(address: str) -> dict[str, Any]:
    """Settings of a gateway for ``[address:]port`` or ``unix:/path``: a port alone is that of all interfaces.

    Raises:
        BrokerOptionsError: It is none.
    """
    if address.startswith("unix:/"):
        return {"socket": address[5:]}
    found = _ADDRESS.fullmatch(address.strip())
    if found is None or int(found["port"]) > 65_535:
        raise BrokerOptionsError(
            f"misconfigured bind address `{address}`: it should be `[address:]port`, or `unix:/path`"
        )
    return {"ip": found["six"] or found["host"] or "0.0.0.0", "port": int(found["port"])}


def http_gateway(services: Iterable[Service], address: str | None, timeout: float | None) -> ApiGatewayService | None:
    """The gateway for methods with `@http`, or None: there are none, or one of the services is a gateway already.

    Args:
        address: None for ``0.0.0.0:8000``, nameko's.
        timeout: Seconds that a request may take, or None.

    Raises:
        BrokerOptionsError: As `parse_address`.
    """
    services = list(services)
    if any(isinstance(service, ApiGatewayService) and service.options.http is not None for service in services):
        return None
    if not any(EXTRA in one.extra for service in services for one in service.action_defs()):
        return None
    http = {} if timeout is None else {"callOptions": {"timeout": timeout}}
    return ApiGatewayService("http", settings={**parse_address(address or DEFAULT_ADDRESS), "http": http})


def gateways_of(services: Iterable[Service]) -> list[ApiGatewayService]:
    """One gateway for each address, with an endpoint for each path that a service names (`rpc_address`)."""
    doors: dict[tuple[str, int], dict[str, list[Service]]] = {}
    for service in services:
        address = getattr(service, "rpc_address", None)
        if address is not None:
            host, port, path = address
            doors.setdefault((host, port), {}).setdefault(path, []).append(service)
    return [
        ApiGatewayService(
            "rpc" if number == 1 else f"rpc-{number}",
            settings={
                "ip": host,
                "port": port,
                "openapi": False,
                "http": False,
                "routes": [_route(path, here) for path, here in paths.items()],
            },
        )
        for number, ((host, port), paths) in enumerate(doors.items(), 1)
    ]


def _route(path: str, services: list[Service]) -> dict[str, Any]:
    old = any(getattr(service, "answers_gemstone", False) for service in services)
    return {"path": path, "jsonrpc": {"services": [one.full_name for one in services], "null_errors": old}}
