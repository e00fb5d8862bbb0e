"""The edge: HTTP to actions. Names are imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tautomer.web.answers.file_reply import FileReply
    from tautomer.web.answers.redirect import send_redirect
    from tautomer.web.messages.message import Reply, Request
    from tautomer.web.service import ApiGatewayService

__all__ = ["ApiGatewayService", "FileReply", "Reply", "Request", "send_redirect"]

_LAZY = {
    "ApiGatewayService": "tautomer.web.service",
    "FileReply": "tautomer.web.answers.file_reply",
    "Reply": "tautomer.web.messages.message",
    "Request": "tautomer.web.messages.message",
    "send_redirect": "tautomer.web.answers.redirect",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'tautomer.web' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(module), name)
    globals()[name] = found
    return found
