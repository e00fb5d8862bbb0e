"""The gateways that services bring along: those that name an address at which they are asked by JSON-RPC."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tautomer.service import Service
from tautomer.web.service import ApiGatewayService

__all__ = ["gateways_of"]


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
                "routes": [_route(path, here) for path, here in paths.items()],
            },
        )
        for number, ((host, port), paths) in enumerate(doors.items(), 1)
    ]


def _route(path: str, services: list[Service]) -> dict[str, Any]:
    return {"path": path, "jsonrpc": {"services": [service.full_name for service in services]}}
