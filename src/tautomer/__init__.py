"""tautomer: Python microservices in one mesh with Node.js.

Every name is imported on first use, so that a program pays for what it uses: a client of JSON-RPC not for the
broker, a service not for the gateway. Of third parties, all but the edge imports msgspec only.
"""

from __future__ import annotations

from tautomer._version import __version__

TYPE_CHECKING = False  # As type checkers have it: `typing` would cost more than all else here.
if TYPE_CHECKING:
    from typing import Any

    from tautomer import errors
    from tautomer.application import Application, HTTPProxy
    from tautomer.broker import Broker, ServiceBroker
    from tautomer.client import AsyncRemoteClient, RemoteClient, RemoteService
    from tautomer.commands.collapser import Collapser
    from tautomer.commands.command import Command
    from tautomer.commands.component import component
    from tautomer.commands.function import command
    from tautomer.commands.proxy import HTTPProxyCommand
    from tautomer.commands.request_cache import request_context
    from tautomer.context import Context
    from tautomer.decorators import action, event
    from tautomer.microservice import MicroService
    from tautomer.middleware import Middleware
    from tautomer.providers.kept import AuthToken, Config, EventDispatcher, Language, UserAgent, UserId
    from tautomer.providers.provider import DependencyProvider, SharedProvider
    from tautomer.providers.rpc_proxy import RpcProxy
    from tautomer.runner import run
    from tautomer.service import Service
    from tautomer.service_registry import ServiceRegistry
    from tautomer.settings import Settings
    from tautomer.stream import Stream
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
    "AuthToken",
    "BadRequest",
    "BaseValidationStrategy",
    "BasicCookieStrategy",
    "Broker",
    "Collapser",
    "Command",
    "Config",
    "ConnectionNotFound",
    "Context",
    "DependencyProvider",
    "EventDispatcher",
    "Forbidden",
    "HTTPProxy",
    "HTTPProxyCommand",
    "HeaderValidationStrategy",
    "HttpRequest",
    "Language",
    "MicroService",
    "Middleware",
    "NotFound",
    "RemoteClient",
    "RemoteService",
    "Response",
    "RpcProxy",
    "Service",
    "ServiceBroker",
    "ServiceRegistry",
    "Settings",
    "SharedProvider",
    "Stream",
    "UserAgent",
    "UserId",
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
    "AuthToken": "tautomer.providers.kept",
    "BadRequest": "tautomer.web.errors",
    "BaseValidationStrategy": "tautomer.web.rpc.tokens",
    "BasicCookieStrategy": "tautomer.web.rpc.tokens",
    "Broker": "tautomer.broker",
    "Collapser": "tautomer.commands.collapser",
    "Command": "tautomer.commands.command",
    "Config": "tautomer.providers.kept",
    "ConnectionNotFound": "tautomer.web.errors",
    "Context": "tautomer.context",
    "DependencyProvider": "tautomer.providers.provider",
    "EventDispatcher": "tautomer.providers.kept",
    "Forbidden": "tautomer.web.errors",
    "HTTPProxy": "tautomer.application",
    "HTTPProxyCommand": "tautomer.commands.proxy",
    "HeaderValidationStrategy": "tautomer.web.rpc.tokens",
    "HttpRequest": "tautomer.web.entrypoint.request",
    "Language": "tautomer.providers.kept",
    "MicroService": "tautomer.microservice",
    "Middleware": "tautomer.middleware",
    "NotFound": "tautomer.web.errors",
    "RemoteClient": "tautomer.client",
    "RemoteService": "tautomer.client",
    "Response": "tautomer.web.entrypoint.results",
    "RpcProxy": "tautomer.providers.rpc_proxy",
    "Service": "tautomer.service",
    "ServiceBroker": "tautomer.broker",
    "ServiceRegistry": "tautomer.service_registry",
    "Settings": "tautomer.settings",
    "SharedProvider": "tautomer.providers.provider",
    "Stream": "tautomer.stream",
    "UserAgent": "tautomer.providers.kept",
    "UserId": "tautomer.providers.kept",
    "WebSocketHub": "tautomer.web.sockets.hub",
    "WebSocketHubProvider": "tautomer.web.sockets.hub",
    "action": "tautomer.decorators",
    "command": "tautomer.commands.function",
    "component": "tautomer.commands.component",
    "cron": "tautomer.timer_marks",
    "event": "tautomer.decorators",
    "exposed_method": "tautomer.web.decorators",
    "http": "tautomer.web.entrypoint.mark",
    "private_api_method": "tautomer.web.decorators",
    "public_method": "tautomer.web.decorators",
    "request_context": "tautomer.commands.request_cache",
    "run": "tautomer.runner",
    "timer": "tautomer.timer_marks",
    "websocket_rpc": "tautomer.web.sockets.marks",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("tautomer.errors")
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'tautomer' has no attribute {name!r}")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
