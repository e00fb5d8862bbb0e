"""The small providers that come along: events of one's own, the configuration, and what is known of who asks."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, ClassVar

from tautomer.context import Context
from tautomer.providers.pending import carried_out
from tautomer.providers.provider import LiveProvider
from tautomer.threads import current_job

__all__ = ["AuthToken", "Config", "Dispatch", "EventDispatcher", "Language", "UserAgent", "UserId"]


class EventDispatcher(LiveProvider):
    """Tells events of its own service: ``self.dispatch("created", data)`` is the event ``users.created`` of service `users`.

    It is emitted as by `Context.emit`, as a part of the call in which that is done, and acts at once.
    """

    def value(self, ctx: Context[Any] | None) -> Dispatch:
        """What tells them, for a call."""
        return Dispatch(self, ctx)


class Dispatch:
    """Tells events of one service."""

    __slots__ = ("_ctx", "_provider")

    def __init__(self, provider: EventDispatcher, ctx: Context[Any] | None) -> None:
        self._provider = provider
        self._ctx = ctx

    def __call__(self, event_type: str, data: Any = None) -> Awaitable[None] | None:
        """Tell an event. Acts at once; on the event loop, awaiting it waits for this node's own listeners.

        Raises:
            As `Broker.emit`.
        """
        container = self._provider.container
        emitter: Any = container.broker if self._ctx is None else self._ctx
        event = f"{container.service_name}.{event_type}"
        job = current_job()

        async def told() -> None:
            emitter.emit(event, data)

        if job is None and container.is_on_loop:
            return emitter.emit(event, data)  # type: ignore[no-any-return]  # A broker and a context tell alike.
        carried_out(told, container.loop, f"event {event}")
        return None


class Config(LiveProvider):
    """The configuration, a copy: `Settings.config`, and over it the service's own `settings`."""

    reads_call = False

    def value(self, ctx: Context[Any] | None) -> dict[str, Any]:
        """The copy."""
        return self.container.config


class _FromMeta(LiveProvider):
    """One value of the meta; None where it is not there, and outside of a call."""

    key: ClassVar[str]

    def value(self, ctx: Context[Any] | None) -> Any:
        """The value."""
        return None if ctx is None or ctx._meta is None else ctx._meta.get(self.key)


class Language(_FromMeta):
    """``ctx.meta["language"]``."""

    key = "language"


class UserId(_FromMeta):
    """``ctx.meta["user_id"]``."""

    key = "user_id"


class UserAgent(_FromMeta):
    """``ctx.meta["user_agent"]``."""

    key = "user_agent"


class AuthToken(_FromMeta):
    """``ctx.meta["auth_token"]``."""

    key = "auth_token"
