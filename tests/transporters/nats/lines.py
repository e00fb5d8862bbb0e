"""A link that remembers, and transporters that are closed at the end of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from tautomer.host import Host
from tautomer.transporters.nats import NatsOptions, NatsTransporter

SECONDS = 20.0


async def until(claim: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.002)


class RecordingLink:
    """Remembers what a transporter reports.

    Attributes:
        messages: (topic, data), oldest first.
        states: ``"up"``, ``"down: reason"`` and ``"unsent: token"``, oldest first.
        tokens: Of what nobody listened to.
        on_message: Called for each message, may raise.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.states: list[str] = []
        self.tokens: list[str] = []
        self.on_message: Callable[[str, bytes], None] = lambda topic, data: None

    @property
    def payloads(self) -> list[bytes]:
        return [data for _, data in self.messages]

    def receiver(self, topic: str) -> Callable[[bytes], None]:
        return partial(self.received, topic)

    def received(self, topic: str, data: bytes) -> None:
        self.messages.append((topic, data))
        self.on_message(topic, data)

    def undelivered(self, token: str) -> None:
        self.tokens.append(token)

    def unsent(self, token: str) -> None:
        self.states.append(f"unsent: {token}")

    def up(self) -> None:
        self.states.append("up")

    def down(self, reason: str) -> None:
        self.states.append(f"down: {reason}")


class Line:
    """Makes connected transporters for one test."""

    def __init__(self) -> None:
        self._open: list[NatsTransporter] = []

    def make(self, url: str | Sequence[str], **options: object) -> NatsTransporter:
        """One that is not connected yet. Its pauses are short, unless the test says otherwise."""
        settings = NatsOptions(**{"pause": 0.01, "pause_max": 0.05, "shuffle": False, **options})  # type: ignore[arg-type]
        transporter = NatsTransporter(url, Host(), settings)
        self._open.append(transporter)
        return transporter

    async def connect(
        self, url: str | Sequence[str], *topics: str, **options: object
    ) -> tuple[NatsTransporter, RecordingLink]:
        transporter, link = self.make(url, **options), RecordingLink()
        async with asyncio.timeout(SECONDS):
            await transporter.connect(link)
            if topics:
                await transporter.subscribe(topics)
        return transporter, link

    async def close(self) -> None:
        for transporter in self._open:
            async with asyncio.timeout(SECONDS):
                await transporter.close()
