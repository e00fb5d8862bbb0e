"""A node that is none of ours: it says over the memory transporter whatever bytes a test gives it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from tautomer.transporters.memory import MemoryTransporter
from tests.faults.intruder import info, service


class Peer:
    """Offers ``far.thing``, and answers each request for it with `answer`.

    Attributes:
        answer: Fields of the RES as JSON text, without the braces; a placeholder ``ID`` is the request's id.
        asked: Requests so far.
    """

    id = "peer"

    def __init__(self, url: str) -> None:
        self.answer = '"success":true,"data":1'
        self.asked: list[dict[str, Any]] = []
        self._line = MemoryTransporter(url)

    async def join(self) -> None:
        await self._line.connect(self)
        await self._line.subscribe(
            ["MOL.DISCOVER", f"MOL.DISCOVER.{self.id}", f"MOL.REQ.{self.id}", "MOL.PING", f"MOL.PING.{self.id}"]
        )
        self._say("INFO", **info(service("far", "thing")))

    async def leave(self) -> None:
        await self._line.close()

    def receiver(self, topic: str) -> Callable[[bytes], None]:
        return partial(self.received, topic)

    def received(self, topic: str, data: bytes) -> None:
        command, packet = topic.split(".")[1], json.loads(data)
        sender = packet["sender"]
        if command == "DISCOVER":
            self._say("INFO", sender, **info(service("far", "thing")))
        elif command == "PING":
            self._say("PONG", sender, time=packet["time"], arrived=packet["time"], id=packet.get("id"))
        elif command == "REQ":
            self.asked.append(packet)
            head = f'{{"ver":"5","sender":"{self.id}","id":{json.dumps(packet["id"])}'
            # What a test has in mind may be no text at all.
            self._line.send(f"MOL.RES.{sender}", f"{head},{self.answer}}}".encode("utf-8", "surrogateescape"))

    def undelivered(self, token: str) -> None:
        pass

    def unsent(self, token: str) -> None:
        pass

    def up(self) -> None:
        pass

    def down(self, reason: str) -> None:
        pass

    def _say(self, command: str, to: str | None = None, **fields: Any) -> None:
        topic = f"MOL.{command}" if to is None else f"MOL.{command}.{to}"
        self._line.send(topic, json.dumps({"ver": "5", "sender": self.id, **fields}).encode())
