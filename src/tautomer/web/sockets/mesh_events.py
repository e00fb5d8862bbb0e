"""MeshEvents: events of the mesh that clients may listen to, as far as a list allows them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tautomer.errors import ForbiddenError
from tautomer.registry.matching import matcher
from tautomer.web.errors import IncorrectSignature
from tautomer.web.sockets.subscriptions import Subscriptions

__all__ = ["SUBSCRIBE", "UNSUBSCRIBE", "MeshEvents"]

SUBSCRIBE: Final = "$subscribe"
UNSUBSCRIBE: Final = "$unsubscribe"


class MeshEvents:
    """Who of a gateway's sockets listens to what.

    A client asks for an event by its name, if a pattern of the list fits it, or by one of these patterns as it is
    written. Events of the framework itself, whose names begin with ``$``, are never told.

    Args:
        allowed: Patterns of event names, as listeners have them.
    """

    __slots__ = ("_allowed", "_subscriptions")

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed: dict[str, Callable[[str], bool]] = {pattern: matcher(pattern) for pattern in allowed}
        self._subscriptions = Subscriptions()

    def answer(self, socket_id: str, method: str, data: Mapping[str, Any]) -> dict[str, list[str]] | None:
        """What a client that asks to subscribe or unsubscribe is told: ``{"events": [...]}``; None for any other method.

        Raises:
            IncorrectSignature: There is no `event`, or more than that.
            ForbiddenError: ``EVENT_NOT_ALLOWED``.
        """
        if method not in (SUBSCRIBE, UNSUBSCRIBE) or not self._allowed:
            return None
        event = data.get("event")
        if not isinstance(event, str) or len(data) != 1:
            raise IncorrectSignature("the only argument is 'event', a text")
        if method == UNSUBSCRIBE:
            self._subscriptions.unsubscribe(socket_id, event)
        elif not self._is_allowed(event):
            raise ForbiddenError("EVENT_NOT_ALLOWED")
        else:
            try:
                self._subscriptions.subscribe(socket_id, event)
            except ValueError as error:
                raise IncorrectSignature(str(error)) from None
        return {"events": self._subscriptions.channels(socket_id)}

    def forget(self, socket_id: str) -> None:
        """A socket is gone."""
        self._subscriptions.forget(socket_id)

    def listeners(self, event: str, heard_as: str) -> list[str]:
        """Who is to be told of an event; nobody, where it is heard by another pattern of the list, too, that comes first.

        Args:
            heard_as: The pattern by which the gateway heard of it.
        """
        if event.startswith("$"):
            return []
        fitting = [pattern for pattern, fits in self._allowed.items() if fits(event)]
        if not fitting or fitting[0] != heard_as:
            return []
        found: dict[str, None] = {}
        for name in (event, *fitting):
            found.update(dict.fromkeys(self._subscriptions.members(name)))
        return list(found)

    def _is_allowed(self, event: str) -> bool:
        if event in self._allowed:
            return True
        if "*" in event or "?" in event or event.startswith("$"):
            return False
        return any(fits(event) for fits in self._allowed.values())
