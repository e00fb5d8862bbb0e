"""Streams that go out: as the answer to a request, or beside one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.errors import MoleculerError, RequestRejectedError, StreamError
from tautomer.host import Host
from tautomer.protocol.packets import Request
from tautomer.protocol.streams import OBJECT_MODE, Outgoing, weight
from tautomer.protocol.topics import Topics
from tautomer.settings import TransitSettings
from tautomer.stream import OwnStream
from tautomer.transit.answers import stack_of
from tautomer.transit.inbox import Inbox
from tautomer.transit.pacing import Pace, Pacing
from tautomer.transit.stream_packets import Answering, Asking, Way, error_forms

log = logging.getLogger("tautomer.transit")

ITEMS_A_TURN: Final = 16
"""Items sent before the loop's other work gets a turn."""

ERROR_AFTER: Final = 0.05
"""Seconds that lie between the first packet and an error. A Node.js node that reads both in one go throws the error
where nobody hears it, and its reader waits for ever."""


# What ends a stream and not the node: who wants to end the process from inside a generator fails in that stream.
_FAILURES: Final = (Exception, SystemExit, KeyboardInterrupt)


class StreamSending:
    """Sends the streams of one node.

    Args:
        pacing: How far each may run ahead.
        publish: Sends a packet: command, record, topic, token.
        drain: Waits while the transporter's buffer is over its mark.
        answer_of: The stream on its way in that answers a request: node that answers, id of the request.
    """

    def __init__(
        self,
        host: Host,
        node_id: str,
        settings: TransitSettings,
        topics: Topics,
        pacing: Pacing,
        publish: Callable[..., None],
        drain: Callable[[], Coroutine[Any, Any, None]],
        answer_of: Callable[[str, str], Inbox | None],
    ) -> None:
        self._clock = host.clock
        self._node_id = node_id
        self._chunk = settings.stream_chunk_bytes
        self._idle = settings.stream_idle
        self._request_topic = topics.cached("REQ")
        self._answer_topic = topics.cached("RES")
        self._pacing = pacing
        self._publish = publish
        self._drain = drain
        self._answer_of = answer_of
        self._running: dict[asyncio.Task[Any], str] = {}
        self._scope = TaskScope("streams")

    def __len__(self) -> int:
        return len(self._running)

    async def close(self) -> None:
        """Cut the streams of requests; the other ends are told. Those of answers are cut with their actions."""
        await self._scope.close(0)

    def node_lost(self, node_id: str) -> None:
        """What goes there ends."""
        for task in [task for task, to in self._running.items() if to == node_id]:
            task.cancel()

    def request(
        self, packet: Request, ctx: Context[Any], node_id: str, token: str, future: asyncio.Future[Any]
    ) -> None:
        """Send a REQ and, until the call is over, what `ctx.stream` gives."""
        stream = ctx.stream
        if not isinstance(stream, OwnStream) or stream.sent:
            raise StreamError("a stream is read once, so a call with it cannot be made again", type="STREAM_CLOSED")
        if self._scope.closed:
            raise RequestRejectedError(packet.action, self._node_id)
        stream.sent = True
        way = Asking(packet, self._request_topic[node_id], token)
        task = self._scope.spawn(self._ask(way, stream, future, node_id), f"stream to {packet.action}")
        future.add_done_callback(partial(self._call_over, task, ctx, node_id, packet.id))

    def _call_over(
        self, task: asyncio.Task[Any], ctx: Context[Any], node_id: str, request_id: str, future: asyncio.Future[Any]
    ) -> None:
        """A call is answered: its stream goes on only where the answer is a stream, too, and until that ends."""
        if ctx._meta:
            ctx._meta.pop(OBJECT_MODE, None)  # Node 0.14 sends back all meta that it got, our mark with it.
        inbox = self._answer_of(node_id, request_id)
        if inbox is None or future.cancelled() or future.exception() is not None:
            task.cancel()
        else:
            inbox.partner = task

    async def _ask(self, way: Asking, source: OwnStream, future: asyncio.Future[Any], node_id: str) -> None:
        error: BaseException | None = None
        try:
            await source.begin()
            outgoing = Outgoing(source.first, self._chunk)
            way.objects = outgoing.objects
            self._send(way, outgoing, way.packet(outgoing.number(), None, True, None))
            error = await self._pump(way, source, outgoing, node_id)
        except _FAILURES as failed:
            error = failed
        except asyncio.CancelledError:
            if not future.done():  # Not the call has ended, but this node or the other.
                future.set_exception(RequestRejectedError(way.action, self._node_id))
            raise
        finally:
            await source.aclose()
        if error is None:
            return
        if not future.done():
            future.set_exception(error)
        elif (inbox := self._answer_of(node_id, way.request_id)) is not None:
            inbox.fail(error if isinstance(error, MoleculerError) else StreamError(f"its own stream broke: {error}"))

    async def open_answer(
        self, packet: Request, ctx: Context[Any], result: AsyncIterable[Any]
    ) -> Coroutine[Any, Any, None]:
        """Open the stream that is the answer to a request. What is returned sends the rest; it lets out only cancelling.

        Raises:
            Exception: What the source raised before its first item, or why the first packet cannot be sent.
        """
        source = result if type(result) is OwnStream else OwnStream(result)
        try:
            await source.begin()
            outgoing = Outgoing(source.first, self._chunk)
            way = Answering(packet, ctx, self._answer_topic[packet.sender], self._node_id, outgoing.objects)
            self._send(way, outgoing, way.packet(outgoing.number(), None, True, None))
        except BaseException:
            await source.aclose()
            raise
        # The call is answered; from here on the idle time holds.
        ctx.deadline = None
        return self._pump_answer(way, source, outgoing, packet)

    async def _pump_answer(self, way: Way, source: OwnStream, outgoing: Outgoing, packet: Request) -> None:
        try:
            error = await self._pump(way, source, outgoing, packet.sender)
        finally:
            await source.aclose()
        if error is not None and not isinstance(error, MoleculerError):
            log.error("action failed", exc_info=error, extra={"action": packet.action, "caller": packet.sender})

    async def _pump(self, way: Way, source: OwnStream, outgoing: Outgoing, to: str) -> BaseException | None:
        """Send the items and the end. Returns why it ended early, which the other end was told."""
        task = asyncio.current_task()
        assert task is not None
        self._running[task] = to
        pace = self._pacing.pace(way.command, to, way.request_id, way.version)
        limit = asyncio.timeout(self._idle or None)
        opened_at = self._clock()
        try:
            async with limit:
                await self._pump_items(way, source, outgoing, pace, limit)
            self._send(way, outgoing, way.packet(outgoing.number(), None, False, None))
        except asyncio.CancelledError:
            self._break(way, outgoing, StreamError("the sender of the stream was cut off", type="STREAM_CLOSED"))
            raise
        except _FAILURES as failed:
            error: BaseException = failed
            if isinstance(error, TimeoutError) and limit.expired():
                still = (
                    f"a stream stood still for {self._idle:g} s: its source gave nothing, or its reader took nothing"
                )
                error = StreamError(still, type="STREAM_IDLE")
            try:
                await asyncio.sleep(opened_at + ERROR_AFTER - self._clock())
            finally:
                self._break(way, outgoing, error)
            return error
        finally:
            pace.end()
            self._running.pop(task, None)
        return None

    async def _pump_items(
        self, way: Way, source: OwnStream, outgoing: Outgoing, pace: Pace, limit: asyncio.Timeout
    ) -> None:
        now = asyncio.get_running_loop().time
        again = now() + self._idle / 64
        in_turn = 0
        async for item in source:
            for seq, chunk in outgoing.chunks(item):
                self._send(way, outgoing, way.packet(seq, chunk, True, None))
                await self._drain()
                if pace.sent(weight(chunk)):
                    await pace.room()
                in_turn += 1 if outgoing.objects or 4 * len(chunk) < self._chunk else ITEMS_A_TURN
                if in_turn >= ITEMS_A_TURN:
                    in_turn = 0
                    await asyncio.sleep(0)
            # Not for each item: setting a timer anew costs more than sending a small one.
            if self._idle and (moved := now()) >= again:
                again = moved + self._idle / 64
                limit.reschedule(moved + self._idle)

    def _send(self, way: Way, outgoing: Outgoing, packet: Any) -> None:
        try:
            self._publish(way.command, packet, way.topic, way.token)
        except BaseException:
            outgoing.take_back()
            raise
        way.token = None  # Whether anybody listens is asked once.

    def _break(self, way: Way, outgoing: Outgoing, error: BaseException) -> None:
        """End a stream with an error. Nobody can be told that this cannot be sent."""
        stack = None if isinstance(error, MoleculerError) else stack_of(error)
        for told in error_forms(error, self._node_id, stack):
            try:
                self._send(way, outgoing, way.packet(outgoing.number(), None, False, told))
                return
            except Exception as failed:
                log.debug("end of a stream not sent: %s", failed)
