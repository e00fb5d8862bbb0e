"""Recorder: a middleware that writes down what a node calls and tells."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tautomer.middleware import Middleware, Verb

__all__ = ["RecordedCall", "RecordedEvent", "Recorder"]

RECORDS_MAX = 10_000


@dataclass(slots=True)
class RecordedCall:
    """One call.

    Attributes:
        action: Its full name.
        params: As they were given.
        options: As they were given: `timeout`, `meta`, `parent` and the like.
        done: Whether it has ended.
        result: What it gave, or None.
        error: What it raised, or None.
    """

    action: str
    params: Any
    options: Mapping[str, Any]
    done: bool = False
    result: Any = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One event.

    Attributes:
        kind: ``"emit"``, ``"broadcast"`` or ``"broadcastLocal"``.
        groups: Those named, or None.
    """

    kind: str
    name: str
    data: Any
    groups: Sequence[str] | None


class Recorder(Middleware):
    """Give it to a broker as one of its `middlewares`; afterwards `calls` and `events` tell what happened, in order.

    It sees every call and event that this node makes, nested ones too; not what other nodes make. It keeps the first
    `RECORDS_MAX` of each.

    Attributes:
        calls: In the order in which they began.
        events: Events of the kernel (``$services.changed`` and the like) are left out.
    """

    def __init__(self) -> None:
        self.calls: list[RecordedCall] = []
        self.events: list[RecordedEvent] = []

    def calls_of(self, action: str) -> list[RecordedCall]:
        """The calls of one action."""
        return [call for call in self.calls if call.action == action]

    def events_of(self, name: str) -> list[RecordedEvent]:
        """The events of one name."""
        return [event for event in self.events if event.name == name]

    def clear(self) -> None:
        """Forget all."""
        self.calls.clear()
        self.events.clear()

    # --- hooks ---

    def call(self, next_call: Verb) -> Verb:
        async def call(action: str, params: Any, options: dict[str, Any]) -> Any:
            recorded = RecordedCall(action, params, dict(options))
            if len(self.calls) < RECORDS_MAX:
                self.calls.append(recorded)
            try:
                recorded.result = await next_call(action, params, options)
            except BaseException as error:
                recorded.error = error
                raise
            finally:
                recorded.done = True
            return recorded.result

        return call

    def emit(self, next_emit: Verb) -> Verb:
        return self._recorded("emit", next_emit)

    def broadcast(self, next_broadcast: Verb) -> Verb:
        return self._recorded("broadcast", next_broadcast)

    def broadcast_local(self, next_broadcast: Verb) -> Verb:
        return self._recorded("broadcastLocal", next_broadcast)

    def _recorded(self, kind: str, next_verb: Verb) -> Verb:
        def tell(event: str, data: Any, options: dict[str, Any]) -> Awaitable[None]:
            if not event.startswith("$") and len(self.events) < RECORDS_MAX:
                groups = options.get("groups")
                named = [groups] if isinstance(groups, str) else groups
                self.events.append(RecordedEvent(kind, event, data, named))
            told: Awaitable[None] = next_verb(event, data, options)
            return told

        return tell
