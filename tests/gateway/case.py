"""Case and Gateway: what is asked of whom. Plain data, equal for Node.js and for us."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

SERVICES: Final = ("test", "posts", "answers", "errors", "guarded", "users", "dotted", "hyphen", "files")


@dataclass(frozen=True)
class Function:
    """Stands in settings for the function of this name in functions.py and in node/functions.js."""

    name: str


@dataclass(frozen=True)
class Case:
    """Requests, each on a connection of its own, one after the other. All answers count.

    Attributes:
        name: Unique in its gateway.
        requests: Exact bytes.
        raw: The head is not what an HTTP client would send, so other servers answer it themselves or tidy it
            before the gateway sees it: it is sent through our own server only.
    """

    name: str
    requests: tuple[bytes, ...]
    raw: bool = False


@dataclass(frozen=True, eq=False)
class Gateway:
    """One gateway and the requests to it.

    Attributes:
        name: File name of its recording.
        settings: As moleculer-web takes them; functions as `Function`, expressions compiled.
        services: Names of the services in its node.
        methods: Methods of the gateway's service, by name.
    """

    name: str
    settings: Mapping[str, Any]
    cases: tuple[Case, ...]
    services: tuple[str, ...] = SERVICES
    methods: Mapping[str, Function] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [case.name for case in self.cases]
        twice = {name for name in names if names.count(name) > 1}
        assert not twice, f"{self.name}: {twice}"

    def for_node(self) -> dict[str, Any]:
        """As JSON, for node/gateway.js."""
        return {
            "settings": for_node(self.settings),
            "services": list(self.services),
            "methods": for_node(self.methods),
        }


def for_node(value: Any) -> Any:
    """Functions and expressions as JSON says them."""
    if isinstance(value, Function):
        return {"$function": value.name}
    if isinstance(value, re.Pattern):
        return {"$regexp": value.pattern}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, Mapping):
        return {key: for_node(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [for_node(one) for one in value]
    return value


# --- requests ---


def head(method: str, target: str, headers: Mapping[str, str | None] | None = None, length: int | None = None) -> bytes:
    """A request head. A header of value None is left out."""
    lines = {"Host": "gateway.test", "Connection": "close", **(headers or {})}
    if length is not None:
        lines.setdefault("Content-Length", str(length))
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{method} {target} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


def ask(
    method: str,
    target: str,
    headers: Mapping[str, str | None] | None = None,
    body: bytes | None = None,
    name: str = "",
    times: int = 1,
    raw: bool = False,
) -> Case:
    """A well-formed request, or the same several times."""
    request = head(method, target, headers, None if body is None else len(body)) + (body or b"")
    return Case(name or f"{method} {target}", (request,) * times, raw)


def get(target: str, headers: Mapping[str, str | None] | None = None, name: str = "", times: int = 1) -> Case:
    return ask("GET", target, headers, None, name, times)


def gets(*targets: str) -> tuple[Case, ...]:
    return tuple(get(target) for target in targets)


def send(method: str, target: str, kind: str | None, body: bytes, name: str = "", **headers: str) -> Case:
    """A request with a body of this content type. Underscores in the names of headers are dashes."""
    lines = {key.replace("_", "-"): value for key, value in headers.items()}
    if kind is not None:
        lines["Content-Type"] = kind
    return ask(method, target, lines, body, name or f"{method} {target} {kind} {body[:60].decode(errors='replace')}")


def post(target: str, value: Any, name: str = "", method: str = "POST", **headers: str) -> Case:
    """A value as JSON."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return send(method, target, "application/json", body, name or f"{method} {target} {body.decode()[:90]}", **headers)


def several(name: str, *cases: Case) -> Case:
    """The requests of these cases as one."""
    return Case(name, tuple(request for case in cases for request in case.requests), any(case.raw for case in cases))


def raw(name: str, request: bytes) -> Case:
    return Case(name, (request,), raw=True)
