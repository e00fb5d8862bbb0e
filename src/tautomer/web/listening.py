"""The gateways that services bring along: those that name an address at which they are asked by JSON-RPC, and those
that have methods with `@http` or `@websocket_rpc` (architecture §15.16)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from tautomer.errors import BrokerOptionsError, QueueIsFullError
from tautomer.places import NOBODY, Places
from tautomer.resilience.bulkhead import Bulkhead
from tautomer.service import Service
from tautomer.web.errors import ServiceUnavailableError
from tautomer.web.messages.message import Reply, Request
from tautomer.web.service import ApiGatewayService

__all__ = ["DEFAULT_ADDRESS", "Workers", "gateways_of", "http_gateway", "parse_address"]

DEFAULT_ADDRESS: Final = "0.0.0.0:8000"

_ADDRESS = re.compile(r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[^\s:\[\]/]*)):)?(?P<port>[0-9]{1,5})")


def parse_address(address: str) -> dict[str, Any]:
    """Settings of a gateway for ``[address:]port`` or ``unix:/path``: a port alone is that of all interfaces.

    Raises:
        BrokerOptionsError: It is none.
    """
    if address.startswith("unix:/"):
        return {"socket": address[5:]}
    found = _ADDRESS.fullmatch(address.strip())
    if found is None or int(found["port"]) > 65_535:
        raise BrokerOptionsError(
            f"misconfigured bind address `{address}`: it should be `[address:]port`, or `unix:/path`"
        )
    return {"ip": found["six"] or found["host"] or "0.0.0.0", "port": int(found["port"])}


class Workers:
    """Stands before methods with `@http`: so many requests run at once, as many wait, the rest is answered 503.

    Args:
        count: How many.
        node_id: Of the node, for errors.
        clock: Of the node.
    """

    def __init__(self, count: int, node_id: str, clock: Callable[[], float]) -> None:
        self._places = Places(Bulkhead(count, count), node_id, clock)

    async def stage(self, request: Request, call_next: Callable[[Request], Awaitable[Reply]]) -> Reply:
        """For `use` of a route.

        Raises:
            ServiceUnavailableError: There is no place.
        """
        try:
            await self._places.enter("http", None, NOBODY)
        except QueueIsFullError as error:
            raise ServiceUnavailableError("too many requests wait already", data={"retryAfter": 1}) from error
        try:
            return await call_next(request)
        finally:
            self._places.leave()


def http_gateway(
    services: Iterable[Service],
    address: str | None,
    timeout: float | None = None,
    workers: Workers | None = None,
    sockets: Mapping[str, Any] | None = None,
) -> ApiGatewayService | None:
    """The gateway for methods with `@http` and `@websocket_rpc`, or None: there are none, or other gateways lead to them.

    Args:
        services: Those of the node.
        address: None for ``0.0.0.0:8000``, nameko's.
        timeout: Seconds that a request may take, or None.
        workers: What stands before methods with `@http`, or None.
        sockets: Settings of WebSockets, or None.

    Raises:
        BrokerOptionsError: As `parse_address`.
    """
    services = list(services)
    own = [service.options for service in services if isinstance(service, ApiGatewayService)]
    doors = {one.binder.door for service in services for one in service.action_defs() if one.binder is not None}
    leads = "@http" in doors and not any(one.http is not None for one in own)
    has_sockets = "@websocket_rpc" in doors and not any(one.websocket is not None for one in own)
    if not leads and not has_sockets:
        return None
    http: dict[str, Any] = {}
    if timeout is not None:
        http["callOptions"] = {"timeout": timeout}
    if workers is not None:
        http["use"] = [workers.stage]
    settings: dict[str, Any] = {**parse_address(address or DEFAULT_ADDRESS), "http": http if leads else False}
    if sockets is not None:
        settings["websocket"] = sockets
    elif "@websocket_rpc" in doors:
        settings["websocket"] = has_sockets
    return ApiGatewayService("http", settings=settings)


def gateways_of(services: Iterable[Service]) -> list[ApiGatewayService]:
    """One gateway for each address, with an endpoint for each path that a service names (`rpc_address`)."""
    doors: dict[tuple[str, int], dict[str, list[Service]]] = {}
    for service in services:
        address = getattr(service, "rpc_address", None)
        if address is not None:
            host, port, path = address
            doors.setdefault((host, port), {}).setdefault(path, []).append(service)
    return [
        ApiGatewayService(
            "rpc" if number == 1 else f"rpc-{number}",
            settings={
                "ip": host,
                "port": port,
                "openapi": False,
                "http": False,
                "routes": [_route(path, here) for path, here in paths.items()],
            },
        )
        for number, ((host, port), paths) in enumerate(doors.items(), 1)
    ]


def _route(path: str, services: list[Service]) -> dict[str, Any]:
    old = any(getattr(service, "answers_gemstone", False) for service in services)
    return {"path": path, "jsonrpc": {"services": [one.full_name for one in services], "null_errors": old}}
