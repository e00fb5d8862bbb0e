"""Hedging: calls of idempotent actions that ask a second node when the first one takes long (see `resilience.hedge`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from math import inf
from typing import Any, NamedTuple, TypeAlias

from tautomer._tasks import TaskScope
from tautomer.context import CallOptions, Context
from tautomer.errors import BrokerOptionsError, MoleculerError, RequestTimeoutError
from tautomer.host import Host
from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.resilience.hedge import Hedge, RecentTimes
from tautomer.resilience.retry import RetryBudget, marked
from tautomer.settings import HedgeSettings, chosen

__all__ = ["Attempt", "Hedging"]


class Attempt(NamedTuple):
    """One attempt that has begun.

    Attributes:
        ctx: Its context.
        result: To be awaited, once.
    """

    ctx: Context[Any]
    result: Awaitable[Any]


class _Ended(NamedTuple):
    attempt: Attempt
    result: Any
    error: Exception | None


Begin: TypeAlias = Callable[[str, Any, CallOptions, list[str]], Attempt]
"""Chooses an endpoint at none of these nodes, to which it adds its own, and begins to ask it."""


class Hedging:
    """Makes the attempts of calls that are hedged.

    Args:
        begin: Begins an attempt.
        circuits_closed: Whether nobody who offers an action is in trouble.

    Attributes:
        extra: Attempts beside the first that were made so far.
        won: How many of them were the ones to answer.
    """

    def __init__(
        self,
        settings: HedgeSettings,
        host: Host,
        actions: Mapping[str, EndpointList],
        begin: Begin,
        circuits_closed: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._clock = host.clock
        self._actions = actions
        self._begin = begin
        self._circuits_closed = circuits_closed
        self._times: dict[str, RecentTimes] = {}
        self._scope = TaskScope("hedges")
        self.extra = self.won = 0

    def policy(self, action: str, options: CallOptions) -> HedgeSettings | None:
        """How this call is hedged, or None if it is not.

        Raises:
            BrokerOptionsError: What the call asks for is no policy.
        """
        known = self._actions.get(action)
        endpoint = None if known is None else next(iter(known.all), None)
        if endpoint is None or "node_id" in options or options.get("stream") is not None:
            return None
        asked = options.get("hedge")
        own = _own(endpoint, self._settings)
        policy = own or self._settings
        if asked is not None:
            policy = chosen(policy, asked, "hedge")
        elif own is None and endpoint.entry.get("idempotent") is not True:
            return None
        return policy if policy.enabled and policy.extra and self._circuits_closed(action) else None

    async def call(
        self, action: str, params: Any, options: CallOptions, policy: HedgeSettings, budget: RetryBudget
    ) -> Any:
        """Ask one node, and others as it takes long or fails. Raises what the last one of them raised."""
        times = self._times_of(action)
        clock = self._clock
        begun = clock()
        hedge = Hedge(times.p95(begun) if policy.delay == "p95" else float(policy.delay), policy.extra)
        nodes: list[str] = []
        tasks = [self._start(action, params, options, nodes)]
        hedge.began(begun, first=True)
        first = tasks[0]
        try:
            while True:
                pause = None if hedge.due == inf else max(0.0, hedge.due - clock())
                await asyncio.wait(tasks, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                now = clock()
                for task in [task for task in tasks if task.done()]:
                    tasks.remove(task)
                    ended = task.result()
                    if ended.error is None:
                        self.won += task is not first
                        times.add(now - begun, now)
                        return _told(ended, options)
                    hedge.failed(now)
                    if hedge.over or _decides(ended.error, task is first):
                        raise _told(ended, options)
                if now >= hedge.due:
                    if self._may(action, nodes) and budget.spend(now):
                        self.extra += 1
                        tasks.append(self._start(action, params, _left(options, now - begun), nodes))
                        hedge.began(now)
                    else:
                        hedge.stop()
                        if hedge.over:
                            raise _told(ended, options)
        finally:
            for task in tasks:
                task.cancel()

    async def close(self) -> None:
        """Cancel what still runs."""
        await self._scope.close(0)

    def _times_of(self, action: str) -> RecentTimes:
        times = self._times.get(action)
        if times is None:
            if len(self._times) > 2 * len(self._actions) + 100:
                self._times.clear()  # Of actions that are long gone.
            times = self._times[action] = RecentTimes()
        return times

    def _may(self, action: str, nodes: list[str]) -> bool:
        """Whether there is another node to ask. Where the message broker chooses, nobody knows whom it will."""
        known = self._actions.get(action)
        return (
            known is not None
            and "" not in nodes
            and any(one.available and one.node_id not in nodes for one in known.all)
            and self._circuits_closed(action)
        )

    def _start(self, action: str, params: Any, options: CallOptions, nodes: list[str]) -> asyncio.Task[_Ended]:
        return self._scope.spawn(_ended(self._begin(action, params, options, nodes)), action)


async def _ended(attempt: Attempt) -> _Ended:
    try:
        return _Ended(attempt, await attempt.result, None)
    except Exception as error:
        return _Ended(attempt, None, error)


def _told(ended: _Ended, options: CallOptions) -> Any:
    """The outcome that counts: its meta goes back to the parent, and that of the others does not."""
    parent = options.get("parent")
    if parent is not None and ended.attempt.ctx._meta:
        parent.meta.update(ended.attempt.ctx._meta)
    return ended.result if ended.error is None else ended.error


def _left(options: CallOptions, elapsed: float) -> CallOptions:
    """The options of another attempt: it has the time that is left, and says that it is not the first."""
    made = marked(options, 1)
    if timeout := options.get("timeout"):
        made["timeout"] = max(0.001, timeout - elapsed)
    return made


def _decides(error: Exception, first: bool) -> bool:
    """Whether no other attempt can help: it would end like this one, or the time of the first, and so of all, is over."""
    if not isinstance(error, MoleculerError) or not error.retryable:
        return True
    return first and isinstance(error, RequestTimeoutError)


def _own(endpoint: Endpoint, usual: HedgeSettings) -> HedgeSettings | None:
    """What an action says of its being hedged: as marked here, or as another node announced it."""
    if endpoint.definition is not None:
        own = endpoint.definition.extra.get("hedge")
        return None if own is None else chosen(usual, own, f"hedge of '{endpoint.name}'")
    told = endpoint.entry.get("hedge")
    if told is None:
        return None
    try:
        return chosen(usual, told, "hedge")
    except BrokerOptionsError:
        return None  # That node's mistake.
