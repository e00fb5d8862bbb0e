"""Asking another service through the broker, for those that stand for it: `RpcProxy`, `MeshClient`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tautomer.errors import ServiceNotFoundError, UnknownService
from tautomer.registry.registry import Registry

__all__ = ["asked"]


async def asked(
    call: Callable[..., Awaitable[Any]],
    registry: Registry,
    service: str,
    method: str,
    fit: Callable[[Mapping[str, Any] | None], Any],
    options: Mapping[str, Any],
) -> Any:
    """What a method of another service gives.

    Args:
        call: `Broker.call`, or `Context.call` for a part of another call.
        service: Full name.
        fit: From what a node tells of the action (None: nothing is known) to the params.
        options: As `call` takes them.

    Raises:
        UnknownService: Nobody in the mesh offers the service.
        What `fit` and `call` raise.
    """
    action = f"{service}.{method}"
    endpoints = registry.actions.get(action)
    entry = None if endpoints is None or not endpoints.all else endpoints.all[0].entry
    try:
        return await call(action, fit(entry), **options)
    except ServiceNotFoundError as error:
        if error.action == action and not registry.has_service(service):
            raise UnknownService(service) from error
        raise
