"""Serving: requests of other nodes, run concurrently; every one is answered."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import UNSET

from tautomer._tasks import CANCEL_WAIT, Sweep
from tautomer.admission import Admission
from tautomer.context import Context
from tautomer.errors import (
    MaxCallLevelError,
    MoleculerError,
    QueueIsFullError,
    RequestRejectedError,
    RequestTimeoutError,
    ServiceNotFoundError,
)
from tautomer.host import Host
from tautomer.protocol.duplicates import SeenRequests
from tautomer.protocol.packets import LEVEL_MAX, TIMEOUT_MS_MAX, Request, call_level, timeout_seconds
from tautomer.protocol.refusals import leaving, let_through
from tautomer.protocol.topics import Topics
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import Registry
from tautomer.resilience.adaptive import AdaptiveLimit
from tautomer.resilience.retry import is_repeated
from tautomer.stream import PLAIN_TYPES, TAKEN, Stream
from tautomer.transit.answers import Answers, Publish
from tautomer.transit.shift import Shift, Taken

if TYPE_CHECKING:
    from tautomer.transit.streaming import Streaming

log = logging.getLogger("tautomer.transit")

Drop = Callable[[str, str, str, str], None]

SWEEP = 0.05
"""Seconds between two looks at what is overdue."""


class Serving:
    """Runs what other nodes ask for.

    Attributes:
        refusing: While true, requests are answered as not run, and go elsewhere.
        in_flight_max: How many there may be at once, running and in line.
        refused: How many were turned away because there were too many, so far.
        expired: How many were not run because their time was over before their turn, so far.
        answers: Sends the answers.
    """

    def __init__(
        self,
        broker: Any,
        host: Host,
        registry: Registry,
        topics: Topics,
        publish: Publish,
        timeout: float,
        level_max: int,
        in_flight_max: int | Literal["adaptive"],
        queue_delay: float,
        drop: Drop,
        streaming: Streaming,
    ) -> None:
        self._broker = broker
        self._clock = host.clock
        self._actions = registry.actions
        self._node_id = registry.local_node.id
        self._timeout = timeout
        self._level_max = level_max or LEVEL_MAX
        self._limit: AdaptiveLimit | None = None
        if not isinstance(in_flight_max, int):
            self._limit = AdaptiveLimit()
            in_flight_max = self._limit.limit
        self.in_flight_max: int = in_flight_max
        self.refused = self.expired = 0
        self._drop = drop
        self._seen = SeenRequests()
        self._streaming = streaming
        self._shift = Shift(self._serve if self._limit is None else self._serve_measured)
        self._sweep = Sweep(SWEEP, self._look)
        self._look_due = 0.0
        self._line: Admission[tuple[Request, Context[Any]]] = Admission(queue_delay, self.in_flight_max)
        # Whether what comes is to stand in line: others do, or the loop does not keep up.
        self._queueing = False
        self._turning = False
        self._marked_at = 0.0
        self.refusing = False
        self.answers = Answers(self._node_id, topics, publish)

    def __len__(self) -> int:
        return len(self._shift) + len(self._line.waiting)

    async def finish(self, grace: float, but: Sequence[asyncio.Task[Any] | None] = ()) -> int:
        """Wait for the requests that run, `but` these. Returns how many are left after `grace` seconds."""
        until = self._clock() + grace
        while (self._line.waiting or self._shift.queue) and self._clock() < until:  # noqa: ASYNC110 - each turn starts some of them.
            await asyncio.sleep(0)
        self._shift.leave()
        if running := [task for task in self._shift.running.values() if task not in but]:
            await asyncio.wait(running, timeout=max(0.0, until - self._clock()))
        return len(self)

    async def close(self) -> int:
        """Cancel what still runs; each is answered as cut off. Returns how many there were."""
        self.refusing = True
        self._sweep.stop()
        unbegun = [*self._shift.queue, *self._line.waiting]
        self._shift.queue.clear()
        self._line.waiting.clear()
        for packet, ctx in unbegun:
            self.answers.error(packet, leaving(packet.action, self._node_id, packet.id), ctx)
        self._shift.leave()
        cut = list(self._shift.running.values())
        for task in cut:
            task.cancel()
        if cut:
            _done, stuck = await asyncio.wait(cut, timeout=CANCEL_WAIT)
            for name in sorted(task.get_name() for task in stuck):
                log.error("action does not end though it was cancelled", extra={"action": name})
        self._shift.running.clear()
        return len(cut)

    def on_request(self, packet: Request) -> None:
        """Run the action, or say why not. One that came before is dropped (promise C2)."""
        if not self._sweep.running:
            self._wake()
        request_id, sender = packet.id, packet.sender
        stream: Stream | None = None
        if packet.seq is not UNSET and (stream := self._streaming.on_request(packet)) is TAKEN:
            return
        seen = self._seen
        newer, key = seen.newer, hash(request_id) ^ hash(sender)
        if key in newer or key in seen.older:
            self._drop("duplicate", sender, f"'{request_id}' came before", "REQ")
            return
        newer.add(key)
        if len(newer) >= seen.most:
            seen.overflow()
        endpoints = self._actions.get(packet.action)
        endpoint = None if endpoints is None else endpoints.local
        level, told, clock = packet.level, packet.timeout, self._clock
        shift, queue = self._shift, self._shift.queue
        if shift.at_work is not None:
            shift.leave()
        are_many = self._queueing or len(queue) + len(shift.running) >= self._line.at_once
        # Asked here in one line, and there one by one: nothing is refused as a rule.
        if (
            endpoint is None
            or endpoint.closed
            or self.refusing
            or are_many
            or type(level) is not int
            or not 0 < level <= self._level_max
        ):
            if (refusal := self._refusal(packet, endpoint)) is not None:
                self.answers.error(packet, refusal, None)
                return
            level = call_level(level)
        if type(told) is int and 0 < told <= TIMEOUT_MS_MAX:
            deadline: float | None = clock() + told / 1000
        else:
            deadline = self._deadline(told, endpoint)  # type: ignore[arg-type]  # A missing one was refused.
        ctx: Context[Any] = Context(
            self._broker,
            packet.params,
            endpoint,
            None,
            None,
            None,
            level,
            packet.meta,
            deadline,
            packet.tracing,
            False,
            request_id,
            packet.request_id or request_id,
            sender,
            packet.parent_id,
            packet.caller,
        )
        if packet.headers:
            ctx._headers = packet.headers
        if stream is None and not are_many and not endpoint.own_tasks:  # type: ignore[union-attr]  # As above.
            queue.append((packet, ctx))
            if len(queue) <= 2:
                shift.wake()
        elif stream is not None:  # Its parts do not wait for each other.
            self._streaming.attach(stream, ctx, shift.start(packet, ctx))
        elif are_many:
            self._queue(packet, ctx)
        else:
            endpoint.own_tasks -= 1  # type: ignore[union-attr]  # As above.
            shift.start(packet, ctx)

    def _deadline(self, told: object, endpoint: Endpoint) -> float | None:
        """When a request's time is over, of which the caller says this."""
        timeout = timeout_seconds(told)
        if timeout is None:
            # The caller says nothing: then ours holds. A 0 means that it wants no end (protocol section 3.4).
            timeout = endpoint.timeout or self._timeout
        return self._clock() + timeout if timeout else None

    def _wake(self) -> None:
        now = self._clock()
        self._seen.turn(now)
        self._look_due = now + SWEEP
        self._sweep.wake()

    # --- standing in line ---

    def _queue(self, packet: Request, ctx: Context[Any]) -> None:
        """Let a request stand in line, or tell it at once that there is no use in that."""
        line = self._line
        if not line.waiting:
            self._queueing = True
            self._turn_soon()
            line.add((packet, ctx), self._clock())
        elif line.cost and line.refuses(self._clock(), ctx.deadline):
            self.answers.error(packet, self._full(packet, len(line.waiting), len(line.waiting)), ctx)
        else:
            line.waiting.append((packet, ctx))

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _mark(self) -> None:
        self._marked_at = self._clock()

    def _turn(self) -> None:
        """Start as many as fit into one turn of the loop; whatever came in is read before the next."""
        self._turning = False
        now, line = self._clock(), self._line
        # The loop runs what follows in this order: the mark, those started here, and the next turn.
        asyncio.get_running_loop().call_soon(self._mark)
        for packet, ctx in line.take(now, now - self._marked_at, len(self._shift)):
            if line.cost and line.too_late(now, ctx.deadline):
                self.expired += 1
                self.answers.error(packet, RequestTimeoutError(packet.action, self._node_id), ctx)
            else:
                self._shift.start(packet, ctx)
        if self._line.waiting:
            self._turn_soon()
        else:
            self._queueing = self._line.behind

    def _refusal(self, packet: Request, endpoint: Endpoint | None) -> MoleculerError | None:
        """Why this request is not run, or None."""
        if self.refusing:  # Before its services are looked at, which are gone one by one.
            return leaving(packet.action, self._node_id, packet.id)
        # Visibility is enforced where the request arrives, whatever was offered (reliability reference, section 1).
        if endpoint is None or endpoint.closed:
            return ServiceNotFoundError(packet.action, self._node_id)
        if packet.level is not None and packet.level > self._level_max:
            return MaxCallLevelError(self._node_id, self._level_max)
        if len(self) >= self.in_flight_max:
            return self._full(packet, len(self), self.in_flight_max)
        return None

    def _full(self, packet: Request, size: int, limit: int) -> QueueIsFullError:
        self.refused += 1
        error = QueueIsFullError(packet.action, self._node_id, size=size, limit=limit)
        error.retryable = not is_repeated(packet.headers)
        return error

    async def _serve_measured(self, requests: Iterable[Taken]) -> None:
        """`_serve`, and tell the limit how long each took."""
        assert self._limit is not None
        for request in requests:
            began, running, good = self._clock(), len(self._shift), False
            try:
                good = await self._serve((request,))
            finally:
                now, deadline = self._clock(), request[1].deadline
                # What is not done in time is the slowest of all. What failed may have been quick only for that.
                if good or (deadline is not None and began < deadline <= now):
                    self._limit.ended(now - began, now, running)
                    self.in_flight_max = self._limit.limit
                    self._line.resize(self.in_flight_max)

    async def _serve(self, requests: Iterable[Taken]) -> bool:
        """Run requests and answer them. Returns whether the last went well, and has ended; a stream goes on."""
        good = False
        clock, answers, running = self._clock, self.answers, self._shift.running
        for packet, ctx in requests:
            good = False
            try:
                try:
                    # Its turn may come late: something held up the loop, and the caller has given up by now (promise C4).
                    if ctx.deadline is not None and clock() >= ctx.deadline:
                        self.expired += 1
                        raise RequestTimeoutError(packet.action, self._node_id)
                    handler = ctx.endpoint.handler
                    result = await handler(ctx)
                    if type(result) in PLAIN_TYPES or not hasattr(result, "__aiter__"):
                        answers.result(packet, ctx, result)
                        good = True
                        continue
                    sending = await self._streaming.sending.open_answer(packet, ctx, result)
                except asyncio.CancelledError:
                    overdue = ctx.deadline is not None and clock() >= ctx.deadline
                    kind = RequestTimeoutError if overdue else RequestRejectedError
                    answers.error(packet, kind(packet.action, self._node_id), ctx)
                    raise
                except BaseException as error:
                    # SystemExit in a handler, too, is an error of that call and not the end of the node.
                    let_through(error, packet.action, self._node_id, packet.id)
                    answers.error(packet, error, ctx)
                    continue
                # A stream that runs counts as in flight until its end; its errors are told by its last packet.
                await sending
            finally:
                if running:
                    running.pop(ctx, None)
        return good

    def _look(self) -> bool:
        """Cancel what is overdue: nobody waits for it any more (promise C4)."""
        now = self._clock()
        self._line.looked(now - self._look_due)
        self._look_due = now + SWEEP
        self._seen.turn(now)
        self._shift.look()
        for ctx, task in list(self._shift.running.items()):
            if task.done():
                del self._shift.running[ctx]  # Cancelled before it began, so that it could not take itself out.
            elif ctx.deadline is not None and ctx.deadline <= now and not task.cancelling() and _has_begun(task):
                task.cancel()  # Once: it may take its time over cleaning up.
        waiting = len(self) > 0
        if not waiting:
            self._line.behind = False
        self._queueing = self._line.behind or len(self._line.waiting) > 0
        return waiting


def _has_begun(task: asyncio.Task[Any]) -> bool:
    """Whether the task had its first turn. One that had none would end without an answer; in its turn it sees that it is late."""
    coro = task.get_coro()
    return not inspect.iscoroutine(coro) or inspect.getcoroutinestate(coro) != inspect.CORO_CREATED
