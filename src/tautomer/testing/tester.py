"""ServiceTester: one service, or a few, with stand-ins for all others."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from tautomer.broker import Broker
from tautomer.context import CallOptions, Context
from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.middleware import Middleware, Verb
from tautomer.providers.provider import providers_in
from tautomer.registry.registry import full_service_name
from tautomer.service import Service, dependency_list
from tautomer.settings import Settings
from tautomer.testing.clock import SimHost, SimLoop
from tautomer.testing.recorder import RecordedCall, RecordedEvent, Recorder
from tautomer.testing.shared_state import unwatched, watched
from tautomer.testing.sockets import Answer
from tautomer.testing.stand_ins import replace_dependencies

if TYPE_CHECKING:
    from tautomer.testing.doors import TesterSocket
    from tautomer.web.app import Gateway
    from tautomer.web.service import ApiGatewayService

__all__ = ["ServiceTester"]


class ServiceTester:
    """A node of its own with the services under test. What else they call is mocked.

    ```python
    async with ServiceTester(Users) as tester:
        tester.mock("mail.send", {"sent": True})
        user = await tester.call("users.create", {"name": "Ann"})
        assert [{"name": "Ann"}] == [event.data for event in tester.events("user.created")]
    ```

    A service that a tested one depends on need not be there: the dependency counts as met. Who sets an attribute of the
    service in a handler is warned (`SharedStateWarning`), unless its class says ``state = "shared"``.

    ```python
    async with ServiceTester(UserAPI, users=stub) as tester:
        answer = await tester.http("GET", "/users/1")
    ```

    Args:
        services: Services or their classes.
        options: What stands in for the services' providers, by attribute: ``users=stub``; its calls are the handlers' own, so
            for an `async def` they are to be awaitable. Any other is a setting, as for `Settings`; there is no transporter.

    Attributes:
        broker: The node, from the start of the `async with` on.
        recorder: All that was called and told.
        service: The first of the services, likewise.
    """

    broker: Broker
    service: Service

    def __init__(self, *services: Service | type[Any], **options: Any) -> None:
        providers = {name for service in services for name, _ in providers_in(service)}
        settings = {name: value for name, value in options.items() if name not in providers}
        self._stand_ins = {name: value for name, value in options.items() if name in providers}
        if settings.get("transporter") is not None:
            raise BrokerOptionsError("a ServiceTester has no transporter; for several nodes there is Simulation")
        self._services = services
        self._tested: list[Service] = []
        self._gateway: ApiGatewayService | None = None
        self._middlewares = tuple(settings.pop("middlewares", ()))
        self._settings = Settings(**settings)
        self._mocks = _Mocks(self)
        self.recorder = Recorder()

    async def __aenter__(self) -> ServiceTester:
        loop = asyncio.get_running_loop()
        host = SimHost.at(loop, "tester", 0) if isinstance(loop, SimLoop) else Host()
        middlewares = (self.recorder, self._mocks, *self._middlewares)
        self.broker = Broker("tester", self._settings, middlewares, host)
        self._tested = [self.broker.create_service(service) for service in self._services]
        for service in self._tested:
            own = {name for name, _ in providers_in(service)}
            replace_dependencies(service, **{name: one for name, one in self._stand_ins.items() if name in own})
            watched(service)
        if self._tested:
            self.service = self._tested[0]
        if any("http" in one.extra for service in self._tested for one in service.action_defs()):
            self._take_gateway(self.broker.create_service)
        for name in self._missing():
            self.broker.create_service(Service(name))
        await self.broker.start()
        self.recorder.clear()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self.broker.stop()
        finally:
            for service in self._tested:
                unwatched(service)

    # --- doors ---

    async def http(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        json: Any = None,
    ) -> Answer:
        """One HTTP request, through all that a gateway does, but without a port.

        It is the gateway among the services, if there is one; else one for their methods with `@http`.

        Args:
            json: A value to send as JSON, instead of `body`.
        """
        lines = dict(headers or {})
        if json is not None:
            body = msgspec.json.encode(json)
            lines.setdefault("Content-Type", "application/json")
        from tautomer.testing.doors import ask

        return await ask(await self._door(), method, path, lines, body)

    @asynccontextmanager
    async def websocket(
        self, path: str = "/ws", *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[TesterSocket]:
        """A WebSocket to the same gateway, likewise.

        Raises:
            ConnectionRefusedError: There is none at that path, or it is refused; says with which status.
        """
        from tautomer.testing.doors import open_socket

        socket = await open_socket(await self._door(), path, headers or {})
        try:
            yield socket
        finally:
            await socket.close()

    async def _door(self) -> Gateway:
        made: list[Service] = []
        gateway = self._gateway or self._take_gateway(made.append)
        for service in made:
            await self.broker.register(service)
        assert gateway.gateway is not None  # It has started.
        return gateway.gateway

    def _take_gateway(self, add: Callable[[Service], object]) -> ApiGatewayService:
        """The gateway among the services, or one more, which is still to be added."""
        from tautomer.web.service import ApiGatewayService

        found = next((one for one in self.broker.services if isinstance(one, ApiGatewayService)), None)
        if found is None:
            found = ApiGatewayService("tester-gateway", settings={"server": False})
            add(found)
        self._gateway = found
        return found

    # --- the mesh ---

    def mock(self, action: str, result: Any = None) -> None:
        """Let calls of an action give this result, whether or not it is there.

        Args:
            action: Its full name.
            result: A value; an exception, which is raised; or a function of the context, plain or `async`, whose
                result it is.
        """
        self._mocks.results[action] = result

    async def call(self, action: str, params: Any = None, **options: Unpack[CallOptions]) -> Any:
        """As `Broker.call`."""
        return await self.broker.call(action, params, **options)

    async def emit(self, event: str, data: Any = None, groups: str | Sequence[str] | None = None) -> None:
        """As `Broker.emit`; returns when the listeners are done."""
        await self.broker.emit(event, data, groups)

    async def broadcast(self, event: str, data: Any = None, groups: str | Sequence[str] | None = None) -> None:
        """As `Broker.broadcast`; returns when the listeners are done."""
        await self.broker.broadcast(event, data, groups)

    def calls(self, action: str) -> list[RecordedCall]:
        """The calls of an action since the start, by the services and by the test."""
        return self.recorder.calls_of(action)

    def events(self, name: str) -> list[RecordedEvent]:
        """The events of this name since the start, by the services and by the test."""
        return self.recorder.events_of(name)

    def _missing(self) -> list[str]:
        """Full names of the services that are waited for and not there."""
        present = {service.full_name for service in self.broker.services}
        wanted: dict[str, None] = {}
        for service in self.broker.services:
            for one in dependency_list(service.dependencies):
                wanted.update(dict.fromkeys(_names(one)[:1]))
        return [name for name in wanted if name not in present]


def _names(dependency: Any) -> list[str]:
    """The full names of which any will do."""
    if isinstance(dependency, str):
        return [dependency]
    version = dependency.get("version")
    versions = version if isinstance(version, list | tuple) else [version]
    return [full_service_name(dependency["name"], one) for one in versions]


class _Mocks(Middleware):
    """Answers calls of mocked actions, and lets all others pass."""

    def __init__(self, tester: ServiceTester) -> None:
        self._tester = tester
        self.results: dict[str, Any] = {}

    def call(self, next_call: Verb) -> Verb:
        async def call(action: str, params: Any, options: dict[str, Any]) -> Any:
            if action not in self.results:
                return await next_call(action, params, options)
            return await self._answer(self.results[action], params, options)

        return call

    async def _answer(self, result: Any, params: Any, options: dict[str, Any]) -> Any:
        if isinstance(result, BaseException):
            raise result
        if not callable(result):
            return result
        parent: Context[Any] | None = options.get("parent")
        ctx: Context[Any] = Context(self._tester.broker, {} if params is None else params, parent=parent)
        if parent is not None:
            ctx.level, ctx.deadline = parent.level + 1, parent.deadline
            ctx.merge_meta(parent.copy_meta())
        ctx.merge_meta(options.get("meta"))
        try:
            given = result(ctx)
            return await given if inspect.isawaitable(given) else given
        finally:
            if parent is not None:
                parent.merge_meta(ctx.copy_meta())
