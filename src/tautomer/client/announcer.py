"""Announcer: tells registries where a service is (JSON-RPC reference, section 9)."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.client.awaited import AsyncRemoteClient
from tautomer.client.failures import CalledServiceError, RemoteServiceError

__all__ = ["Announcer"]

log = logging.getLogger("tautomer.client")

ANSWER_TIME: Final = 5.0
"""Seconds for a registry to answer."""

LEAVE_TIME: Final = 1.0
"""Seconds for all of them to hear that the service leaves."""

PAUSE: Final = 1.0
"""Seconds before another try after one that failed, doubling up to the interval, a half more or less."""


class Announcer:
    """Pings each registry at the start and at an interval, and says good-bye. One that is away is asked again, and warned of once.

    Registries of gemstone 0.4 and later take a URL, older ones host and port: what the first refuses the second gets.

    Args:
        registries: Their URLs.
        name: Of the service.
        place: Where it is: ``{"url", "host", "port"}``.
        interval: Seconds between pings.
        options: How a token is shown, as `RemoteClient` takes it.
    """

    def __init__(
        self,
        registries: Sequence[str],
        name: str,
        place: Mapping[str, Any],
        interval: float,
        options: Mapping[str, Any] | None,
    ) -> None:
        self._clients = [AsyncRemoteClient(url, options=options, timeout=ANSWER_TIME) for url in registries]
        self._shapes = [
            {"name": name, "url": place["url"]},
            {"name": name, "host": place["host"], "port": place["port"]},
        ]
        self._interval = interval
        self._scope = TaskScope("registry pings")
        self._random = random.SystemRandom()
        # Those that have taken a ping, and the form in which they did.
        self._known: dict[AsyncRemoteClient, dict[str, Any]] = {}

    def start(self) -> None:
        """Begin."""
        for client in self._clients:
            self._scope.spawn(self._repeat(client), "registry ping")

    async def close(self) -> None:
        """End, and let the registries know."""
        await self._scope.close(0)
        farewells = TaskScope("registry farewells")
        for client, told in self._known.items():
            farewells.spawn(self._leave(client, told), "registry farewell")
        await farewells.close(LEAVE_TIME)
        for client in self._clients:
            await client.close()

    async def _repeat(self, client: AsyncRemoteClient) -> None:
        failures = 0
        while True:
            try:
                await self._ping(client)
            except RemoteServiceError as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "registry was not told where the service is; it is tried again",
                        extra={"registry": client.url, "reason": str(error)[:200]},
                    )
            else:
                if failures:
                    log.info("registry was told where the service is", extra={"registry": client.url})
                failures = 0
            pause = min(self._interval, PAUSE * 2 ** min(failures - 1, 10)) if failures else self._interval
            await asyncio.sleep(pause * (0.5 + self._random.random()) if failures else pause)

    async def _ping(self, client: AsyncRemoteClient) -> None:
        """
        Raises:
            RemoteServiceError: It cannot be reached, or takes neither form.
        """
        known = self._known.get(client)
        result = None
        for shape in [known] if known is not None else self._shapes:
            result = await client.call_method("ping", shape)
            if result.error is None:
                self._known[client] = shape
                return
        self._known.pop(client, None)
        assert result is not None
        raise CalledServiceError(result.error)

    async def _leave(self, client: AsyncRemoteClient, told: dict[str, Any]) -> None:
        try:
            await client.call_method("ping", {**told, "leaving": True})
        except RemoteServiceError as error:
            log.debug(
                "registry did not hear that the service leaves", extra={"registry": client.url, "error": str(error)}
            )
