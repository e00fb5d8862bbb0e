"""Who may be reached: what leads nowhere, what the lists forbid, what the mesh does not offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from tautomer.errors import MethodNotAllowedError, NotFoundError, ServiceNotFoundError, ServiceUnavailableError
from tautomer.registry.endpoints import EndpointList
from tautomer.web.exchange import Exchange, Offer, Stage
from tautomer.web.messages.message import Reply

__all__ = ["lost_handler", "refuse_stage", "resolve_stage"]


async def lost_handler(exchange: Exchange) -> Reply:
    """Where no alias is: 404; 405 for another method; for OPTIONS what there is (RFC 9110, 9.3.7)."""
    allow = sorted(exchange.methods)
    if not allow:
        raise NotFoundError()
    exchange.add_header("Allow", ", ".join(allow))
    if exchange.request.method == "OPTIONS":
        return Reply(204)
    raise MethodNotAllowedError(data={"allow": allow})


def refuse_stage(exchange: Exchange) -> NoReturn:
    """Refuse what whitelist, blacklist and the doors that are always shut do not let through."""
    raise ServiceNotFoundError(exchange.alias.action)


def resolve_stage(actions: Mapping[str, EndpointList]) -> Stage:
    """Find who serves the action. Nobody: 503 for an alias, 404 for a path that names the action itself."""

    def stage(exchange: Exchange) -> None:
        alias = exchange.alias
        found = actions.get(alias.action)
        # `only` is set in the usual case, and then it is available.
        if found is None or (found.only is None and not any(endpoint.available for endpoint in found.all)):
            if alias.direct:
                raise ServiceNotFoundError(alias.action)
            raise ServiceUnavailableError()
        endpoints = found.all
        offer = alias.offer
        if offer is None or offer.endpoints is not endpoints:
            offer = alias.offer = Offer(endpoints)
        if not offer.published:
            raise ServiceNotFoundError(alias.action)
        exchange.offer = offer

    return stage
