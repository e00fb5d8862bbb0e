"""Tries: how long a client waits, and what it sends again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from tautomer.client.failures import RequestTimeout, ServiceUnreachable

__all__ = ["ANSWER_BYTES_MAX", "RETRY_DELAY", "Tries"]

T = TypeVar("T")

ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024
RETRY_DELAY: Final = 0.05
"""Seconds before the first retry; doubles each time."""


@dataclass(slots=True)
class Tries:
    """
    Attributes:
        timeout: Seconds for each request, all of it.
        retries: How often a request is sent again where it surely did not reach the service.
        idempotent: Whether it may be sent again, too, where it may have.
    """

    timeout: float
    retries: int
    idempotent: bool

    def may_retry(self, error: Exception, tried: int) -> bool:
        """Whether to send once more what failed of this."""
        if tried >= self.retries:
            return False
        unsent = isinstance(error, ServiceUnreachable) and error.args[1:] == ("unsent",)
        return unsent or self.idempotent

    async def run(self, send: Callable[[], Awaitable[T]], url: str) -> T:
        """What `send` gives, in time.

        Raises:
            RequestTimeout: The time is over.
            ServiceUnreachable: As the last try.
        """
        tried = 0
        try:
            async with asyncio.timeout(self.timeout):
                while True:
                    try:
                        return await send()
                    except (ServiceUnreachable, RequestTimeout) as error:
                        if not self.may_retry(error, tried):
                            raise
                    await asyncio.sleep(RETRY_DELAY * 2**tried)
                    tried += 1
        except RequestTimeout:
            raise
        except TimeoutError as error:
            raise RequestTimeout(f"{url} gave no answer in {self.timeout:g} s") from error
