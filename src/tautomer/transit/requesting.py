"""Requesting: calls that leave this node, until each has its one end (promise C1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias, TypeGuard

from msgspec import UNSET, Raw

from tautomer._tasks import Sweep
from tautomer.context import Context, RawResult
from tautomer.error_wire import from_wire
from tautomer.errors import (
    BrokerDisconnectedError,
    MoleculerError,
    QueueIsFullError,
    RequestRejectedError,
    RequestTimeoutError,
    SerializationError,
    ServiceNotAvailableError,
)
from tautomer.host import Host
from tautomer.protocol.codec import Codec
from tautomer.protocol.losses import Losses
from tautomer.protocol.packets import Packet, Ping, ReceivedResponse, Request, timeout_ms
from tautomer.protocol.pending import Pending, PendingRequests, Token, Tokens
from tautomer.protocol.refusals import is_refusal, may_go_elsewhere
from tautomer.protocol.topics import Topics
from tautomer.registry.endpoints import BalancedEndpoint, Endpoint
from tautomer.stream import TAKEN, Stream
from tautomer.transit.balanced import BalancedTopics
from tautomer.transit.offline import Offline
from tautomer.transit.presence import Presence
from tautomer.transit.streaming import Streaming

SWEEP = 0.05
"""Seconds between two looks at the deadlines: the grain of every timeout between nodes."""

Call: TypeAlias = Pending["asyncio.Future[Any]", Context[Any]]

Calls: TypeAlias = PendingRequests["asyncio.Future[Any]", Context[Any]]

Again = Callable[[Context[Any], Endpoint, MoleculerError, "float | None"], Coroutine[Any, Any, Any]]


class Requesting:
    """Runs at other nodes what is called here. The other side of it is `Serving`.

    Args:
        pending: The table of what waits for an answer.
        timeout: Seconds for a call for which nobody said otherwise; 0 for no end.
        publish: Sends a packet: command, record, topic, token.
        send: Sends a packet of the control plane.
        drop: Counts a packet that is dropped.
        pass_raw: Whether answers may be handed on undecoded.

    Attributes:
        again: Takes over a call that surely did not run; set by the broker.
    """

    again: Again

    def __init__(
        self,
        host: Host,
        node_id: str,
        topics: Topics,
        codec: Codec,
        pending: Calls,
        presence: Presence,
        offline: Offline,
        streaming: Streaming,
        balanced: BalancedTopics | None,
        versions: tuple[str, ...],
        timeout: float,
        *,
        publish: Callable[..., None],
        send: Callable[[str, Packet, str | None, str | None, str | None], None],
        drop: Callable[[str, str, str, str], None],
        pass_raw: bool,
    ) -> None:
        self._host = host
        self._clock = host.clock
        self._new_id = host.new_id
        self._node_id = node_id
        self._topics = topics
        self._request_topic = topics.cached("REQ")
        self._codec = codec
        self._pending = pending
        self._presence = presence
        self._peers = presence.membership.peers
        self._offline = offline
        self._streaming = streaming
        self._balanced = balanced
        self._versions = versions
        self._timeout = timeout
        self._timeout_ms = timeout_ms(timeout, timeout > 0)
        self._publish = publish
        self._send = send
        self._drop = drop
        self._may_pass_raw = pass_raw
        self._losses = Losses(pending)
        self._sweep = Sweep(SWEEP, self._look)
        self._tokens = Tokens()

    def begin(self) -> None:
        """The event loop runs."""
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Something waits."""
        if not self._sweep.running:
            self._sweep.wake()

    def close(self) -> None:
        """End what still waits."""
        self._sweep.stop()
        for pending in self._pending.take_all():
            self._fail(pending, RequestRejectedError(pending.action, pending.node_id))

    def node_lost(self, node_id: str) -> None:
        """What waits for this node ends soon."""
        self._losses.lost(node_id, self._clock())

    def line_lost(self) -> None:
        """What the message broker was asked about nodes, it answers no more."""
        self._losses.forget()

    async def request(self, endpoint: Endpoint, ctx: Context[Any]) -> Any:
        """Run an action at another node: the innermost handler of every remote endpoint.

        Raises:
            QueueIsFullError: Too many calls wait for answers: not sent.
            BrokerDisconnectedError: The line is away, and stays so or too much waits for it: not sent.
            PayloadTooLargeError: The message is over what the broker takes: not sent.
            SerializationError: The params have no wire form: not sent.
            ServiceNotAvailableError: Neither this node nor another one took it: not run.
            RequestTimeoutError: No answer in time: outcome unknown.
            RequestRejectedError: The node was lost: outcome unknown.
            MoleculerError: What the action raised.
        """
        if ctx.raw and self._may_pass_raw:
            self._codec.keep_raw()
        table = self._pending
        waiting = table.by_id
        if len(waiting) >= table.limit:
            raise QueueIsFullError(endpoint.name, endpoint.node_id, size=len(table), limit=table.limit)
        clock, publish, tokens = self._clock, self._publish, self._tokens
        now, new_id = clock(), self._new_id
        extras = ctx._extras
        timeout = endpoint.timeout or self._timeout if extras is None or extras.timeout is None else extras.timeout
        deadline = ctx.deadline
        # A nested call never has more time than its parent has left (promise C4).
        if deadline is not None and not (timeout and now + timeout < deadline):
            timeout = deadline - now
        elif timeout:
            deadline = now + timeout
        # What follows reads the context's fields, not its properties: this is one of the four hot paths.
        node_id, parent = endpoint.node_id, ctx.parent
        request_id = ctx._id = ctx._id or new_id()
        peer = self._peers.get(node_id)
        version = peer.version if peer is not None and peer.version else self._version_for(endpoint)
        packet = Request(
            request_id,
            endpoint.name,
            ctx.params,
            ctx._meta or {},
            UNSET if version == "4" else {} if extras is None else (extras.headers or {}),
            self._timeout_ms if timeout is self._timeout else timeout_ms(timeout, deadline is not None),
            ctx.level,
            ctx.tracing,
            ctx._parent_id if parent is None else parent.id,
            ctx._request_id or request_id if parent is None else ctx.request_id,
            ctx._caller if parent is None else ctx.caller,
            False,
            UNSET,
            version,
            self._node_id,
        )
        future: asyncio.Future[Any] = self._loop.create_future()
        token = tokens.free.pop() if tokens.free else tokens.make()
        token.request_id = request_id
        waiting[request_id] = Pending(endpoint.name, node_id, deadline, future, ctx, token)
        try:
            if extras is None or extras.stream is None:
                topic = self._request_topic[node_id] if node_id else self._topics.balanced_request(endpoint.name)
                publish("REQ", packet, topic, token.text)
            else:
                self._streaming.sending.request(packet, ctx, node_id, token.text, future)
            if not self._sweep.running:
                self._sweep.wake()
            # An answer takes the request out of the tables before it is told here.
            return await future
        except BaseException as error:
            self._end_unanswered(request_id, token, node_id)
            if not _may_try_again(error, ctx):
                raise
            not_run = error
        return await self.again(ctx, endpoint, not_run, deadline)

    def _end_unanswered(self, request_id: str, token: Token, node_id: str) -> None:
        """A call failed: where it was cancelled or never sent, nothing of it stays behind (promise C6).

        Word that nobody listens may still come: that its node is gone, all should know.
        """
        self._pending.by_id.pop(request_id, None)
        # Once the answer is in, the token may be another request's already.
        if token.request_id == request_id:
            self._tokens.drop(token.text)
            self._losses.asked(node_id, token.text, self._clock())

    def undelivered(self, token: str) -> None:
        """Nobody listens on the topic of this request: it surely did not run, and the node is gone."""
        request_id = self._tokens.drop(token)
        pending = None if request_id is None else self._pending.drop(request_id)
        if pending is not None:
            self._fail(pending, ServiceNotAvailableError(pending.action, pending.node_id or None))
        node_id = self._losses.unheard(token) if pending is None else pending.node_id
        # Where the broker was away, the others come back one by one, as this node did (promise M2).
        if not node_id or self._offline.returning:
            return
        if not self._presence.lost(node_id, unexpected=True) and pending is None:
            self._losses.lost(node_id, self._clock())

    def unsent(self, token: str) -> None:
        """This request never left: its call waits for the line, as those that come after it do."""
        request_id = self._tokens.drop(token)
        pending = None if request_id is None else self._pending.drop(request_id)
        if pending is not None:
            error = BrokerDisconnectedError()
            error.unsent_bytes = 0  # Those bytes are gone; what waits are the params, which the caller holds anyway.
            self._fail(pending, error)

    def is_back(self, node_id: str) -> bool:
        """Whether this node was heard since the line came back."""
        peer, back_at = self._peers.get(node_id), self._offline.back_at
        return peer is not None and back_at is not None and peer.seen_at >= back_at

    def on_response(self, packet: ReceivedResponse) -> None:
        stream: Stream | None = None
        if packet.seq is not None and (stream := self._streaming.on_response(packet)) is TAKEN:
            return
        waiting = self._pending.by_id
        pending = waiting.get(packet.id)
        if pending is not None and pending.node_id == packet.sender:
            del waiting[packet.id]  # As `take` does, which is asked about the others.
        elif (pending := self._pending.take(packet.id, packet.sender)) is None:
            self._drop("orphan", packet.sender, f"nobody waits for an answer to '{packet.id}' from there", "RES")
            return
        future, ctx, token = pending.future, pending.ctx, pending.token
        if token is not None:
            token.request_id = None
            self._tokens.free.append(token)
        if future.done():
            return
        if packet.meta:
            ctx.merge_meta(packet.meta)
        if packet.headers:
            ctx.response_headers.update(packet.headers)
        data: object = packet.data
        if not packet.success:
            error = from_wire(packet.error, packet.sender)
            if is_refusal(error, pending.action, packet.sender, packet.id):
                error.outcome = "not run"
            future.set_exception(error)
        elif stream is not None:
            future.set_result(stream)
        elif type(data) is not Raw:
            future.set_result(None if data is UNSET else data)
        elif ctx.raw and self._may_pass_raw:
            future.set_result(RawResult(bytes(data)))
        else:
            try:
                future.set_result(self._codec.value(data))
            except SerializationError as unreadable:
                future.set_exception(unreadable)

    def _version_for(self, endpoint: Endpoint) -> str:
        """The version to speak where no single node was heard that is asked."""
        if isinstance(endpoint, BalancedEndpoint) and self._balanced is not None:
            return self._balanced.version(endpoint)
        return self._versions[-1]

    def _look(self) -> bool:
        """One look at all deadlines. Says whether anything still waits."""
        now = self._clock()
        for pending in self._pending.take_overdue(now):
            self._fail(pending, RequestTimeoutError(pending.action, pending.node_id or None))
        for pending in self._losses.take(now):
            self._fail(pending, RequestRejectedError(pending.action, pending.node_id))
        for node_id in self._losses.to_probe(now):
            self._probe(node_id, now)
        self._offline.end_overdue(now)
        return len(self._pending) > 0 or len(self._offline) > 0

    def _probe(self, node_id: str, now: float) -> None:
        """Ask a node that keeps us waiting for a sign of life: where nobody listens, the message broker says so."""
        token = self._tokens.text()
        self._losses.asked(node_id, token, now)
        ping = Ping(time=self._host.wall_ms(), id=token)
        self._send("PING", ping, node_id, self._presence.membership.version_of(node_id), token)

    def _fail(self, pending: Call, error: MoleculerError) -> None:
        future = pending.future
        if not future.done():
            future.set_exception(error)


def _may_try_again(error: BaseException, ctx: Context[Any]) -> TypeGuard[MoleculerError]:
    """Whether a call that failed is to have its second chance: it did not run, and this is not that chance."""
    return (
        isinstance(error, MoleculerError)
        and type(ctx._tried) is not list
        and ctx.stream is None
        and may_go_elsewhere(error)
    )
