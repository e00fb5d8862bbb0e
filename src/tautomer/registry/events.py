"""Subscriptions by pattern and group, with a match cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tautomer.balancing import Strategies
from tautomer.ports import Strategy
from tautomer.protocol.topics import NAME_CHARS_MAX
from tautomer.registry.endpoints import EventEndpoint
from tautomer.registry.matching import matcher

if TYPE_CHECKING:
    from tautomer.context import Context

NAMES_CACHED: Final = 2_000


class Listeners:
    """All subscriptions with one pattern and one group: of these, one hears an emitted event.

    Attributes:
        hears: Says whether the pattern matches the name of an event.
    """

    __slots__ = ("_all", "_local", "_prefer_local", "_ready", "_strategy", "group", "hears", "pattern")

    def __init__(self, pattern: str, group: str, strategy: Strategy, prefer_local: bool) -> None:
        self.pattern = pattern
        self.group = group
        self.hears = matcher(pattern)
        self._strategy = strategy
        self._prefer_local = prefer_local
        # By node and service: each has one subscription with this pattern and group.
        self._all: dict[tuple[str, str], EventEndpoint] = {}
        # Made when they are asked for, as in `EndpointList`.
        self._ready: tuple[EventEndpoint, ...] | None = ()
        self._local: tuple[EventEndpoint, ...] = ()

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> tuple[EventEndpoint, ...]:
        return tuple(self._all.values())

    def put(self, endpoint: EventEndpoint) -> None:
        """Add a subscription, or put it in the place of the older one of its service."""
        self._all[endpoint.node_id, endpoint.service.full_name] = endpoint
        self._ready = None

    def remove(self, endpoint: EventEndpoint) -> None:
        """Forget this one, if it is not replaced already."""
        key = (endpoint.node_id, endpoint.service.full_name)
        if self._all.get(key) is endpoint:
            del self._all[key]
            self._ready = None

    @property
    def only(self) -> EventEndpoint | None:
        """The one to take without asking the strategy, or None."""
        ready = self._choice()
        return ready[0] if len(ready) == 1 else None

    def next(self, ctx: Context[Any] | None) -> EventEndpoint | None:
        """The one whose turn it is, or None if nobody is ready."""
        ready = self._choice()
        if len(ready) > 1:
            return self._strategy.select(ready, ctx)
        return ready[0] if ready else None

    @property
    def local(self) -> tuple[EventEndpoint, ...]:
        """This node's own that are ready."""
        self._choice()
        return self._local

    def next_local(self) -> EventEndpoint | None:
        """The one of this node's own whose turn it is, or None if it has none."""
        local = self.local
        if len(local) > 1:
            return self._strategy.select(local, None)
        return local[0] if local else None

    def _choice(self) -> tuple[EventEndpoint, ...]:
        ready = self._ready
        if ready is None:
            ready = tuple([endpoint for endpoint in self._all.values() if endpoint.available])
            self._local = tuple([endpoint for endpoint in ready if endpoint.local])
            if self._prefer_local and self._local:
                ready = self._local
            self._ready = ready
        return ready


class Audience(msgspec.Struct, frozen=True):
    """Who hears events of one name, worked out once until subscriptions change.

    Attributes:
        lists: Every list whose pattern matches.
        plain: The listener to call at once, when it is the only one, local, and a plain function.
    """

    lists: tuple[Listeners, ...]
    plain: EventEndpoint | None


NOBODY: Final = Audience((), None)


class Audiences(dict[str, Audience]):
    """By name of an event: who hears it. Found out when somebody asks for the first time, as that takes a while.

    Nobody hears a name that is longer than one may be.
    """

    def __init__(self, find: Callable[[str], Audience]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, event: str) -> Audience:
        if len(event) > NAME_CHARS_MAX:
            return NOBODY  # It comes from a stranger, and is neither to be matched for long nor to be kept.
        found = self._find(event)
        if len(self) >= NAMES_CACHED:
            self.clear()  # Names made up at run time must not grow the table for ever.
        self[event] = found
        return found


class EventTable:
    """Who listens to what in the whole mesh.

    `groups` of the methods below: those that are asked for; None or none of them means all.
    """

    __slots__ = ("_lists", "_prefer_local", "_strategies", "audiences", "balanced_by_broker")

    def __init__(self, strategies: Strategies, prefer_local: bool, balanced: bool = False) -> None:
        self._strategies = strategies
        self.balanced_by_broker = balanced
        self._prefer_local = prefer_local
        self._lists: dict[tuple[str, str], Listeners] = {}
        self.audiences = Audiences(self._find)

    @property
    def lists(self) -> tuple[Listeners, ...]:
        return tuple(self._lists.values())

    def add(self, endpoint: EventEndpoint) -> None:
        """Take in a subscription, in the place of the older one of its service."""
        key = (endpoint.name, endpoint.group)
        listeners = self._lists.get(key)
        if listeners is None:
            strategy = self._strategies.for_list(endpoint.strategy, endpoint.entry)
            listeners = self._lists[key] = Listeners(endpoint.name, endpoint.group, strategy, self._prefer_local)
        listeners.put(endpoint)
        self.audiences.clear()

    def remove(self, endpoint: EventEndpoint) -> None:
        """Forget a subscription."""
        key = (endpoint.name, endpoint.group)
        listeners = self._lists.get(key)
        if listeners is not None:
            listeners.remove(endpoint)
            if not listeners:
                del self._lists[key]
            self.audiences.clear()

    def _find(self, event: str) -> Audience:
        lists = tuple(listeners for listeners in self._lists.values() if listeners.hears(event))
        # Where the message broker chooses, who it will be is not known here.
        only = lists[0].only if len(lists) == 1 and not self.balanced_by_broker else None
        return Audience(lists, only if only is not None and only.local and only.plain is not None else None)

    def balanced(
        self, event: str, groups: Sequence[str] | None, ctx: Context[Any] | None = None
    ) -> list[tuple[EventEndpoint, str]]:
        """One endpoint of each list that hears the event and whose group is asked for, with that group."""
        chosen = []
        for listeners in self.audiences[event].lists:
            if groups and listeners.group not in groups:
                continue
            endpoint = listeners.next(ctx)
            if endpoint is not None:
                chosen.append((endpoint, listeners.group))
        return chosen

    def everyone(self, event: str, groups: Sequence[str] | None) -> list[EventEndpoint]:
        """Every endpoint that hears the event."""
        return [
            endpoint
            for listeners in self.audiences[event].lists
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
        for listeners in self.audiences[event].lists:
            if not groups or listeners.group in groups:
                endpoint = listeners.next_local()
                if endpoint is not None:
                    chosen.append(endpoint)
        return chosen

    def nodes(self, event: str, group: str) -> list[str]:
        """The nodes of which one hears the event in that group."""
        return [
            endpoint.node_id
            for listeners in self.audiences[event].lists
            if listeners.group == group
            for endpoint in listeners.all
        ]

    def groups(self, event: str) -> list[str]:
        """The groups that hear the event, each once."""
        return list(dict.fromkeys(listeners.group for listeners in self.audiences[event].lists))
