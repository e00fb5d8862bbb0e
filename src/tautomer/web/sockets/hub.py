"""WebSocketHub: what services do with sockets: channels, broadcasts, private messages (entrypoints reference, section 11)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.errors import MoleculerError
from tautomer.protocol.sockets import event_message
from tautomer.providers.pending import blocking
from tautomer.providers.provider import LiveProvider
from tautomer.threads import current_job
from tautomer.web.errors import ConnectionNotFound, UnserializableValueError
from tautomer.web.sockets.hub_service import BROADCAST, HUB, HubService
from tautomer.web.sockets.sockets import Sockets, node_tag
from tautomer.web.websocket.line import OutgoingText

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.service import Service
    from tautomer.web.sockets.socket import Socket

__all__ = ["Sent", "WebSocketHub", "WebSocketHubProvider"]

R = TypeVar("R")
Scope = Literal["cluster", "local"]

REMOTE_TIME: Final = 5.0
"""Seconds for another node to say whether a private message arrived."""

_CLOSE_CODES: Final = frozenset({1000, *range(3000, 5000)})


class Sent(Awaitable[bool]):
    """It is on its way already. Awaiting it tells whether it arrived; not awaiting it is fine.

    Raises:
        ConnectionNotFound: It did not. When it is awaited only.
    """

    __slots__ = ("_task",)

    def __init__(self, task: asyncio.Task[bool] | None = None) -> None:
        self._task = task

    def __bool__(self) -> bool:
        return True

    def __await__(self) -> Generator[Any, Any, bool]:
        if self._task is None:
            return True
        return (yield from self._task.__await__())


SENT: Final = Sent()
"""What came of something that is done at once."""


class WebSocketHub:
    """The hub of a node. All methods act at once, on the event loop as well as in a worker thread.

    Broadcasts reach the sockets of every gateway in the mesh, private messages a socket of any. Subscriptions are kept
    at the node whose socket it is, and nowhere else.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._scope = TaskScope("hub")
        self._tags: dict[str, str] = {}

    # --- channels ---

    def subscribe(self, socket_id: str, channel: str) -> Sent:
        """Let a socket of this node hear a channel. Repeating it is harmless.

        Raises:
            ConnectionNotFound: There is no such socket here.
            ValueError: The channel is no text of 1 to 200 characters, or the socket hears 100 others already.
        """
        self._act(lambda: self._socket(socket_id)[0].subscriptions.subscribe(socket_id, channel))
        return SENT

    def unsubscribe(self, socket_id: str, channel: str) -> Sent:
        """Let a socket hear a channel no more. What it does not hear, or a socket that is gone, is no error."""

        def act() -> None:
            for sockets in self._gateways:
                sockets.subscriptions.unsubscribe(socket_id, channel)

        self._act(act)
        return SENT

    def get_subscriptions(self, socket_id: str) -> list[str]:
        """The channels that a socket of this node hears, sorted; none for one that is not here."""
        return self._act(
            lambda: next((found for one in self._gateways if (found := one.subscriptions.channels(socket_id))), [])
        )

    def members(self, channel: str) -> list[str]:
        """The sockets of this node that hear a channel."""
        return self._act(lambda: [member for one in self._gateways for member in one.subscriptions.members(channel)])

    def connections(self) -> list[str]:
        """The sockets of this node, the oldest first."""
        return self._act(lambda: [socket_id for one in self._gateways for socket_id in one.open])

    # --- messages ---

    def broadcast(
        self, channel: str, event: str, data: Any = None, *, exclude: str | None = None, scope: Scope = "cluster"
    ) -> Sent:
        """Send an event to all that hear a channel now, in the whole mesh.

        Args:
            data: Anything with a JSON form.
            exclude: A socket that does not get it.
            scope: ``local``: this node's sockets only.

        Raises:
            UnserializableValueError: The data has no JSON form; nobody gets anything.
            BrokerDisconnectedError: The other nodes cannot be reached now; this node's sockets have got it.
        """
        message = _event(event, data)

        def act() -> None:
            hub = self._local()
            if hub is not None:
                hub.broadcast(channel, message, exclude)
            if scope == "cluster":
                self._broker.broadcast(BROADCAST, {"channel": channel, "text": message.text, "exclude": exclude})

        self._act(act)
        return SENT

    def unicast(self, socket_id: str, event: str, data: Any = None) -> Sent:
        """Send an event to one socket, subscribed or not, at this node or another.

        Returns:
            Something true. Awaited (in a thread: without that), it also says whether another node's socket was there.

        Raises:
            ConnectionNotFound: There is no such socket at this node, nor another node that it could be at. Of another
                node's socket when it is awaited.
            UnserializableValueError: The data has no JSON form.
        """
        message = _event(event, data)
        return self._to(
            socket_id, lambda socket: socket.send(message), "send", {"socket_id": socket_id, "text": message.text}
        )

    def disconnect(self, socket_id: str, code: int = 1000, reason: str = "") -> Sent:
        """Close a socket when all that waits for it has been sent.

        Args:
            code: 1000, or one of your own from 3000 to 4999.

        Raises:
            ConnectionNotFound: As `unicast`.
            ValueError: The code is none of these.
        """
        if code not in _CLOSE_CODES:
            raise ValueError(f"a close code is 1000, or one from 3000 to 4999, not {code!r:.80}")
        told = {"socket_id": socket_id, "code": code, "reason": reason}
        return self._to(socket_id, lambda socket: socket.line.close(code, reason), "disconnect", told)

    def data(self, socket_id: str) -> dict[str, Any]:
        """A dict that lives as long as a socket of this node.

        Raises:
            ConnectionNotFound: There is no such socket here.
        """
        return self._act(lambda: self._socket(socket_id)[1].data)

    # --- how ---

    def _to(self, socket_id: str, here: Callable[[Socket], None], there: str, told: dict[str, Any]) -> Sent:
        """Do something with a socket: here, or by an action of the node that it is at."""

        def find() -> str | None:
            """The node to ask; None where it is done."""
            hub = self._local()
            found = None if hub is None else hub.find(socket_id)
            if found is not None:
                here(found[1])
                return None
            node_id = self._node_of(socket_id)
            if node_id is None:
                raise ConnectionNotFound(socket_id)
            return node_id

        if current_job() is not None or self._foreign_loop is not None:

            async def whole() -> bool:
                node_id = find()
                return True if node_id is None else await self._ask(node_id, socket_id, there, told)

            self._blocking(whole)
            return SENT
        node_id = find()
        if node_id is None:
            return SENT
        task = self._scope.spawn(self._quiet(self._ask(node_id, socket_id, there, told)), f"hub {there}")
        return _Remote(task, socket_id)

    async def _ask(self, node_id: str, socket_id: str, verb: str, told: dict[str, Any]) -> bool:
        """
        Raises:
            ConnectionNotFound: The socket is not there, or the node says nothing.
        """
        try:
            there = await self._broker.call(f"{HUB}.{verb}", told, node_id=node_id, timeout=REMOTE_TIME)
        except MoleculerError as error:
            raise ConnectionNotFound(socket_id) from error
        if not there:
            raise ConnectionNotFound(socket_id)
        return True

    async def _quiet(self, asked: Coroutine[Any, Any, bool]) -> bool:
        """Whether it went well. Nobody may ever wait for it, and then it is nobody's error."""
        try:
            return await asked
        except ConnectionNotFound:
            return False

    def _node_of(self, socket_id: str) -> str | None:
        """The other node that has given out this id, as far as it is known."""
        tag = str(socket_id).partition("-")[0]
        nodes = self._broker.registry.nodes
        if tag not in self._tags:
            self._tags = {node_tag(node.id): node.id for node in nodes.values() if not node.local}
        return self._tags.get(tag)

    def _socket(self, socket_id: str) -> tuple[Sockets, Socket]:
        hub = self._local()
        found = None if hub is None else hub.find(socket_id)
        if found is None:
            raise ConnectionNotFound(socket_id)
        return found

    def _local(self) -> HubService | None:
        found = self._broker.get_local_service(HUB)
        return found if isinstance(found, HubService) else None

    @property
    def _gateways(self) -> list[Sockets]:
        hub = self._local()
        return [] if hub is None else hub.gateways

    def _act(self, act: Callable[[], R]) -> R:
        """Do something on the node's loop, wherever this is called."""
        if current_job() is None and self._foreign_loop is None:
            return act()

        async def whole() -> R:
            return act()

        return self._blocking(whole)

    def _blocking(self, make: Callable[[], Coroutine[Any, Any, R]]) -> R:
        return blocking(make, self._foreign_loop, "WebSocketHub", REMOTE_TIME * 2)

    @property
    def _foreign_loop(self) -> asyncio.AbstractEventLoop | None:
        """The node's loop, where this is another thread; None on it."""
        if asyncio._get_running_loop() is not None:
            return None
        hub = self._local()
        return None if hub is None else hub.loop


class _Remote(Sent):
    """On its way to another node."""

    __slots__ = ("_socket_id",)

    def __init__(self, task: asyncio.Task[bool], socket_id: str) -> None:
        super().__init__(task)
        self._socket_id = socket_id

    def __await__(self) -> Generator[Any, Any, bool]:
        if not (yield from super().__await__()):
            raise ConnectionNotFound(self._socket_id)
        return True


def _event(event: str, data: Any) -> OutgoingText:
    try:
        return OutgoingText(event_message(event, data))
    except Exception as error:  # A user's class may raise anything while it is looked at.
        raise UnserializableValueError(f"the data of '{event}' has no JSON form: {error}"[:500]) from error


class WebSocketHubProvider(LiveProvider):
    """An attribute of a service that is its node's hub: ``hub = WebSocketHubProvider()``."""

    reads_call = False

    def __init__(self) -> None:
        self._hub: WebSocketHub | None = None

    @overload
    def __get__(self, service: None, owner: type) -> WebSocketHubProvider: ...
    @overload
    def __get__(self, service: Service, owner: type) -> WebSocketHub: ...
    def __get__(self, service: Any, owner: type) -> Any:
        return super().__get__(service, owner)

    def value(self, ctx: Context[Any] | None) -> WebSocketHub:
        """The hub."""
        if self._hub is None:
            self._hub = WebSocketHub(self.container.broker)
        return self._hub
