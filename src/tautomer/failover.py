"""Failover: the second chance of a call that surely did not run (promise C2): later, or at another node.

Nothing here is on the way of a call that goes well.
"""

from __future__ import annotations

from typing import Any, Final

from tautomer.context import Context
from tautomer.errors import (
    BrokerDisconnectedError,
    MoleculerError,
    RequestRejectedError,
    ServiceNotAvailableError,
)
from tautomer.middlewares.timeout import within
from tautomer.protocol.refusals import may_go_elsewhere
from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.registry.registry import Registry
from tautomer.transit.transit import Transit

PAUSE: Final = 0.1
"""Seconds between two looks for who else is back, after the line came back: theirs may take a moment longer."""

UNHEARD: Final = 10
"""Looks after which a node is asked again though it was not heard yet."""


class Failover:
    """Takes over calls that ended as "not run" for a reason that another time or another node may not have."""

    def __init__(self, registry: Registry, transit: Transit) -> None:
        self._actions = registry.actions
        self._transit = transit

    async def again(self, ctx: Context[Any], endpoint: Endpoint, error: MoleculerError, deadline: float | None) -> Any:
        """Do the call that `endpoint` surely did not run: elsewhere, or there later if the caller chose the node.

        Each node is tried once, within the same deadline. They are tried anew only where the line was away or just
        came back.

        Raises:
            ServiceNotAvailableError: Nobody else offers the action.
            BrokerDisconnectedError: The line stays away.
            MoleculerError: As `Transit.request`.
        """
        pinned = ctx._tried is not None
        tried: list[str] = []
        ctx._tried = tried
        ctx.deadline = deadline
        while True:
            endpoint = await self._next(ctx, endpoint, error, tried, pinned)
            if deadline is not None and ctx.broker.clock() >= deadline:
                raise error
            self._renew(ctx, endpoint)
            if endpoint.local:
                if deadline is None:
                    return await endpoint.handler(ctx)
                left = deadline - ctx.broker.clock()
                return await within(left, endpoint.handler, ctx, endpoint)
            try:
                return await endpoint.handler(ctx)
            except MoleculerError as failure:
                if not may_go_elsewhere(failure):
                    raise
                error = failure

    async def _next(
        self, ctx: Context[Any], endpoint: Endpoint, error: MoleculerError, tried: list[str], pinned: bool
    ) -> Endpoint:
        """The endpoint to try now; waits for the line where that helps."""
        endpoints = self._actions.get(endpoint.name)
        if isinstance(error, BrokerDisconnectedError):
            here = None if endpoints is None or pinned else endpoints.local
            if here is not None and here.available:
                return here
            if error.unsent_bytes is None:
                raise error
            await self._transit.offline.wait(error.unsent_bytes, ctx.deadline)
            tried.clear()
            return self._anew(ctx, endpoint, pinned) or endpoint
        tried.append(endpoint.node_id)
        if not pinned and endpoints is not None:
            other = endpoints.next_except(ctx, tried)
            # What stands for several nodes, as the message broker chooses, may come as often as there are nodes, and
            # once more: whoever refused may have been taken out meanwhile.
            if other is not None and tried.count(other.node_id) <= len(endpoints):
                return other
        back = await self._wait_for_return(ctx, endpoint, pinned)
        if back is not None:
            tried.clear()
            return back
        if isinstance(error, RequestRejectedError) and not pinned:
            raise ServiceNotAvailableError(endpoint.name) from error
        raise error

    async def _wait_for_return(self, ctx: Context[Any], endpoint: Endpoint, pinned: bool) -> Endpoint | None:
        """Where the line came back lately: who is to be asked once it is back as well, or None."""
        offline = self._transit.offline
        looks = 0
        while offline.returning and (ctx.deadline is None or ctx.broker.clock() + PAUSE < ctx.deadline):
            if not await offline.pause(PAUSE):
                break
            looks += 1
            found = self._anew(ctx, endpoint, pinned)
            if found is not None and (
                found.local or looks >= UNHEARD or self._transit.requesting.is_back(found.node_id)
            ):
                return found
        return None

    def _anew(self, ctx: Context[Any], endpoint: Endpoint, pinned: bool) -> Endpoint | None:
        """Who is to be asked now, as the registry may have changed meanwhile."""
        endpoints: EndpointList | None = self._actions.get(endpoint.name)
        if endpoints is None:
            return None
        return endpoints.on_node(endpoint.node_id) if pinned else endpoints.next(ctx)

    def _renew(self, ctx: Context[Any], endpoint: Endpoint) -> None:
        """A new attempt: an id of its own (promise C2) in the same chain of calls."""
        ctx._request_id = ctx.request_id
        ctx._id = None
        ctx.endpoint = endpoint
