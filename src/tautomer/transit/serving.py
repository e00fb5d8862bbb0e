"""Serving: requests of other nodes, run concurrently, one task each; every one is answered."""

from __future__ import annotations

import asyncio
import inspect
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from tautomer._tasks import CANCEL_WAIT, Sweep, TaskStarter
from tautomer.admission import Admission
from tautomer.context import Context
from tautomer.errors import (
    BrokerDisconnectedError,
    MaxCallLevelError,
    MoleculerError,
    QueueIsFullError,
    RequestRejectedError,
    RequestTimeoutError,
    ServiceNotFoundError,
    ValidationError,
    to_wire,
)
from tautomer.host import Host
from tautomer.protocol.duplicates import SeenRequests
from tautomer.protocol.packets import TIMEOUT_MS_MAX, Packet, Request, Response, call_level, timeout_seconds
from tautomer.protocol.refusals import leaving, let_through
from tautomer.protocol.topics import Topics
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import Registry
from tautomer.stream import PLAIN_TYPES, TAKEN, Stream

if TYPE_CHECKING:
    from tautomer.transit.streaming import Streaming

log = logging.getLogger("tautomer.transit")

Publish = Callable[[str, Packet, str], None]
Drop = Callable[[str, str, str, str], None]

SWEEP = 0.05
"""Seconds between two looks at what is overdue."""

TEXTS = ("name", "message", "nodeID", "code", "type")


class Serving:
    """Runs what other nodes ask for.

    Attributes:
        refusing: While true, requests are answered as not run, and go elsewhere.
        unsent: Answers that could not be sent, as the line was away.
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
        in_flight_max: int,
        queue_delay: float,
        drop: Drop,
        streaming: Streaming,
    ) -> None:
        self._broker = broker
        self._clock = host.clock
        self._registry = registry
        self._node_id = registry.local_node.id
        self._answer_topic = topics.cached("RES")
        self._publish = publish
        self._timeout = timeout
        self._level_max = level_max
        self._in_flight_max = in_flight_max
        self._drop = drop
        self._seen = SeenRequests()
        self._streaming = streaming
        self._start = TaskStarter().start
        self._running: dict[Context[Any], asyncio.Task[Any]] = {}
        self._sweep = Sweep(SWEEP, self._look)
        self._look_due = 0.0
        self._line: Admission[tuple[Request, Context[Any]]] = Admission(queue_delay)
        # Whether what comes is to stand in line: others do, or the loop does not keep up.
        self._queueing = False
        self._turning = False
        self._marked_at = 0.0
        self.refusing = False
        self.unsent = 0

    def __len__(self) -> int:
        return len(self._running) + len(self._line.waiting)

    async def finish(self, grace: float, but: Sequence[asyncio.Task[Any] | None] = ()) -> int:
        """Wait for the requests that run, `but` these. Returns how many are left after `grace` seconds."""
        until = self._clock() + grace
        while self._line.waiting and self._clock() < until:  # noqa: ASYNC110 - each turn starts some of them.
            await asyncio.sleep(0)
        if running := [task for task in self._running.values() if task not in but]:
            await asyncio.wait(running, timeout=max(0.0, until - self._clock()))
        return len(self)

    async def close(self) -> int:
        """Cancel what still runs; each is answered as cut off. Returns how many there were."""
        self.refusing = True
        self._sweep.stop()
        while self._line.waiting:
            packet, ctx = self._line.waiting.popleft()
            self.answer_error(packet, leaving(packet.action, self._node_id, packet.id), ctx)
        cut = list(self._running.values())
        for task in cut:
            task.cancel()
        if cut:
            _done, stuck = await asyncio.wait(cut, timeout=CANCEL_WAIT)
            for name in sorted(task.get_name() for task in stuck):
                log.error("action does not end though it was cancelled", extra={"action": name})
        self._running.clear()
        return len(cut)

    def on_request(self, packet: Request) -> None:
        """Run the action in a task of its own, or say why not. One that came before is dropped (promise C2)."""
        seen = self._seen
        if not self._sweep.running:
            self._wake()
        request_id, sender = packet.id, packet.sender
        stream: Stream | None = None
        if packet.seq is not UNSET and (stream := self._streaming.on_request(packet)) is TAKEN:
            return
        key = hash(request_id) ^ hash(sender)
        if key in seen.newer or key in seen.older:
            self._drop("duplicate", sender, f"'{request_id}' came before", "REQ")
            return
        seen.newer.add(key)
        if len(seen.newer) >= seen.most:
            seen.overflow()
        endpoints = self._registry.actions.get(packet.action)
        endpoint = None if endpoints is None else endpoints.local
        level = packet.level
        # Asked here in one line, and there one by one: nothing is refused as a rule.
        if (
            endpoint is None
            or endpoint.closed
            or self.refusing
            or type(level) is not int
            or level > self._level_max
            or len(self._running) + len(self._line.waiting) >= self._in_flight_max
        ) and (refusal := self._refusal(packet, endpoint)) is not None:
            self.answer_error(packet, refusal, None)
            return
        told = packet.timeout
        timeout = told / 1000 if type(told) is float and 0 < told <= TIMEOUT_MS_MAX else timeout_seconds(told)
        if timeout is None:
            # The caller says nothing: then ours holds. A 0 means that it wants no end (protocol section 3.4).
            timeout = endpoint.timeout or self._timeout  # type: ignore[union-attr]  # A missing one was refused.
        headers = packet.headers
        ctx: Context[Any] = Context(
            self._broker,
            packet.params,
            endpoint,
            None,
            None,
            None,
            None,
            level if type(level) is int and level >= 1 else call_level(level),
            packet.meta,
            self._clock() + timeout if timeout else None,
            None,
            sender,
            request_id,
            packet.request_id or request_id,
            packet.parent_id,
            packet.caller,
            None if headers is UNSET else headers,
        )
        ctx.tracing = packet.tracing
        # The parts of a stream do not wait for each other.
        if stream is None and (self._queueing or len(self._running) >= self._line.at_once):
            self._queue(packet, ctx)
            return
        self._running[ctx] = task = self._start(self._serve(packet, ctx), packet.action)
        if stream is not None:
            self._streaming.attach(stream, ctx, task)

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
            size = len(line.waiting)
            self.answer_error(packet, QueueIsFullError(packet.action, self._node_id, size=size, limit=size), ctx)
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
        for packet, ctx in line.take(now, now - self._marked_at, len(self._running)):
            if line.cost and line.too_late(now, ctx.deadline):
                self.answer_error(packet, RequestTimeoutError(packet.action, self._node_id), ctx)
            else:
                self._running[ctx] = self._start(self._serve(packet, ctx), packet.action)
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
        if self._level_max and packet.level is not None and packet.level > self._level_max:
            return MaxCallLevelError(self._node_id, self._level_max)
        if len(self._running) + len(self._line.waiting) >= self._in_flight_max:
            return QueueIsFullError(packet.action, self._node_id, size=len(self), limit=self._in_flight_max)
        return None

    async def _serve(self, packet: Request, ctx: Context[Any]) -> None:
        try:
            try:
                # Its turn may come late: something held up the loop, and the caller has given up by now (promise C4).
                if ctx.deadline is not None and self._clock() >= ctx.deadline:
                    raise RequestTimeoutError(packet.action, self._node_id)
                result = await ctx.endpoint.handler(ctx)
                if type(result) in PLAIN_TYPES or not hasattr(result, "__aiter__"):
                    self._answer(packet, ctx, result)
                    return
                sending = await self._streaming.sending.open_answer(packet, ctx, result)
            except asyncio.CancelledError:
                overdue = ctx.deadline is not None and self._clock() >= ctx.deadline
                kind = RequestTimeoutError if overdue else RequestRejectedError
                self.answer_error(packet, kind(packet.action, self._node_id), ctx)
                raise
            except BaseException as error:
                # SystemExit in a handler, too, is an error of that call and not the end of the node.
                let_through(error, packet.action, self._node_id)
                self.answer_error(packet, error, ctx)
                return
            # A stream that runs counts as in flight until its end; its errors are told by its last packet.
            await sending
        finally:
            self._running.pop(ctx, None)

    def _answer(self, packet: Request, ctx: Context[Any], result: Any) -> None:
        version = packet.ver
        response = Response(
            packet.id,
            ctx._meta or {},
            UNSET if version == "4" else (ctx._response_headers or {}),
            True,
            result,
            UNSET,
            UNSET,
            UNSET,
            version,
            self._node_id,
        )
        try:
            self._publish("RES", response, self._answer_topic[packet.sender])
        except BrokerDisconnectedError:
            self.unsent += 1
        except MoleculerError as error:
            error.message = f"result of '{packet.action}' cannot be sent: {error.message}"
            self.answer_error(packet, error, ctx)

    def answer_error(self, packet: Request, error: BaseException, ctx: Context[Any] | None) -> None:
        """Answer with an error. Whoever asked is told something, even where the error's data has no wire form."""
        stack = None if isinstance(error, MoleculerError) else stack_of(error)
        if stack is not None:
            log.error("action failed", exc_info=error, extra={"action": packet.action, "caller": packet.sender})
        meta = {} if ctx is None else (ctx._meta or {})
        headers: Any = None if ctx is None else (ctx._response_headers or {})
        wire = to_wire(error, self._node_id, stack)
        for told in (wire, bare(wire)):
            response = Response(
                packet.id,
                meta,
                UNSET if packet.ver == "4" else headers,
                False,
                None,
                told,
                UNSET,
                UNSET,
                packet.ver,
                self._node_id,
            )
            try:
                self._publish("RES", response, self._answer_topic[packet.sender])
                return
            except BrokerDisconnectedError:
                break
            except Exception as reason:
                # Too large, or without a wire form: at least its name and words are to arrive.
                meta, headers, failure = {}, None if ctx is None else {}, reason
        else:
            log.error("answer not sent", exc_info=failure, extra={"action": packet.action, "caller": packet.sender})
        self.unsent += 1

    def answer_malformed(self, request_id: str, sender: str, version: str, detail: str) -> None:
        """A REQ that is wrong in form, but says who asks: tell them."""
        packet = Request(request_id, "?", ver=version, sender=sender)
        fault = {"type": "malformed", "field": "", "message": detail}
        self.answer_error(packet, ValidationError("Malformed request packet", data=[fault]), None)

    def _look(self) -> bool:
        """Cancel what is overdue: nobody waits for it any more (promise C4)."""
        now = self._clock()
        self._line.looked(now - self._look_due)
        self._look_due = now + SWEEP
        self._seen.turn(now)
        for ctx, task in list(self._running.items()):
            if task.done():
                del self._running[ctx]  # Cancelled before it began, so that it could not take itself out.
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


def stack_of(error: BaseException) -> str:
    """The stack of an error for the wire: its innermost frames."""
    return "".join(traceback.format_exception(error, limit=-8))[-4_000:]


def bare(wire: dict[str, Any]) -> dict[str, Any]:
    """The same error without what may have no wire form or be too large. Data that is an object stays one (see `to_wire`)."""
    code = wire.get("code")
    return {
        "message": "",
        "code": code if isinstance(code, int) and 0 < code < 1_000 else 500,
        **{key: wire[key][:1_000] for key in TEXTS if isinstance(wire.get(key), str)},
        "retryable": wire.get("retryable") is True,
        **({"data": {}} if isinstance(wire.get("data"), Mapping) else {}),
    }
