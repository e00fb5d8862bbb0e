"""Streaming: the streams of one node with the others (protocol section 3.3); those on their way in are kept here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from msgspec import Raw

from tautomer._tasks import Sweep
from tautomer.context import Context
from tautomer.error_wire import from_wire
from tautomer.errors import MoleculerError, QueueIsFullError, RequestRejectedError, StreamError
from tautomer.host import Host
from tautomer.protocol.codec import Codec
from tautomer.protocol.packets import Ping, ReceivedResponse, Request
from tautomer.protocol.pending import PendingRequests
from tautomer.protocol.streams import OBJECT_MODE, STREAM_ERROR, item_of, weight
from tautomer.protocol.topics import Topics
from tautomer.settings import TransitSettings
from tautomer.stream import TAKEN, Stream
from tautomer.transit.inbox import Inbox, Key, ReceivedStream
from tautomer.transit.pacing import Pacing, SendPing, key_of
from tautomer.transit.stream_sending import StreamSending

UNOPENED_MAX: Final = 16
"""Request streams of which packets came before the first: each may fill a window, so they are few."""

ENDED_KEPT: Final = 10_000
"""Streams that are over and remembered, so that what still arrives of them is known for what it is."""


class Streaming:
    """Streams that come in and go out.

    Args:
        publish: Sends a packet: command, record, topic, token.
        drain: Waits while the transporter's buffer is over its mark.
        refuse: Answers a request with an error.
        ping: Sends a PING with this id to a node, in this version.
        pong: Answers a PING.

    Attributes:
        sending: Those that go out.
    """

    def __init__(
        self,
        host: Host,
        node_id: str,
        settings: TransitSettings,
        topics: Topics,
        codec: Codec,
        pending: PendingRequests[Any, Any],
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
        self._idle = settings.stream_idle
        self._codec = codec
        self._pending = pending
        self._refuse = refuse
        self._pacing = Pacing(ping, pong, settings.stream_window_bytes)
        self.on_pong = self._pacing.on_pong
        self.sending = StreamSending(
            host, node_id, settings, topics, self._pacing, publish, drain, lambda *of: self._inboxes.get(("RES", *of))
        )
        self._inboxes: dict[Key, Inbox] = {}
        self._ended: dict[Key, None] = {}
        self._sweep_every = min(1.0, max(0.01, self._idle / 10))
        self._sweep = Sweep(self._sweep_every, self._look)
        self._looked_at = 0.0

    def statistics(self) -> dict[str, int]:
        """How many streams come in and go out, and the bytes that wait to be read."""
        waiting = sum(inbox.incoming.held for inbox in self._inboxes.values())
        return {"receiving": len(self._inboxes), "sending": len(self.sending), "waiting_bytes": waiting}

    async def close(self) -> None:
        """Cut what still runs; the other ends are told."""
        await self.sending.close()
        self._sweep.stop()
        for inbox in list(self._inboxes.values()):
            inbox.fail(RequestRejectedError(inbox.action, self._node_id))
        self._inboxes.clear()

    def node_lost(self, node_id: str) -> None:
        """What came from there breaks, what went there ends."""
        for inbox in [inbox for inbox in self._inboxes.values() if inbox.key[1] == node_id]:
            inbox.fail(RequestRejectedError(inbox.action, node_id))
        self.sending.node_lost(node_id)

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
            if pending is None or not (packet.stream or seq) or not self._pending.is_from(pending, packet.sender):
                return None
            inbox = self._open(key, pending.action, packet.ver)
            pending.future.add_done_callback(partial(_unread, inbox))
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
        elif (pending := self._pending.drop(request_id)) is not None and not pending.future.done():
            pending.future.set_exception(error)

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


def _unread(inbox: Inbox, future: asyncio.Future[Any]) -> None:
    """A call ended before its stream was opened."""
    if not inbox.announced:
        inbox.close()
