"""The types of ASGI (https://asgi.readthedocs.io, version 3.0)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

__all__ = ["App", "AppFactory", "ClientLeft", "Message", "Receive", "Scope", "Send"]

Scope: TypeAlias = "MutableMapping[str, Any]"
Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
App: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"
AppFactory: TypeAlias = "Callable[[App], App]"
"""An ASGI middleware with its options: an application in, the one around it out."""


class ClientLeft(Exception):
    """The client went away before all was said."""
