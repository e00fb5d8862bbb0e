"""ServiceRegistry: tells gemstone's clients where services are (JSON-RPC reference, section 9)."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any, Final

from tautomer.errors import ValidationError
from tautomer.microservice import MicroService
from tautomer.web.decorators import private_api_method, public_method

__all__ = ["AnnouncedPlaces", "ServiceRegistry"]

_URL = re.compile(r"(?:https?|wss?)://[!-~]{1,2000}", re.IGNORECASE)


class ServiceRegistry(MicroService):
    """Tells gemstone's clients where services are: all in the mesh that say so (`MicroService.url`), and those that ping it.

    ``RemoteClient.get_service_by_name("http://registry:8001/api", "hello.*")`` asks it. Who may ping it can send clients
    wherever he likes, so that takes a token that `api_token_is_valid` accepts.

    Attributes:
        open_to_all: Whether anybody may ping, as at registries of gemstone's.
        ping_interval: Seconds between pings, as services have it; who is silent for three of these is forgotten.
    """

    name = "service.registry"
    port = 8001
    open_to_all: bool = False
    ping_interval: float = 30.0

    def created(self) -> None:
        """As `MicroService`."""
        self._places = AnnouncedPlaces(3 * self.ping_interval)
        super().created()

    async def rpc_access(self, request: Any) -> Any:
        """As `MicroService`."""
        return self.open_to_all or await super().rpc_access(request)

    @private_api_method
    async def ping(self, name: str, url: str = "", host: str = "", port: int = 0, leaving: bool = False) -> None:
        """A service is at a URL, or at ``/api`` of a host and port; or it leaves.

        Raises:
            ValidationError: It cannot be there.
        """
        place = url or (f"http://{host}:{port}/api" if host and port else "")
        if leaving:
            self._places.leave(name, place)
        elif not self._places.announce(name, place, self.broker.clock()):
            raise ValidationError(
                "a service has a name, and a URL with http:, https:, ws: or wss:", data={"field": "url"}
            )

    @public_method
    async def locate_service(self, name: str) -> list[str]:
        """URLs of the services whose name fits a pattern with ``*``, ``?`` and ``[…]``, upper and lower case told apart."""
        found = {
            str(service.metadata["accessible_at"])
            for service in self.broker.registry.services
            if isinstance(service.metadata.get("accessible_at"), str) and fnmatchcase(service.name, name)
        }
        return sorted(found.union(self._places.fitting(name, self.broker.clock())))

    @property
    def _checks_tokens(self) -> bool:
        # That nobody may ping is how it is meant, until somebody says otherwise.
        return True


class AnnouncedPlaces:
    """Where services say that they are, as long as they keep saying so.

    Args:
        lifetime: Seconds for which one is believed.
    """

    MOST: Final = 10_000

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        # When each was last heard of; the longest silent first.
        self._heard: dict[tuple[str, str], float] = {}

    def announce(self, name: str, url: str, now: float) -> bool:
        """Take note. Whether it can be, and there was room for it."""
        self._forget(now)
        known = self._heard.pop((name, url), None)
        if known is None and (len(self._heard) >= self.MOST or not name or len(name) > 200 or not _URL.fullmatch(url)):
            return False
        self._heard[name, url] = now
        return True

    def leave(self, name: str, url: str) -> None:
        """Forget it."""
        self._heard.pop((name, url), None)

    def fitting(self, pattern: str, now: float) -> list[str]:
        """URLs of those whose name fits."""
        self._forget(now)
        return [url for name, url in self._heard if fnmatchcase(name, pattern)]

    def _forget(self, now: float) -> None:
        while self._heard and now - self._heard[first := next(iter(self._heard))] > self._lifetime:
            del self._heard[first]
