"""Discovery: where a `MicroService` says that it is, and looks for others (JSON-RPC reference, section 9)."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import Any, Final

from tautomer.client.blocking import RemoteClient
from tautomer.client.failures import CalledServiceError, RemoteServiceError, ServiceUnreachable
from tautomer.client.messages import located

__all__ = ["BaseDiscoveryStrategy", "DummyCache", "HttpDiscoveryStrategy", "ServiceDiscoveryCache", "find_service"]

log = logging.getLogger("tautomer.client")

ANSWER_TIME: Final = 5.0
"""Seconds for a registry to answer."""


class BaseDiscoveryStrategy:
    """Subclass it for a registry of your own, and list one in `MicroService.discovery_strategies`.

    All of it is called in threads and may block.
    """

    def ping(self, name: str, location: str, **kwargs: Any) -> Any:
        """The service of this name is at this URL: at its start, and every `service_registry_ping_interval`."""
        raise NotImplementedError

    def locate(self, name: str) -> Sequence[str] | None:
        """URLs of the services of this name; a registry may take a pattern. None or empty: there is none."""
        raise NotImplementedError

    def leave(self, name: str, location: str) -> Any:
        """The service stops. Gemstone's strategies have no such thing; nothing happens unless it is overridden."""


class HttpDiscoveryStrategy(BaseDiscoveryStrategy):
    """A registry that is asked by JSON-RPC, such as `tautomer.ServiceRegistry`.

    Args:
        registry_location: Its URL.
        settings: As `RemoteClient` takes them: ``options`` for a token, ``timeout``.
    """

    def __init__(self, registry_location: str, **settings: Any) -> None:
        self._url = registry_location
        self._settings = {"timeout": ANSWER_TIME, **settings}

    def __repr__(self) -> str:
        return f"HttpDiscoveryStrategy({self._url!r})"

    def ping(self, name: str, location: str, **kwargs: Any) -> None:
        """As the base.

        Raises:
            RemoteServiceError: The registry was not told.
        """
        with RemoteClient(self._url, **self._settings) as registry:
            registry.methods.ping(name=name, url=location, **kwargs)

    def locate(self, name: str) -> list[str]:
        """As the base.

        Raises:
            RemoteServiceError: The registry was not asked.
        """
        with RemoteClient(self._url, **self._settings) as registry:
            return located(registry.methods.locate_service(name=name))

    def leave(self, name: str, location: str) -> None:
        """As the base."""
        self.ping(name, location, leaving=True)


class DummyCache:
    """Remembers nothing: each look-up asks anew. Subclass it for a cache of your own."""

    def add_entry(self, name: str, remote_service: RemoteClient) -> None:
        """A service of this name was found."""

    def get_entry(self, name: str) -> RemoteClient | None:
        """A service that was found under this name; None where none is remembered."""
        return None

    def drop_entry(self, name: str) -> None:
        """What was found under this name is there no more."""


class ServiceDiscoveryCache(DummyCache):
    """Remembers what was found.

    Args:
        cache_lifetime_in_seconds: For how long.
        clock: Seconds.
    """

    MOST: Final = 1000

    def __init__(self, cache_lifetime_in_seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._lifetime = cache_lifetime_in_seconds
        self._clock = clock
        # The longest known first.
        self._found: dict[str, tuple[float, RemoteClient]] = {}
        self._lock = threading.Lock()

    def add_entry(self, name: str, remote_service: RemoteClient) -> None:
        with self._lock:
            self._found.pop(name, None)
            self._found[name] = self._clock(), remote_service
            while len(self._found) > self.MOST:
                del self._found[next(iter(self._found))]

    def get_entry(self, name: str) -> RemoteClient | None:
        with self._lock:
            since, found = self._found.get(name, (0.0, None))
            if found is not None and self._clock() - since > self._lifetime:
                del self._found[name]
                return None
            return found

    def drop_entry(self, name: str) -> None:
        with self._lock:
            self._found.pop(name, None)


def find_service(strategies: Iterable[BaseDiscoveryStrategy], name: str, cache: DummyCache) -> RemoteClient:
    """A client of a service that answers: the one that is remembered, else one at random of those that a strategy knows.

    Raises:
        ValueError: There is none.
        RuntimeError: It would block the event loop.
    """
    known = cache.get_entry(name)
    if known is not None:
        try:
            # One of his own for each: who has it closes it.
            return RemoteClient.connect(known.url)
        except RemoteServiceError:
            cache.drop_entry(name)
    for strategy in strategies:
        try:
            urls = list(strategy.locate(name) or ())
        except RuntimeError:
            raise
        except Exception as error:
            log.warning(
                "a registry was not asked for a service", extra={"strategy": repr(strategy), "reason": str(error)[:200]}
            )
            continue
        random.SystemRandom().shuffle(urls)
        for url in urls:
            try:
                found = RemoteClient.connect(url)
            except (CalledServiceError, ServiceUnreachable) as error:
                log.debug("service not there", extra={"url": url, "reason": str(error)[:200]})
                continue
            cache.add_entry(name, RemoteClient(url))
            return found
    raise ValueError("Service could not be located")
