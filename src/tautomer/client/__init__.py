"""Clients of JSON-RPC services, over HTTP or a WebSocket: `RemoteClient` blocks, `AsyncRemoteClient` is awaited.

`MeshClient` is the same over the broker.
"""

from __future__ import annotations

from tautomer.client.awaited import AsyncRemoteClient
from tautomer.client.blocking import RemoteClient, RemoteService
from tautomer.client.discovery import (
    BaseDiscoveryStrategy,
    DummyCache,
    HttpDiscoveryStrategy,
    ServiceDiscoveryCache,
)
from tautomer.client.failures import (
    AccessDeniedError,
    CalledServiceError,
    InvalidParams,
    MethodNotFound,
    ParseError,
    RemoteServiceError,
    RequestTimeout,
    ServiceUnreachable,
)
from tautomer.client.handles import AsyncCall, AsyncMethodCall, as_completed, first_completed, make_callbacks
from tautomer.client.mesh import MeshClient
from tautomer.client.messages import BatchResult, MethodCall, Notification, Result

__all__ = [
    "AccessDeniedError",
    "AsyncCall",
    "AsyncMethodCall",
    "AsyncRemoteClient",
    "BaseDiscoveryStrategy",
    "BatchResult",
    "CalledServiceError",
    "DummyCache",
    "HttpDiscoveryStrategy",
    "InvalidParams",
    "MeshClient",
    "MethodCall",
    "MethodNotFound",
    "Notification",
    "ParseError",
    "RemoteClient",
    "RemoteService",
    "RemoteServiceError",
    "RequestTimeout",
    "Result",
    "ServiceDiscoveryCache",
    "ServiceUnreachable",
    "as_completed",
    "first_completed",
    "make_callbacks",
]
