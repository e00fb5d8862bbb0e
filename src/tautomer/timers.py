"""Timers: the clock of a node asks for the actions that have a rule of time (`@timer`, `@cron`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.definitions import TimerRule
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import Registry
from tautomer.schedules.beat import Beat, Due
from tautomer.schedules.interval import Interval
from tautomer.schedules.turn import whose_turn

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.host import Host

log = logging.getLogger("tautomer.timers")

LOOK_MAX: Final = 30.0
"""Seconds between two looks at the wall clock: it may be set at any time, and stands while a machine sleeps."""

_LEAST: Final = 0.001
"""Seconds that are waited in any case: the wall clock counts whole milliseconds, so that it may seem a little early."""


class Timers:
    """The timers of one node. They tick from `begin` to `rest`."""

    def __init__(self, broker: Broker, registry: Registry) -> None:
        self._broker = broker
        self._registry = registry
        self._scope = TaskScope("timers")
        self._ticking = False
        self._timers: list[_Timer] = []

    def add(self, endpoints: Sequence[Endpoint]) -> None:
        """Take in those actions of a service that have a rule of time."""
        for endpoint in endpoints:
            definition = endpoint.definition
            if definition is not None and definition.timer is not None:
                timer = _Timer(self._broker, self._registry, self._scope, endpoint, definition.timer)
                self._timers.append(timer)
                if self._ticking:
                    timer.begin()

    def begin(self) -> None:
        """The node has started."""
        self._ticking = True
        for timer in self._timers:
            timer.begin()

    def rest(self, service: object = None) -> None:
        """Ask for nothing more: all, or those of one service (its `ServiceEntry`). What runs goes on."""
        if service is None:
            self._ticking = False
        for timer in self._of(service):
            timer.rest()

    async def finish(self, grace: float, but: Sequence[asyncio.Task[Any] | None] = (), service: object = None) -> None:
        """Wait at most `grace` seconds for what runs, and cancel what is left, `but` these; of all, or of one service."""
        self.rest(service)
        running = [timer.task for timer in self._of(service) if timer.task is not None and timer.task not in but]
        me = asyncio.current_task()
        late = await self._scope.end([task for task in running if task is not me], grace)
        if late:
            log.warning("timers cut off", extra={"timers": ", ".join(sorted(task.get_name() for task in late))})
        self._timers = [timer for timer in self._timers if service is not None and timer.service is not service]

    async def close(self) -> None:
        """End what is left."""
        await self._scope.close(0)

    def statistics(self) -> dict[str, dict[str, Any]]:
        """How each stands, by the name of its action."""
        return {timer.name: timer.statistics() for timer in self._timers}

    def _of(self, service: object) -> list[_Timer]:
        return [timer for timer in self._timers if service is None or timer.service is service]


class _Timer:
    """Asks for one action, never while it runs still.

    Attributes:
        name: Of the action.
        service: Of the action; its `ServiceEntry`.
        task: The run, or None.
    """

    __slots__ = (
        "_beat",
        "_began",
        "_broker",
        "_endpoint",
        "_handle",
        "_now",
        "_on_the_wall",
        "_overruns",
        "_pending",
        "_registry",
        "_resting",
        "_rule",
        "_scope",
        "_told",
        "failed",
        "missed",
        "name",
        "runs",
        "service",
        "task",
    )

    def __init__(
        self, broker: Broker, registry: Registry, scope: TaskScope, endpoint: Endpoint, rule: TimerRule
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._scope = scope
        self._endpoint = endpoint
        self._rule = rule
        self.name = endpoint.name
        self.service = endpoint.service
        self._told = endpoint.entry["timer"]
        # All nodes have one wall clock; what is each node's own affair goes by the clock that nobody sets.
        self._on_the_wall = rule.cron is not None or rule.once_per == "mesh"
        self._now: Callable[[], float] = _wall_clock(broker.host) if self._on_the_wall else broker.clock
        self._beat: Beat | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._pending: Due | None = None
        self._resting = False
        self._began = 0.0
        self._overruns = 0
        self.task: asyncio.Task[Any] | None = None
        self.runs = self.failed = self.missed = 0

    def begin(self) -> None:
        rule, now = self._rule, self._now()
        schedule = rule.cron
        if schedule is None:
            assert rule.every is not None
            origin = 0.0 if rule.once_per == "mesh" else now
            self._beat = Beat(Interval(rule.every, origin), now, rule.eager)
        else:
            self._beat = Beat(schedule, now)
        self._tick()

    def rest(self) -> None:
        self._resting = True
        self._pending = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def statistics(self) -> dict[str, Any]:
        return {"running": self.task is not None, "runs": self.runs, "failed": self.failed, "missed": self.missed}

    # --- ticking ---

    def _tick(self) -> None:
        beat, now = self._beat, self._now()
        assert beat is not None
        late = now - beat.next  # Of several, how late the first is: for so long nobody looked.
        try:
            if (due := beat.take(now)) is not None:
                self._on_due(due, late)
        finally:
            wait = min(max(beat.left(self._now()), _LEAST), LOOK_MAX)
            self._handle = asyncio.get_running_loop().call_later(wait, self._tick)

    def _on_due(self, due: Due, late: float) -> None:
        if self._rule.once_per == "mesh":
            if not self._is_ours():
                return
            # By then others take a node that stood still for gone, and have done what was its own.
            if late > self._broker.settings.heartbeat_timeout:
                self.missed += 1 + due.missed
                log.warning(
                    "timer left out: its time is long over", extra={"timer": self.name, "late_s": round(late, 3)}
                )
                return
        if due.missed:
            self.missed += due.missed
            log.warning(
                "timer comes late, and once for several times",
                extra={"timer": self.name, "late_s": round(late, 3), "missed": due.missed},
            )
        if self.task is None:
            self._run(due)
        else:
            self._on_overlap(due)

    def _is_ours(self) -> bool:
        nodes = self._registry.nodes_sharing(self.service.full_name, self.name, self._told)
        return whose_turn(self.name, nodes) == self._broker.node_id

    def _on_overlap(self, due: Due) -> None:
        waits = self._rule.overlap == "wait"
        if not waits or self._pending is not None:
            self.missed += 1
        if waits:
            before = 0 if self._pending is None else self._pending.missed + 1
            self._pending = Due(due.at, due.missed + before)
        self._overruns += 1
        # Every time would fill a log: the first, the second, the fourth …
        if self._overruns.bit_count() == 1:
            log.warning(
                "timer still runs when it is due again",
                extra={
                    "timer": self.name,
                    "running_s": round(self._broker.clock() - self._began, 3),
                    "then": "it runs once more when it is done" if waits else "this time is left out",
                    "missed": self.missed,
                },
            )

    def _run(self, due: Due) -> None:
        at = due.at if self._on_the_wall else self._broker.host.wall_ms() / 1000 - (self._now() - due.at)
        params = {"at": round(at, 3), "missed": due.missed}
        self._began = self._broker.clock()
        self.task = self._scope.spawn(self._ask(Context(self._broker, params, self._endpoint)), self.name)

    async def _ask(self, ctx: Context[Any]) -> None:
        me = asyncio.current_task()
        try:
            await self._endpoint.handler(ctx)
        except asyncio.CancelledError as error:
            if me is None or me.cancelling():
                raise
            self._report(error)  # It raised that by itself.
        except Exception as error:
            self._report(error)
        finally:
            self.task = None
            self.runs += 1
            due, self._pending = self._pending, None
            if due is not None and not self._resting:
                self._run(due)

    def _report(self, error: BaseException) -> None:
        """Nobody asked, so nobody else is told."""
        self.failed += 1
        log.error("timer failed", exc_info=error, extra={"timer": self.name})


def _wall_clock(host: Host) -> Callable[[], float]:
    return lambda: host.wall_ms() / 1000
