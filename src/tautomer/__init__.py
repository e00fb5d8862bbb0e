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
    from tautomer.timer_marks import cron, timer
    from tautomer.web.decorators import exposed_method, private_api_method, public_method
    from tautomer.web.entrypoint.mark import http
    from tautomer.web.entrypoint.request import HttpRequest
    from tautomer.web.entrypoint.results import Response
    from tautomer.web.errors import BadRequest, ConnectionNotFound, Forbidden, NotFound
    from tautomer.web.rpc.tokens import BaseValidationStrategy, BasicCookieStrategy, HeaderValidationStrategy
    from tautomer.web.service import ApiGatewayService
    from tautomer.web.sockets.hub import WebSocketHub, WebSocketHubProvider
    from tautomer.web.sockets.marks import websocket_rpc

__all__ = [
    "ApiGatewayService",
    "Application",
    "AsyncRemoteClient",
    "BadRequest",
    "BaseValidationStrategy",
    "BasicCookieStrategy",
    "Broker",
    "Collapser",
    "Command",
    "ConnectionNotFound",
    "Context",
    "Forbidden",
    "HTTPProxy",
    "HTTPProxyCommand",
    "HeaderValidationStrategy",
    "HttpRequest",
    "MicroService",
    "Middleware",
    "NotFound",
    "RemoteClient",
    "RemoteService",
    "Response",
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
    "cron",
    "errors",
    "event",
    "exposed_method",
    "http",
    "private_api_method",
    "public_method",
    "request_context",
    "run",
    "timer",
    "websocket_rpc",
]

_LAZY = {
    "ApiGatewayService": "tautomer.web.service",
    "Application": "tautomer.application",
    "AsyncRemoteClient": "tautomer.client",
    "BadRequest": "tautomer.web.errors",
    "BaseValidationStrategy": "tautomer.web.rpc.tokens",
    "BasicCookieStrategy": "tautomer.web.rpc.tokens",
    "Collapser": "tautomer.commands.collapser",
    "Command": "tautomer.commands.command",
    "Forbidden": "tautomer.web.errors",
    "HTTPProxy": "tautomer.application",
    "HTTPProxyCommand": "tautomer.commands.proxy",
    "HeaderValidationStrategy": "tautomer.web.rpc.tokens",
    "HttpRequest": "tautomer.web.entrypoint.request",
    "MicroService": "tautomer.microservice",
    "NotFound": "tautomer.web.errors",
    "RemoteClient": "tautomer.client",
    "RemoteService": "tautomer.client",
    "Response": "tautomer.web.entrypoint.results",
    "ServiceRegistry": "tautomer.microservice",
    "command": "tautomer.commands.function",
    "component": "tautomer.commands.component",
    "cron": "tautomer.timer_marks",
    "exposed_method": "tautomer.web.decorators",
    "http": "tautomer.web.entrypoint.mark",
    "private_api_method": "tautomer.web.decorators",
    "public_method": "tautomer.web.decorators",
    "request_context": "tautomer.commands.request_cache",
    "run": "tautomer.runner",
    "timer": "tautomer.timer_marks",
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
