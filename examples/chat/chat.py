"""Rooms that reach over all gateways of a mesh: who is in one hears what is said in it, at whichever gateway."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Any

from tautomer import Context, Service, WebSocketHubProvider, action, event, websocket_rpc
from tautomer.web.errors import BadRequest, Forbidden

ROOM = {"type": "string", "lowercase": True, "pattern": "^[a-z0-9-]{1,40}$"}
NAME = {"type": "string", "trim": True, "max": 40, "optional": True}
TEXT = {"type": "string", "trim": True, "min": 1, "max": 1000}
KEY = {"type": "string", "pattern": "^[A-Za-z0-9-]{8,40}$", "optional": True}

ROOMS_MAX = 10
"""Rooms that one socket may be in."""

ROOMS_KEPT, MESSAGES_KEPT = 200, 50
"""What a node remembers: the last messages of the rooms in which somebody spoke last."""

ANSWER_SECONDS = 2.0
"""For another node to say who is there, and what it remembers."""

PREFIX = "room:"


class Chat(Service):
    """Runs beside each gateway. Sockets stay at theirs; what is said goes to all.

    Clients hear ``said`` (a message), ``joined`` (``{room, member}``), ``left`` (``{room, id}``), and ``changed``
    (``{room}``): a node has come or gone, so `join` again, and learn who is there now and what was missed.

    A member is ``{id, name, known}``, where `id` is that of its socket, and `known` says that the name is from the
    handshake's authentication. A message is ``{id, room, from, text, at}``, with the seconds since 1970.
    """

    name = "chat"
    hub = WebSocketHubProvider()

    def created(self) -> None:
        self.kept: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    # --- what clients call ---

    @websocket_rpc(params={"room": ROOM, "name": NAME})
    async def join(self, socket_id: str, room: str, ctx: Context[Any], name: str = "") -> dict[str, Any]:
        """Enter a room: ``{room, me, members, messages}``. Once more is harmless."""
        me = self._member(socket_id, ctx.user, name)
        rooms = self.hub.get_subscriptions(socket_id)
        if PREFIX + room not in rooms:
            if len(rooms) >= ROOMS_MAX:
                raise BadRequest(f"{ROOMS_MAX} rooms at a time are the most", type="TOO_MANY_ROOMS")
            # First of all, so that nothing is missed between what is remembered and what is heard.
            self.hub.subscribe(socket_id, PREFIX + room)
            self.hub.broadcast(PREFIX + room, "joined", {"room": room, "member": me}, exclude=socket_id)
        members, messages = await self._members(ctx, room), await self._messages(ctx, room)
        return {"room": room, "me": me, "members": members, "messages": messages}

    @websocket_rpc(params={"room": ROOM})
    async def leave(self, socket_id: str, room: str) -> None:
        """Leave a room. From one in which the socket is not, too."""
        if PREFIX + room in self.hub.get_subscriptions(socket_id):
            self.hub.unsubscribe(socket_id, PREFIX + room)
            self._tell_left(PREFIX + room, socket_id)

    @websocket_rpc(params={"room": ROOM, "text": TEXT, "key": KEY})
    async def say(
        self, socket_id: str, room: str, text: str, ctx: Context[Any], key: str | None = None
    ) -> dict[str, Any]:
        """Tell all that are in the room, the speaker too. Returns ``{id, at}``.

        Args:
            key: The client's own id for the message. Who does not know whether it was said says it again with the same.
        """
        me = self._in(socket_id, room)
        message = next((one for one in self.kept.get(room, ()) if one["id"] == key), None)
        if message is None:
            message = {"id": key or self.broker.new_id(), "room": room, "from": me, "text": text, "at": time.time()}
            self.hub.broadcast(PREFIX + room, "said", message)  # Sockets at all gateways.
            await ctx.broadcast("chat.said", message)  # And all nodes, to remember it.
        return {"id": message["id"], "at": message["at"]}

    @websocket_rpc(params={"room": ROOM})
    async def who(self, socket_id: str, room: str, ctx: Context[Any]) -> list[dict[str, Any]]:
        """Who is in the room, at all gateways."""
        self._in(socket_id, room)
        return await self._members(ctx, room)

    @websocket_rpc(params={"room": ROOM})
    async def history(self, socket_id: str, room: str, ctx: Context[Any]) -> list[dict[str, Any]]:
        """What was said in the room last, the oldest first."""
        self._in(socket_id, room)
        return await self._messages(ctx, room)

    # --- what nodes tell each other ---

    @event("chat.said")
    def on_said(self, ctx: Context[Any]) -> None:
        """Here or at another node: keep it."""
        message = ctx.params
        kept = self.kept.setdefault(message["room"], deque(maxlen=MESSAGES_KEPT))
        kept.append(message)
        self.kept.move_to_end(message["room"])
        if len(self.kept) > ROOMS_KEPT:
            self.kept.popitem(last=False)

    @event("$socket.disconnected")
    def on_gone(self, ctx: Context[Any]) -> None:
        """A socket of this node was closed, by whomever."""
        for channel in ctx.params["channels"]:
            if channel.startswith(PREFIX):
                self._tell_left(channel, ctx.params["socket_id"])

    @event("$node.connected")
    @event("$node.disconnected")
    @event("$node.updated")
    def on_mesh(self, ctx: Context[Any]) -> None:
        """With a node its members come and go, and nobody says so. One that is back soon after a crash is but updated.

        Told to all, as between two nodes each learns of the other at another moment, and may have missed something.
        """
        sockets = self.hub.connections()
        for channel in dict.fromkeys(one for socket_id in sockets for one in self.hub.get_subscriptions(socket_id)):
            if channel.startswith(PREFIX):
                self.hub.broadcast(channel, "changed", {"room": channel.removeprefix(PREFIX)})

    @action(visibility="public", params={"room": ROOM})
    async def members_here(self, ctx: Context[Any]) -> list[dict[str, Any]]:
        """Who of this node's sockets is in the room."""
        return [self.hub.data(one)["member"] for one in self.hub.members(PREFIX + ctx.params["room"])]

    @action(visibility="public", params={"room": ROOM})
    async def messages_here(self, ctx: Context[Any]) -> list[dict[str, Any]]:
        """What this node remembers of the room."""
        return list(self.kept.get(ctx.params["room"], ()))

    # --- how ---

    async def _members(self, ctx: Context[Any], room: str) -> list[dict[str, Any]]:
        members = await self._everywhere(ctx, "members_here", room)
        return sorted(members, key=lambda one: (one["name"].casefold(), one["id"]))

    async def _messages(self, ctx: Context[Any], room: str) -> list[dict[str, Any]]:
        # One that has just started remembers less than the others, so all are asked; of copies one is enough.
        messages = {one["id"]: one for one in await self._everywhere(ctx, "messages_here", room)}
        return sorted(messages.values(), key=lambda one: (one["at"], one["id"]))[-MESSAGES_KEPT:]

    async def _everywhere(self, ctx: Context[Any], name: str, room: str) -> list[dict[str, Any]]:
        """What the chats of all nodes answer, together. A node that says nothing is left out: it is about to be lost."""
        services = await ctx.call("$node.services", {"onlyAvailable": True})
        nodes = next(one["nodes"] for one in services if one["name"] == self.name)
        asked = {"action": f"{self.name}.{name}", "params": {"room": room}}
        answers = await ctx.mcall(
            [{**asked, "options": {"node_id": one, "timeout": ANSWER_SECONDS}} for one in nodes], settled=True
        )
        return [item for one in answers if one["status"] == "fulfilled" for item in one["value"]]

    def _member(self, socket_id: str, user: Any, name: str) -> dict[str, Any]:
        """Whose socket it is: whom the handshake has found, else the name that it gives itself, once."""
        data = self.hub.data(socket_id)
        if "member" not in data:
            wanted = user["name"] if user else name
            if not wanted:
                raise BadRequest("a name is missing", type="NAME_MISSING")
            if not wanted.isprintable():
                raise BadRequest("a name is made of what can be seen", type="NAME_UNREADABLE")
            data["member"] = {"id": socket_id, "name": wanted, "known": bool(user)}
        elif name and not user and name != data["member"]["name"]:
            raise BadRequest("another name needs another connection", type="NAME_TAKEN_ALREADY")
        return data["member"]

    def _in(self, socket_id: str, room: str) -> dict[str, Any]:
        """The member that this socket is, if it is in the room."""
        if PREFIX + room not in self.hub.get_subscriptions(socket_id):
            raise Forbidden(f"join '{room}' first", type="NOT_IN_ROOM")
        return self.hub.data(socket_id)["member"]

    def _tell_left(self, channel: str, socket_id: str) -> None:
        self.hub.broadcast(channel, "left", {"room": channel.removeprefix(PREFIX), "id": socket_id})
