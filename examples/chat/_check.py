"""Two guests who talk, each at a gateway of their own, and whether what they hear is right."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

WAIT_SECONDS = 10.0


class CheckError(Exception):
    """It makes no sense to go on."""


class Guest:
    """One end of a WebSocket."""

    def __init__(self, line: ClientConnection) -> None:
        self._line = line
        self._heard: list[dict[str, Any]] = []
        self._count = 0

    async def call(self, method: str, **data: Any) -> dict[str, Any]:
        """The message with the result; events before it are kept for `hears`."""
        self._count += 1
        await self._line.send(json.dumps({"method": method, "data": data, "correlation_id": self._count}))
        while (message := await self._next())["type"] == "event":
            self._heard.append(message)
        return message

    async def ask(self, method: str, **data: Any) -> Any:
        """The result's data."""
        told = await self.call(method, **data)
        if not told["success"]:
            raise CheckError(f"{method} was refused: {told['error']['value']}")
        return told["data"]

    async def hears(self, event: str) -> Any:
        """Data of the next event of that name."""
        while self._heard:
            message = self._heard.pop(0)
            if message["event"] == event:
                return message["data"]
        while (message := await self._next()).get("event") != event:
            pass
        return message["data"]

    async def _next(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                message: dict[str, Any] = json.loads(await self._line.recv())
        except TimeoutError:
            raise CheckError(f"nothing was heard for {WAIT_SECONDS:g} s") from None
        return message


@asynccontextmanager
async def guest(url: str, token: str = "") -> AsyncIterator[Guest]:
    """
    Args:
        url: Of a gateway, ``http://…``.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with connect(f"{url.replace('http', 'ws', 1)}/ws", additional_headers=headers, proxy=None) as line:
        one = Guest(line)
        await one.hears("connected")
        yield one


async def check(here: str, there: str, token: str, name: str) -> list[str]:
    """Talk through two gateways. Prints a line for each thing looked at, and returns those that are wrong.

    Args:
        token: One that the gateways know, and the name that goes with it.

    Raises:
        CheckError: A guest was refused, or heard nothing.
    """
    wrong: list[str] = []

    def see(what: str, is_right: bool) -> None:
        print(f"  {'ok  ' if is_right else 'FAIL'} {what}", flush=True)
        if not is_right:
            wrong.append(what)

    for url in (here, there):
        headers = await asyncio.to_thread(_headers, url)
        see(f"the page is at {url}, under a strict policy", "default-src 'none'" in headers)

    async with guest(here) as ann:
        await ann.ask("chat.join", room="lobby", name="Ann <b>")
        async with guest(there, token) as bob:
            await _talk(ann, bob, name, see)
        left = await ann.hears("left")
        see("who is gone has left", left["id"] not in [one["id"] for one in await ann.ask("chat.who", room="lobby")])
        await _refusals(ann, see)

    try:
        async with guest(here, "wrong"):
            see("a token that is not known is refused", False)
    except InvalidStatus as refused:
        see("a token that is not known is refused", refused.response.status_code == 401)
    return wrong


async def _talk(ann: Guest, bob: Guest, name: str, see: Callable[[str, bool], None]) -> None:
    joined = await bob.ask("chat.join", room="lobby")
    see("a token gives a name", (name, True) == (joined["me"]["name"], joined["me"]["known"]))
    while len(there := await bob.ask("chat.who", room="lobby")) < 2:
        await bob.hears("changed")  # The two gateways have not met yet.
    see("members of both gateways are listed", sorted(["Ann <b>", name]) == sorted(one["name"] for one in there))

    said = await ann.ask("chat.say", room="lobby", text=" <i>hello</i> ", key="first-one")
    heard = await bob.hears("said")
    see(
        "what is said here is heard there, as it is",
        heard["from"]["name"] == "Ann <b>" and heard["text"] == "<i>hello</i>",
    )
    again = await ann.ask("chat.say", room="lobby", text="<i>hello</i>", key="first-one")
    await bob.ask("chat.say", room="lobby", text="and you")
    heard = await bob.hears("said")
    see("what is sent twice is said once", said == again and heard["text"] == "and you")
    texts = [one["text"] for one in await bob.ask("chat.history", room="lobby")]
    see("it is remembered", texts[-2:] == ["<i>hello</i>", "and you"])


async def _refusals(ann: Guest, see: Callable[[str, bool], None]) -> None:
    for what, method, data, expected in [
        ("an empty message", "chat.say", {"room": "lobby", "text": "  "}, "VALIDATION_ERROR"),
        ("a room with a bad name", "chat.join", {"room": "<b>"}, "VALIDATION_ERROR"),
        ("to speak in a room from outside", "chat.say", {"room": "cellar", "text": "x"}, "NOT_IN_ROOM"),
        ("another name on the same line", "chat.join", {"room": "lobby", "name": "Eve"}, "NAME_TAKEN_ALREADY"),
        ("an argument that is not known", "chat.who", {"room": "lobby", "x": 1}, "INCORRECT_SIGNATURE"),
        ("an action of the node", "chat.members_here", {"room": "lobby"}, "METHOD_NOT_FOUND"),
    ]:
        told = await ann.call(method, **data)
        see(f"refused: {what}", not told["success"] and told["error"]["type"] == expected)


def _headers(url: str) -> str:
    with urllib.request.urlopen(url, timeout=WAIT_SECONDS) as answer:
        return str(answer.headers["Content-Security-Policy"])
