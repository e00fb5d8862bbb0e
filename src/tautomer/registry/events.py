"""Subscriptions by pattern and group, with a match cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tautomer.ports import Strategy
from tautomer.protocol.topics import NAME_CHARS_MAX
from tautomer.registry.endpoints import EventEndpoint
from tautomer.registry.matching import matcher

NAMES_CACHED: Final = 2_000


class Listeners:
    """All subscriptions with one pattern and one group: of these, one hears an emitted event.

    Attributes:
        hears: Says whether the pattern matches the name of an event.
        local: This node's own.
        only: The one to take without asking the strategy, or None.
    """

    __slots__ = ("_all", "_prefer_local", "_ready", "_strategy", "group", "hears", "local", "only", "pattern")

    def __init__(self, pattern: str, group: str, strategy: Strategy, prefer_local: bool) -> None:
        self.pattern = pattern
        self.group = group
        self.hears = matcher(pattern)
        self._strategy = strategy
        self._prefer_local = prefer_local
        self._all: tuple[EventEndpoint, ...] = ()
        self._ready: tuple[EventEndpoint, ...] = ()
        self.only: EventEndpoint | None = None
        self.local: tuple[EventEndpoint, ...] = ()

    @property
    def all(self) -> tuple[EventEndpoint, ...]:
        return self._all

    def set(self, endpoints: Iterable[EventEndpoint]) -> None:
        self._all = tuple(endpoints)
        ready = tuple(endpoint for endpoint in self._all if endpoint.available)
        self.local = tuple(endpoint for endpoint in ready if endpoint.local)
        self._ready = ready = self.local if self._prefer_local and self.local else ready
        self.only = ready[0] if len(ready) == 1 else None

    def next(self) -> EventEndpoint | None:
        """The one whose turn it is, or None if nobody is ready."""
        if self.only is not None:
            return self.only
        return self._strategy.select(self._ready, None) if self._ready else None

    def next_local(self) -> EventEndpoint | None:
        """The one of this node's own whose turn it is, or None if it has none."""
        local = self.local
        if len(local) <= 1:
            return local[0] if local else None
        return self._strategy.select(local, None)


@dataclass(frozen=True, slots=True)
class Audience:
    """Who hears events of one name, worked out once until subscriptions change.

    Attributes:
        lists: Every list whose pattern matches.
        plain: The listener to call at once, when it is the only one, local, and a plain function.
    """

    lists: tuple[Listeners, ...]
    plain: EventEndpoint | None


NOBODY: Final = Audience((), None)


class EventTable:
    """Who listens to what in the whole mesh.

    `groups` of the methods below: those that are asked for; None or none of them means all.
    """

    __slots__ = ("_audiences", "_lists", "_prefer_local", "_strategy")

    def __init__(self, strategy: Callable[[], Strategy], prefer_local: bool) -> None:
        self._strategy = strategy
        self._prefer_local = prefer_local
        self._lists: dict[tuple[str, str], Listeners] = {}
        self._audiences: dict[str, Audience] = {}

    @property
    def lists(self) -> tuple[Listeners, ...]:
        return tuple(self._lists.values())

    def add(self, endpoint: EventEndpoint) -> None:
        key = (endpoint.name, endpoint.group)
        listeners = self._lists.get(key)
        if listeners is None:
            listeners = self._lists[key] = Listeners(
                endpoint.name, endpoint.group, self._strategy(), self._prefer_local
            )
        listeners.set((*listeners.all, endpoint))
        self._audiences.clear()

    def remove(self, goes: Callable[[EventEndpoint], bool]) -> None:
        """Forget all endpoints for which `goes` is true."""
        for key, listeners in list(self._lists.items()):
            kept = [endpoint for endpoint in listeners.all if not goes(endpoint)]
            if len(kept) == len(listeners.all):
                continue
            if kept:
                listeners.set(kept)
            else:
                del self._lists[key]
        self._audiences.clear()

    def audience(self, event: str) -> Audience:
        """Who hears events of this name; nobody, if it is longer than a name may be."""
        found = self._audiences.get(event)
        if found is None:
            if len(event) > NAME_CHARS_MAX:
                return NOBODY  # It comes from a stranger, and is neither to be matched for long nor to be kept.
            found = self._find(event)
            if len(self._audiences) >= NAMES_CACHED:
                self._audiences.clear()  # Names made up at run time must not grow the table for ever.
            self._audiences[event] = found
        return found

    def _find(self, event: str) -> Audience:
        lists = tuple(listeners for listeners in self._lists.values() if listeners.hears(event))
        only = lists[0].only if len(lists) == 1 else None
        return Audience(lists, only if only is not None and only.local and only.plain is not None else None)

    def balanced(self, event: str, groups: Sequence[str] | None) -> list[tuple[EventEndpoint, str]]:
        """One endpoint of each list that hears the event and whose group is asked for, with that group."""
        chosen = []
        for listeners in self.audience(event).lists:
            if groups and listeners.group not in groups:
                continue
            endpoint = listeners.next()
            if endpoint is not None:
                chosen.append((endpoint, listeners.group))
        return chosen

    def everyone(self, event: str, groups: Sequence[str] | None) -> list[EventEndpoint]:
        """Every endpoint that hears the event."""
        return [
            endpoint
            for listeners in self.audience(event).lists
            if not groups or listeners.group in groups
            for endpoint in listeners.all
            if endpoint.available
        ]

    def local(self, event: str, groups: Sequence[str] | None) -> list[EventEndpoint]:
        """This node's own endpoints that hear the event."""
        return [endpoint for endpoint in self.everyone(event, groups) if endpoint.local]

    def local_balanced(self, event: str, groups: Sequence[str] | None) -> list[EventEndpoint]:
        """One of this node's own endpoints for each list that hears an event sent to it by another node."""
        chosen = []
        for listeners in self.audience(event).lists:
            if not groups or listeners.group in groups:
                endpoint = listeners.next_local()
                if endpoint is not None:
                    chosen.append(endpoint)
        return chosen

    def groups(self, event: str) -> list[str]:
        """The groups that hear the event, each once."""
        return list(dict.fromkeys(listeners.group for listeners in self.audience(event).lists))
