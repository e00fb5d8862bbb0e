"""MountedApp: an ASGI application that has all below one path of the gateway."""

from __future__ import annotations

from typing import Final

from tautomer._tasks import TaskScope
from tautomer.web.asgi.conversation import converse
from tautomer.web.asgi.lifespan import Lifespan
from tautomer.web.asgi.scope import scope_of
from tautomer.web.asgi.types import App
from tautomer.web.messages.message import Reply, Request
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.routing.patterns import EVERY_METHOD

__all__ = ["MountedApp", "an_app", "mount_aliases"]

START_TIME: Final = 30.0
"""Seconds that an application may take to start."""


class MountedApp:
    """Answers requests of one or more routes by an ASGI application.

    Its lifespan is run with the gateway's. The guards of the route stand before it, and `onAfterCall` gets its reply.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.__name__ = str(getattr(app, "__name__", type(app).__name__))
        self._open()

    def _open(self) -> None:
        self._tasks = TaskScope(f"application {self.__name__}")
        self._lifespan = Lifespan(self.app, self.__name__, self._tasks)

    async def __call__(self, request: Request) -> Reply:
        """The application's reply; its body may be a stream.

        Raises:
            Whatever the application raises.
        """
        scope = scope_of(request, _below(request), self._lifespan.state)
        return await converse(self.app, scope, request.raw_body, self._tasks)

    async def start(self) -> None:
        """Run the start of its lifespan.

        Raises:
            BrokerOptionsError: It does not start.
        """
        await self._lifespan.start(START_TIME)

    def live_with(self, other: MountedApp) -> None:
        """Share the life of the same application, which stands in another route and is started there."""
        self._tasks, self._lifespan = other._tasks, other._lifespan

    async def stop(self, grace: float) -> None:
        """Run the end of its lifespan, and end all that it still does."""
        await self._lifespan.stop(grace)
        await self._tasks.close(0)
        self._open()  # A gateway with the same settings may start again.


def an_app(value: object) -> MountedApp:
    """A setting's value as an application.

    Raises:
        ValueError: It cannot be one.
    """
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"is an ASGI application, called with (scope, receive, send), not {value!r:.80}")
    return MountedApp(value)


def mount_aliases(app: MountedApp | None) -> tuple[AliasDef, ...]:
    """The aliases that lead to an application: the path of the route itself, and all below it, by any method."""
    if app is None:
        return ()
    return tuple(
        AliasDef(EVERY_METHOD, path, app.__name__, handler=app, reads_params=False) for path in ("", "/*app_path")
    )


def _below(request: Request) -> str:
    """The part of the path that the route matched, as the client wrote it."""
    segments = [one for one in request.route.path.split("/") if one]
    return "/".join(request.path.split("/")[: len(segments) + 1]) if segments else ""
