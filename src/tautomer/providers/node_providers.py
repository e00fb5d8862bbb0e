"""NodeProviders: the providers of a node's services, from their making to their stop."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tautomer._tasks import in_time
from tautomer.definitions import Method, Where
from tautomer.errors import ServiceSchemaError
from tautomer.providers.provider import BOUND, Container, DependencyProvider, SharedProvider, providers_in
from tautomer.providers.working import Work

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.service import Service

__all__ = ["NodeProviders"]

log = logging.getLogger("tautomer.providers")


class _Attendance:
    """One service and its providers.

    Attributes:
        all: Its own and those that they hold, in the order in which they are set up.
        work: Its calls; None as long as nobody asked for them.
        is_ready: Whether all are set up and started.
    """

    def __init__(self, service: Service, container: Container, own: Sequence[DependencyProvider]) -> None:
        self.service = service
        self.container = container
        self.all = list(dict.fromkeys(one for provider in own for one in _with_held(provider)))
        self.work: Work | None = None
        self.is_ready = False


class NodeProviders:
    """Makes providers for services, and starts and stops them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._by_service: dict[int, _Attendance] = {}
        self._shared: dict[Any, SharedProvider] = {}
        # Those that are set up, the first one first, and for whom.
        self._users: dict[DependencyProvider, list[_Attendance]] = {}
        # Two services that start at once may share one.
        self._preparing = asyncio.Lock()

    def bind(self, service: Service) -> None:
        """Make the providers of a service that was taken in.

        Raises:
            ServiceSchemaError: One stands in the service and not in its class.
        """
        patterns = list(providers_in(service))
        for name, pattern in patterns:
            if vars(service).get(name) is pattern:
                raise ServiceSchemaError(
                    f"'{name}' of '{service.full_name}' is a provider, and belongs into the class: there it is found"
                )
        container = Container(service, self._broker)
        bound = {name: self._bound(pattern, container, name) for name, pattern in patterns}
        setattr(service, BOUND, bound)
        if bound:
            self._by_service[id(service)] = _Attendance(service, container, list(bound.values()))

    def _bound(self, pattern: DependencyProvider, container: Container, name: str) -> DependencyProvider:
        if not isinstance(pattern, SharedProvider):
            return pattern.bind(container, name, self._bound)
        shared = self._shared.get(pattern.sharing_key)
        if shared is None:
            shared = self._shared[pattern.sharing_key] = pattern.bind(container, name, self._bound)
        return shared

    def attended(self, service: Service, method: Method, where: Where) -> Method:
        """A method of a service, with what its providers do around each call."""
        one = self._by_service.get(id(service))
        if one is None:
            return method
        if one.work is None:
            # As late as this, so that tests may have replaced some.
            one.work = Work(service, getattr(service, BOUND))
        return one.work.attended(method, where)

    async def prepare(self, services: Sequence[Service]) -> None:
        """Set up the providers of all these services, then start them. Those that are ready are left alone.

        Raises:
            Exception: What the first to fail raised; what was set up for these services is stopped again.
        """
        async with self._preparing:
            fresh = [one for one in map(self._of, services) if one is not None and not one.is_ready]
            await self._prepare(fresh)

    async def _prepare(self, fresh: Sequence[_Attendance]) -> None:
        loop = asyncio.get_running_loop()
        begun: list[DependencyProvider] = []
        try:
            for one in fresh:
                one.is_ready, one.container.loop = True, loop
                for provider in self._kept(one):
                    users = self._users.setdefault(provider, [])
                    users.append(one)
                    if len(users) == 1:
                        # Only what could be set up is stopped, and only once it is.
                        await self._set_up(provider)
                        begun.append(provider)
            for provider in begun:
                await _told(provider.start())
        except BaseException:
            for one in reversed(fresh):
                await self._release(one, "stop")
            raise

    async def _set_up(self, provider: DependencyProvider) -> None:
        try:
            await _told(provider.setup())
        except BaseException:
            del self._users[provider]
            raise

    async def stop(self, service: Service, but: Sequence[asyncio.Task[Any] | None] = ()) -> None:
        """Wait for the calls of a service, then stop its providers. Never raises; twice is harmless.

        Args:
            but: Tasks whose calls are not waited for.
        """
        one = self._of(service)
        if one is None or not one.is_ready:
            return
        limit = self._broker.settings.shutdown_timeout
        has_ended = one.work is None or await one.work.ended(limit, but)
        if not has_ended:
            log.error("calls go on; their dependencies are ended", extra={"service": service.full_name})
        await self._release(one, "stop" if has_ended else "kill")

    def forget(self, service: Service) -> None:
        """It is no longer one of this node's."""
        self._by_service.pop(id(service), None)

    async def _release(self, one: _Attendance, hook: str) -> None:
        """End those that no other service uses."""
        one.is_ready = False
        for provider in reversed(self._kept(one)):
            users = self._users.get(provider, [])
            if one in users:
                users.remove(one)
                if not users:
                    del self._users[provider]
                    await self._end(provider, hook, one.service)

    async def _end(self, provider: DependencyProvider, hook: str, service: Service) -> None:
        told = {"service": service.full_name, "dependency": provider.attr_name, "hook": hook}

        async def whole() -> None:
            try:
                await _told(getattr(provider, hook)())
            except (Exception, SystemExit):
                log.exception("dependency failed", extra=told)

        if not await in_time(whole(), self._broker.settings.shutdown_timeout, f"{provider.attr_name}.{hook}"):
            log.error("dependency did not end in time", extra=told)

    def _kept(self, one: _Attendance) -> list[DependencyProvider]:
        """Its providers, but for those that tests have replaced."""
        own: dict[str, DependencyProvider] = getattr(one.service, BOUND)
        left = dict.fromkeys(part for provider in own.values() for part in _with_held(provider))
        return [provider for provider in one.all if provider in left]

    def _of(self, service: Service) -> _Attendance | None:
        return self._by_service.get(id(service))


def _with_held(provider: DependencyProvider) -> list[DependencyProvider]:
    """A provider, and before it those that it holds."""
    return [*(one for held in provider.held for one in _with_held(held)), provider]


async def _told(told: Any) -> None:
    if inspect.isawaitable(told):
        await told
