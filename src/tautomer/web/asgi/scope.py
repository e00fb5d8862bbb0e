"""From a `Request` to an ASGI scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from tautomer.web.asgi.types import Scope
from tautomer.web.messages.message import Request

__all__ = ["ROOT_PATH", "SCOPE", "scope_of"]

ROOT_PATH: Final = "root_path"
"""Key in `Request.locals`: the part of the path that stands before the gateway's, where there is any."""

SCOPE: Final = "scope"
"""Key in `Request.locals`: the scope as ASGI middlewares left it, with `user`, `session` and what else they put there."""


def scope_of(request: Request, below: str = "", state: dict[str, object] | None = None) -> Scope:
    """The scope of one request (ASGI HTTP, version 2.4).

    `path` is the one that the gateway has decoded, checked and routed by. What middlewares have put into an earlier scope
    of the request is in this one, too.

    Args:
        below: The part of the request's path at which the application stands.
        state: What its lifespan has prepared.
    """
    left: Mapping[str, Any] = request.locals.get(SCOPE, {})  # type: ignore[assignment]  # By `take_over` only.
    root = str(request.locals.get(ROOT_PATH, ""))
    path = request.target.partition("?")[0]
    if path[:1] != "/":
        path = quote(root + request.path)
    return {
        **left,
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": request.http_version,
        "method": request.method,
        "scheme": request.scheme,
        "path": root + request.path,
        "raw_path": path.encode("ascii"),
        "query_string": request.query_string.encode("latin-1"),
        "root_path": root + below,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.pairs],
        "client": (request.client, 0) if request.client else None,
        "server": None,
        "extensions": {},
        "state": {**(state or {}), **left.get("state", {})},
    }
