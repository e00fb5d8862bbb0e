"""tautomer: Python microservices in one mesh with Node.js.

The names of the edge (gateway, commands, runner) are imported on first use, so that a service pays for
what it uses: of third parties, this imports msgspec only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tautomer import errors
from tautomer._version import __version__
from tautomer.broker import Broker, ServiceBroker
from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.middleware import Middleware
from tautomer.service import Service
from tautomer.settings import Settings
from tautomer.stream import Stream

if TYPE_CHECKING:
    from tautomer.application import Application, HTTPProxy
    from tautomer.client import AsyncRemoteClient, RemoteClient, RemoteService
    from tautomer.commands.collapser import Collapser
    from tautomer.commands.command import Command
    from tautomer.commands.component import component
    from tautomer.commands.function import command
    from tautomer.commands.proxy import HTTPProxyCommand
    from tautomer.commands.request_cache import request_context
    from tautomer.microservice import MicroService, ServiceRegistry
    from tautomer.runner import run
    from tautomer.web.decorators import exposed_method, private_api_method, public_method
    from tautomer.web.errors import ConnectionNotFound
    from tautomer.web.rpc.tokens import BaseValidationStrategy, BasicCookieStrategy, HeaderValidationStrategy
    from tautomer.web.service import ApiGatewayService
    from tautomer.web.sockets.hub import WebSocketHub, WebSocketHubProvider
    from tautomer.web.sockets.marks import websocket_rpc

__all__ = [
    "ApiGatewayService",
    "Application",
    "AsyncRemoteClient",
    "BaseValidationStrategy",
    "BasicCookieStrategy",
    "Broker",
    "Collapser",
    "Command",
    "ConnectionNotFound",
    "Context",
    "HTTPProxy",
    "HTTPProxyCommand",
    "HeaderValidationStrategy",
    "MicroService",
    "Middleware",
    "RemoteClient",
    "RemoteService",
    "Service",
    "ServiceBroker",
    "ServiceRegistry",
    "Settings",
    "Stream",
    "WebSocketHub",
    "WebSocketHubProvider",
    "__version__",
    "action",
    "command",
    "component",
    "errors",
    "event",
    "exposed_method",
    "private_api_method",
    "public_method",
    "request_context",
    "run",
    "websocket_rpc",
]

_LAZY = {
    "ApiGatewayService": "tautomer.web.service",
    "Application": "tautomer.application",
    "AsyncRemoteClient": "tautomer.client",
    "BaseValidationStrategy": "tautomer.web.rpc.tokens",
    "BasicCookieStrategy": "tautomer.web.rpc.tokens",
    "Collapser": "tautomer.commands.collapser",
    "Command": "tautomer.commands.command",
    "HTTPProxy": "tautomer.application",
    "HTTPProxyCommand": "tautomer.commands.proxy",
    "HeaderValidationStrategy": "tautomer.web.rpc.tokens",
    "MicroService": "tautomer.microservice",
    "RemoteClient": "tautomer.client",
    "RemoteService": "tautomer.client",
    "ServiceRegistry": "tautomer.microservice",
    "command": "tautomer.commands.function",
    "component": "tautomer.commands.component",
    "exposed_method": "tautomer.web.decorators",
    "private_api_method": "tautomer.web.decorators",
    "public_method": "tautomer.web.decorators",
    "request_context": "tautomer.commands.request_cache",
    "run": "tautomer.runner",
    "ConnectionNotFound": "tautomer.web.errors",
    "WebSocketHub": "tautomer.web.sockets.hub",
    "WebSocketHubProvider": "tautomer.web.sockets.hub",
    "websocket_rpc": "tautomer.web.sockets.marks",
}


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'tautomer' has no attribute {name!r}")
    from importlib import import_module

    found = getattr(import_module(module), name)
    globals()[name] = found
    return found
