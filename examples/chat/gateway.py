"""The chat's door: the page, and the WebSockets at /ws."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Any

from tautomer import ApiGatewayService
from tautomer.web.errors import UnauthorizedError

POLICY = {
    # Nothing from elsewhere, nothing inline, and no text that becomes code.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Gateway(ApiGatewayService):
    name = "api"
    settings = {
        "ip": "127.0.0.1",
        "port": int(os.environ.get("PORT", "5000")),
        "openapi": False,
        "assets": {"folder": str(Path(__file__).parent / "page"), "headers": POLICY},
        "websocket": {"authentication": True, "max_message": 16 * 1024, "max_connections": 1000},
    }

    # "token=Name, token=Name": names that nobody else may bear. Without a token one is a guest.
    tokens = dict(pair.strip().split("=", 1) for pair in os.environ.get("CHAT_TOKENS", "").split(",") if "=" in pair)

    async def authenticate(self, ctx: Any, route: Any, request: Any) -> dict[str, str] | None:
        """Before the handshake. Scripts of a page can set no header, so theirs is in the query."""
        bearer = (request.header("authorization") or "").partition(" ")[2]
        given = str(bearer or request.query.get("token", ""))
        if not given:
            return None
        for token, name in self.tokens.items():
            if hmac.compare_digest(token.encode(), given.encode()):
                return {"name": name}
        raise UnauthorizedError("the token is not known")
