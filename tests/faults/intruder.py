"""Somebody on the bus who keeps to no rule: raw packets over a NATS client that is not ours."""

from __future__ import annotations

import asyncio
import json
from itertools import count
from types import TracebackType
from typing import Any, Self

from nats.aio.msg import Msg

import nats
from tests.nats_flush import flush


class Intruder:
    """Says whatever a test wants, as any node, and hears all that is said.

    Attributes:
        heard: (subject, packet) of every message that is a JSON object, oldest first.
    """

    def __init__(self, url: str, node_id: str = "intruder") -> None:
        self.url = url
        self.id = node_id
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._client = nats.NATS()
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._ids = count(1)

    async def __aenter__(self) -> Self:
        await self._client.connect(self.url)
        await self._client.subscribe("MOL.>", cb=self._hear)
        await self.flush()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def _hear(self, message: Msg) -> None:
        try:
            packet = json.loads(message.data)
        except (ValueError, RecursionError):
            return  # One of our own.
        if not isinstance(packet, dict):
            return
        if message.subject == f"MOL.RES.{self.id}" and (waiting := self._answers.pop(str(packet.get("id")), None)):
            waiting.set_result(packet)
        self.heard.append((message.subject, packet))

    async def say(self, command: str, to: str | None = None, **fields: Any) -> None:
        """Send a packet: version 5, in our own name, unless the fields say otherwise."""
        await self.say_bytes(command, json.dumps({"ver": "5", "sender": self.id, **fields}).encode(), to)

    async def say_bytes(self, command: str, data: bytes, to: str | None = None) -> None:
        await self._client.publish(f"MOL.{command}" if to is None else f"MOL.{command}.{to}", data)

    async def flush(self) -> None:
        """Return when the server has taken all that was said."""
        await flush(self._client)

    async def ask(
        self, to: str, action: str, params: Any = None, seconds: float = 10.0, **fields: Any
    ) -> dict[str, Any]:
        """A good request; its answer. What was sent to that node before has been handled by then."""
        request_id = f"{self.id}-{next(self._ids)}"
        answer = self._answers[request_id] = asyncio.get_running_loop().create_future()
        await self.say("REQ", to, **request(request_id, action, params, **fields))
        async with asyncio.timeout(seconds):
            return await answer

    def packets(self, subject: str, **fields: Any) -> list[dict[str, Any]]:
        """What was said there with these fields."""
        return [
            packet
            for where, packet in self.heard
            if where == subject and all(packet.get(key) == value for key, value in fields.items())
        ]


def request(request_id: str, action: str, params: Any = None, **fields: Any) -> dict[str, Any]:
    """The fields of a REQ."""
    return {
        "id": request_id,
        "action": action,
        "params": {} if params is None else params,
        "meta": {},
        "timeout": 5000,
        "level": 1,
        "requestID": request_id,
        **fields,
    }


def info(*services: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The fields of an INFO."""
    return {
        "services": list(services),
        "ipList": ["192.0.2.66"],
        "hostname": "elsewhere",
        "client": {"type": "nodejs"},
        "config": {},
        "instanceID": "another-instance",
        "metadata": {},
        "seq": 10**6,
        **fields,
    }


def service(name: str, *actions: str) -> dict[str, Any]:
    """A service as INFO has it."""
    entries = {f"{name}.{action}": {"name": f"{name}.{action}", "rawName": action} for action in actions}
    return {"name": name, "fullName": name, "settings": {}, "metadata": {}, "actions": entries, "events": {}}
