"""Streaming: the streams of one node with the others, both ways (protocol section 3.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, Callable, Coroutine
from functools import partial
from typing import Any, Final

from msgspec import Raw

from tautomer._tasks import Sweep, TaskScope
from tautomer.context import Context
from tautomer.errors import (
    MoleculerError,
    QueueIsFullError,
    RequestRejectedError,
    StreamError,
    from_wire,
)
from tautomer.host import Host
from tautomer.inbox import Inbox, Key, ReceivedStream
from tautomer.pacing import Pace, Pacing, SendPing, key_of
from tautomer.protocol.codec import Codec
from tautomer.protocol.packets import Ping, ReceivedResponse, Request
from tautomer.protocol.pending import PendingRequests
from tautomer.protocol.streams import OBJECT_MODE, STREAM_ERROR, Outgoing, item_of, weight
from tautomer.protocol.topics import Topics
from tautomer.serving import stack_of
from tautomer.settings import TransitSettings
from tautomer.stream import TAKEN, OwnStream, Stream
from tautomer.stream_packets import Answering, Asking, Way, error_forms

log = logging.getLogger("tautomer.transit")

UNOPENED_MAX: Final = 16
"""Request streams of which packets came before the first: each may fill a window, so they are few."""

ENDED_KEPT: Final = 10_000
"""Streams that are over and remembered, so that what still arrives of them is known for what it is."""

ITEMS_A_TURN: Final = 16
"""Items sent before the loop's other work gets a turn."""


ERROR_AFTER: Final = 0.05
"""Seconds that lie between the first packet and an error. A Node.js node that reads both in one go throws the error
where nobody hears it, and its reader waits for ever."""


class Streaming:
    """Streams that come in and go out.

    Args:
        publish: Sends a packet: command, record, topic, token.
        drain: Waits while the transporter's buffer is over its mark.
        refuse: Answers a request with an error.
        ping: Sends a PING with this id to a node, in this version.
        pong: Answers a PING.
    """

    def __init__(
        self,
        host: Host,
        node_id: str,
        settings: TransitSettings,
        topics: Topics,
        codec: Codec,
        pending: PendingRequests[Any],
        *,
        publish: Callable[..., None],
        drain: Callable[[], Coroutine[Any, Any, None]],
        refuse: Callable[[Request, MoleculerError], None],
        ping: SendPing,
        pong: Callable[[Ping], None],
    ) -> None:
        self._clock = host.clock
        self._node_id = node_id
        self._window = settings.stream_window_bytes
        self._chunk = settings.stream_chunk_bytes
        self._idle = settings.stream_idle
        self._request_topic = topics.cached("REQ")
        self._answer_topic = topics.cached("RES")
        self._codec = codec
        self._pending = pending
        self._publish = publish
        self._drain = drain
        self._refuse = refuse
        self._pacing = Pacing(ping, pong, settings.stream_window_bytes)
        self.on_pong = self._pacing.on_pong
        self._inboxes: dict[Key, Inbox] = {}
        self._ended: dict[Key, None] = {}
        self._sending: dict[asyncio.Task[Any], str] = {}
        self._scope = TaskScope("streams")
        self._sweep_every = min(1.0, max(0.01, self._idle / 10))
        self._sweep = Sweep(self._sweep_every, self._look)
        self._looked_at = 0.0

    def statistics(self) -> dict[str, int]:
        """How many streams come in and go out, and the bytes that wait to be read."""
        waiting = sum(inbox.incoming.held for inbox in self._inboxes.values())
        return {"receiving": len(self._inboxes), "sending": len(self._sending), "waiting_bytes": waiting}

    async def close(self) -> None:
        """Cut what still runs; the other ends are told."""
        await self._scope.close(0)
        self._sweep.stop()
        for inbox in list(self._inboxes.values()):
            inbox.fail(RequestRejectedError(inbox.action, self._node_id))
        self._inboxes.clear()

    def node_lost(self, node_id: str) -> None:
        """What came from there breaks, what went there ends."""
        for inbox in [inbox for inbox in self._inboxes.values() if inbox.key[1] == node_id]:
            inbox.fail(RequestRejectedError(inbox.action, node_id))
        for task in [task for task, to in self._sending.items() if to == node_id]:
            task.cancel()

    # --- in ---

    def on_request(self, packet: Request) -> Stream | None:
        """Take in a REQ with a number.

        Returns:
            The stream, if this packet opens one: the action is to be run. `TAKEN`, if nothing more is to be done.
            None, if it belongs to no stream.
        """
        seq = packet.seq
        key = ("REQ", packet.sender, packet.id)
        inbox = self._inboxes.get(key)
        if not isinstance(seq, int) or (inbox is None and not packet.stream and not seq):
            return None
        headers = packet.headers if isinstance(packet.headers, dict) else {}
        meta = packet.meta or {}
        objects = bool(meta.pop(OBJECT_MODE, False)) or bool(headers.pop(OBJECT_MODE, False))
        if inbox is None:
            if key in self._ended:
                return TAKEN
            if seq > 0 and self._unopened() >= UNOPENED_MAX:
                self._remember(key)
                self._refuse(packet, QueueIsFullError(packet.action, self._node_id))
                return TAKEN
            inbox = self._open(key, packet.action, packet.ver)
        error = None
        if not packet.stream and (told := meta.get(STREAM_ERROR, headers.get(STREAM_ERROR))) is not None:
            error = from_wire(told, packet.sender)
        self._feed(inbox, seq, packet.params, objects, not packet.stream, error)
        if inbox.announced:
            return TAKEN
        if inbox.incoming.opened:
            inbox.announced = True
            if packet.params is None and packet.ver == "4":
                packet.params = {}  # Node 0.14 sends the stream instead of params.
            return ReceivedStream(inbox)
        self._check_unopened(inbox)
        return TAKEN

    def on_ping(self, packet: Ping) -> bool:
        """Whether a PING is kept, as the reader of its stream is behind, or left unanswered, as there is none."""
        key = key_of(packet)
        if key is None:
            return False
        inbox = self._inboxes.get(key)
        return key in self._ended if inbox is None else self._pacing.hold(packet, inbox)

    def attach(self, stream: Stream, ctx: Context[Any], task: asyncio.Task[Any]) -> None:
        """Give a stream to the handler that runs in this task, for as long as it runs."""
        assert isinstance(stream, ReceivedStream)
        ctx.stream = stream
        inbox = stream.inbox
        task.add_done_callback(lambda _task: inbox.close())

    def on_response(self, packet: ReceivedResponse) -> Stream | None:
        """Take in a RES with a number.

        Returns:
            The stream, if this packet opens one: the call is to be answered with it. `TAKEN`, if nothing more is to
            be done. None, if it belongs to no stream.
        """
        seq = packet.seq
        key = ("RES", packet.sender, packet.id)
        inbox = self._inboxes.get(key)
        if seq is None:
            return None
        if inbox is None:
            if key in self._ended:
                return TAKEN
            pending = self._pending.by_id.get(packet.id)
            if pending is None or pending.node_id != packet.sender or not (packet.stream or seq):
                return None
            inbox = self._open(key, pending.action, packet.ver)
            pending.waiter[0].add_done_callback(partial(_unread, inbox))
        objects = any(isinstance(one, dict) and one.pop(OBJECT_MODE, False) for one in (packet.meta, packet.headers))
        data: object = packet.data
        if isinstance(data, Raw):
            try:
                data = self._codec.value(data)
            except MoleculerError as unfit:
                inbox.fail(unfit)
        error = None if packet.success else from_wire(packet.error, packet.sender)
        self._feed(inbox, seq, data, objects, not packet.stream, error)
        if inbox.announced:
            return TAKEN
        if inbox.incoming.opened:
            inbox.announced = True
            return ReceivedStream(inbox)
        self._check_unopened(inbox)
        return TAKEN

    def _open(self, key: Key, action: str, version: str) -> Inbox:
        now = self._clock()
        inbox = self._inboxes[key] = Inbox(key, action, version, self._window, now, self._over)
        if self._idle and not self._sweep.running:
            self._looked_at = now
            self._sweep.wake()
        return inbox

    def _feed(
        self, inbox: Inbox, seq: int, wire: object, objects: bool, last: bool, error: MoleculerError | None
    ) -> None:
        inbox.heard_at = self._clock()
        item: Any = None
        weighs = 0
        if seq > 0 and not last:
            try:
                item = item_of(wire, objects)
            except StreamError as unfit:
                inbox.fail(unfit)
                return
            weighs = weight(item)
        inbox.incoming.push(seq, item, weighs, last, error)
        inbox.changed()

    def _check_unopened(self, inbox: Inbox) -> None:
        """Of a stream that broke before its first packet came, nobody would hear by reading it."""
        error = inbox.incoming.error
        if inbox.announced or error is None:
            return
        kind, sender, request_id = inbox.key
        if kind == "REQ":
            self._refuse(Request(request_id, inbox.action, ver=inbox.version, sender=sender), error)
        elif (pending := self._pending.drop(request_id)) is not None and not pending.waiter[0].done():
            pending.waiter[0].set_exception(error)

    def _over(self, inbox: Inbox) -> None:
        self._inboxes.pop(inbox.key, None)
        self._remember(inbox.key)

    def _remember(self, key: Key) -> None:
        ended = self._ended
        ended[key] = None
        if len(ended) > ENDED_KEPT:
            del ended[next(iter(ended))]

    def _unopened(self) -> int:
        return sum(inbox.key[0] == "REQ" and not inbox.incoming.opened for inbox in self._inboxes.values())

    def _look(self) -> bool:
        """Break the streams of which nothing came for too long."""
        now = self._clock()
        # After the loop stood still, packets may lie unread in the socket: read first, judge next time (promise M2).
        stood_still = now - self._looked_at > 2 * self._sweep_every + 1.0
        self._looked_at = now
        if stood_still:
            return len(self._inboxes) > 0
        for inbox in [one for one in self._inboxes.values() if now - one.heard_at >= self._idle]:
            if inbox.is_behind:
                inbox.heard_at = now  # Its sender waits for us.
                continue
            opened = inbox.incoming.opened
            what = "nothing came of a stream" if opened else "the first packet of a stream did not come"
            kind = "STREAM_IDLE" if opened else "STREAM_GAP"
            error = StreamError(f"{what} for {self._idle:g} s", type=kind)
            inbox.fail(error)
            self._check_unopened(inbox)
        return len(self._inboxes) > 0

    # --- out ---

    def send_request(self, packet: Request, ctx: Context[Any], token: str, future: asyncio.Future[Any]) -> None:
        """Send a REQ and, until the call is over, what `ctx.stream` gives."""
        stream = ctx.stream
        if not isinstance(stream, OwnStream) or stream.sent:
            raise StreamError("a stream is read once, so a call with it cannot be made again", type="STREAM_CLOSED")
        stream.sent = True
        node_id = self._pending.by_id[packet.id].node_id
        way = Asking(packet, self._request_topic(node_id), token)
        task = self._scope.spawn(self._ask(way, stream, future, node_id), f"stream to {packet.action}")
        future.add_done_callback(partial(self._call_over, task, node_id, packet.id))

    def _call_over(self, task: asyncio.Task[Any], node_id: str, request_id: str, future: asyncio.Future[Any]) -> None:
        """A call is answered: its stream goes on only where the answer is a stream, too, and until that ends."""
        inbox = self._inboxes.get(("RES", node_id, request_id))
        if inbox is None or future.cancelled() or future.exception() is not None:
            task.cancel()
        else:
            inbox.partner = task

    async def _ask(self, way: Asking, source: OwnStream, future: asyncio.Future[Any], node_id: str) -> None:
        error: Exception | None = None
        try:
            await source.begin()
            outgoing = Outgoing(source.first, self._chunk)
            way.objects = outgoing.objects
            self._send(way, way.packet(outgoing.number(), None, True, None))
            error = await self._pump(way, source, outgoing, node_id)
        except Exception as failed:
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
        elif (inbox := self._inboxes.get(("RES", node_id, way.request_id))) is not None:
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
            way = Answering(packet, ctx, self._answer_topic(packet.sender), self._node_id, outgoing.objects)
            self._send(way, way.packet(outgoing.number(), None, True, None))
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

    async def _pump(self, way: Way, source: OwnStream, outgoing: Outgoing, to: str) -> Exception | None:
        """Send the items and the end. Returns why it ended early, which the other end was told."""
        task = asyncio.current_task()
        assert task is not None
        self._sending[task] = to
        pace = self._pacing.pace(way.command, to, way.request_id, way.version)
        limit = asyncio.timeout(self._idle or None)
        opened_at = self._clock()
        try:
            async with limit:
                await self._pump_items(way, source, outgoing, pace, limit)
            self._send(way, way.packet(outgoing.number(), None, False, None))
        except asyncio.CancelledError:
            self._break(way, outgoing, StreamError("the sender of the stream was cut off", type="STREAM_CLOSED"))
            raise
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                error = StreamError(f"the source of a stream gave nothing for {self._idle:g} s", type="STREAM_IDLE")
            try:
                await asyncio.sleep(opened_at + ERROR_AFTER - self._clock())
            finally:
                self._break(way, outgoing, error)
            return error
        finally:
            pace.end()
            self._sending.pop(task, None)
        return None

    async def _pump_items(
        self, way: Way, source: OwnStream, outgoing: Outgoing, pace: Pace, limit: asyncio.Timeout
    ) -> None:
        now = asyncio.get_running_loop().time
        again = now() + self._idle / 64
        in_turn = 0
        async for item in source:
            for seq, chunk in outgoing.chunks(item):
                self._send(way, way.packet(seq, chunk, True, None))
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

    def _send(self, way: Way, packet: Any) -> None:
        self._publish(way.command, packet, way.topic, way.token)
        way.token = None  # Whether anybody listens is asked once.

    def _break(self, way: Way, outgoing: Outgoing, error: BaseException) -> None:
        """End a stream with an error. Nobody can be told that this cannot be sent."""
        seq = outgoing.number()
        stack = None if isinstance(error, MoleculerError) else stack_of(error)
        for told in error_forms(error, self._node_id, stack):
            try:
                self._send(way, way.packet(seq, None, False, told))
                return
            except Exception as failed:
                log.debug("end of a stream not sent: %s", failed)


def _unread(inbox: Inbox, future: asyncio.Future[Any]) -> None:
    """A call ended before its stream was opened."""
    if not inbox.announced:
        inbox.close()
