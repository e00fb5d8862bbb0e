"""MicroService: a service with an address of its own, at which JSON-RPC clients ask it; gemstone's shape."""

from __future__ import annotations

import argparse
import asyncio
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, wraps
from types import MethodType
from typing import TYPE_CHECKING, Any

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.decorators import ActionMark, EventMark
from tautomer.definitions import ActionDef, TimerRule, is_seconds
from tautomer.errors import ServiceSchemaError
from tautomer.runner import run
from tautomer.service import Service
from tautomer.settings import PoolSettings, Settings
from tautomer.threads import current_job
from tautomer.web.decorators import public_method
from tautomer.web.rpc.tokens import BaseValidationStrategy, HeaderValidationStrategy

if TYPE_CHECKING:
    from tautomer.client import MeshClient, RemoteClient
    from tautomer.client.discovery import BaseDiscoveryStrategy, DummyCache
    from tautomer.middleware import Middleware
    from tautomer.ports import Handler

__all__ = ["MicroService", "ServiceConfigurationError"]

SPECS = "get_service_specs"

LEAVE_TIME = 1.0
"""Seconds for a registry to hear that the service leaves."""

CACHE_TIME = 3600.0
"""Seconds for which what a registry said is remembered, where nothing else is asked for."""


class ServiceConfigurationError(ServiceSchemaError):
    """A `MicroService` is set up in a way that cannot be; the name is gemstone's."""


class MicroService(Service):
    """A service that is asked by JSON-RPC at ``http://{host}:{port}{endpoint}``, and by the mesh as any other.

    `start()`, `tautomer.run` and the command line open the port. At a bare broker only its actions are offered.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 lets the system choose. Services of one address share a port.
        endpoint: Path of the endpoint. Services of one path share it.
        accessible_at: What others are told: a URL, or a pair of host and port; None for the above.
        validation_strategies: Where the token of a request is looked for, in order.
        max_parallel_blocking_tasks: Threads for its `def` methods under `start()`.
        answers_gemstone: Put ``"error": null`` beside results, against the standard: gemstone's own clients look for it.
        periodic_tasks: ``(callable, seconds)`` each: called so often while it runs, never twice at once; as by `timer`,
            under the name ``periodic_`` and its own. A `def` runs in a thread.
        service_registry_urls: Registries that are told where it is.
        service_registry_ping_interval: Seconds between two times that they are.
        service_registry_options: How it shows them a token, as `RemoteClient` takes it.
        discovery_strategies: Other registries, told and asked in ways of their own.
        remote_service_cache: What registries said is remembered here; None for an hour. What is remembered is handed out
            only if it answers.
        plugins: Middlewares of the node under `start()`; elsewhere the broker is given them.
        modules: Objects whose marked methods are the service's, too; each finds it as `microservice`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    endpoint: str = "/api"
    accessible_at: str | tuple[str, int] | None = None
    validation_strategies: Sequence[BaseValidationStrategy] = (HeaderValidationStrategy(),)
    max_parallel_blocking_tasks: int = os.cpu_count() or 1
    answers_gemstone: bool = False
    periodic_tasks: Sequence[tuple[Callable[[], Any], float]] = ()
    service_registry_urls: Sequence[str] = ()
    service_registry_ping_interval: float = 30.0
    service_registry_options: Mapping[str, Any] | None = None
    discovery_strategies: Sequence[BaseDiscoveryStrategy] = ()
    remote_service_cache: DummyCache | None = None
    plugins: Sequence[Middleware | type[Middleware]] = ()
    modules: Sequence[Any] = ()

    # --- to be overridden ---

    def on_service_start(self) -> Any:
        """Called before it is offered; may be `async def`."""

    def api_token_is_valid(self, api_token: str | None) -> Any:
        """Whether a client with this token may call private methods; what is truthy and not True becomes ``ctx.user``.

        A `def` runs in a thread. Unless it is overridden nobody may call them.
        """
        return False

    # --- running ---

    def start(self) -> int:
        """Run it until SIGINT or SIGTERM. Returns the exit code.

        Raises:
            RuntimeError: An event loop runs in this thread already.
            As `tautomer.run`.
        """
        if asyncio._get_running_loop() is not None:
            raise RuntimeError(
                f"{type(self).__name__}.start() has an event loop of its own; inside another: "
                f"`await broker.register({type(self).__name__}())`"
            )
        threads = self._threads()
        settings = Settings(log_level="INFO", pools=PoolSettings(threads=threads))
        return run(self, settings=settings, middlewares=self.plugins)

    @classmethod
    def get_cli(cls) -> Callable[[], None]:
        """A function that reads the command line: ``service.py start [--host H] [--port P] …``, and starts the service."""
        return partial(_command_line, cls)

    # --- other services ---

    def get_service(self, name: str) -> RemoteClient | MeshClient:
        """A client of another service, by its name or a pattern: one that a registry knows, where there are registries
        (`discovery_strategies`, `service_registry_urls`), else one of the mesh.

        Registries are asked by blocking, so from `def` methods. A client of the mesh is awaited on the event loop.

        Raises:
            ValueError: Nobody knows such a service.
            RuntimeError: It would block the event loop.
        """
        from tautomer.client import CalledServiceError, MeshClient
        from tautomer.client.discovery import HttpDiscoveryStrategy, ServiceDiscoveryCache, find_service

        strategies = [*self.discovery_strategies, *map(HttpDiscoveryStrategy, self.service_registry_urls)]
        if strategies:
            if self.remote_service_cache is None:
                self.remote_service_cache = ServiceDiscoveryCache(CACHE_TIME)
            return find_service(strategies, name, self.remote_service_cache)
        try:
            return MeshClient.get_service_by_name(self.broker, name)
        except CalledServiceError as error:
            raise ValueError(f"Service could not be located: the mesh has none named {name!r:.80}") from error

    def get_plugin(self, name: str) -> Middleware:
        """The middleware of that `name`, or of a class of that name; middlewares are what plugins are here.

        Raises:
            ValueError: The node has none.
        """
        for one in self.broker.middlewares:
            if name in (getattr(one, "name", None), type(one).__name__):
                return one
        raise ValueError(f"this node has no middleware named {name!r:.80}")

    def emit_event(self, event_name: str, event_body: Any = None, *, broadcast: bool = True) -> None:
        """Tell all services that listen, of this kind and others; with ``broadcast=False`` one of each kind.

        From a `def` method as well as on the event loop.
        """

        tell = self.broker.broadcast if broadcast else self.broker.emit

        async def send() -> None:
            tell(event_name, event_body)

        job = current_job()
        if job is not None:
            job.ask(send)
        else:
            tell(event_name, event_body)

    def get_logger(self) -> logging.Logger:
        """Its logger."""
        return self.logger

    @property
    def rpc_address(self) -> tuple[str, int, str]:
        """Host, port and path at which it is asked."""
        return self.host, self.port, self.endpoint

    @property
    def url(self) -> str:
        """What others are told of where it is."""
        told = self.accessible_at
        if isinstance(told, str):
            return told
        host, port = told or (self.host, self.port)
        return f"http://{host}:{port}{self.endpoint}"

    # --- life cycle ---

    def created(self) -> None:
        """Check what was written.

        Raises:
            ServiceSchemaError: Something in it is wrong.
        """
        self._threads()
        for module in self.modules:
            module.microservice = self
        for name, kind in (("host", str), ("port", int), ("endpoint", str)):
            if not isinstance(getattr(self, name), kind):
                raise ServiceConfigurationError(
                    f"{name} of '{self.name}' is {kind.__name__}, not {getattr(self, name)!r:.80}"
                )
        marked = [one for one in self.action_defs() if "rpc" in one.extra and one.name != SPECS]
        if not marked:
            raise ServiceConfigurationError(f"'{self.name}' has no method for clients: mark one with @public_method")
        # People write anything.
        seconds: object = self.service_registry_ping_interval
        if isinstance(self.service_registry_urls, str) or not isinstance(seconds, int | float) or not seconds > 0:
            raise ServiceConfigurationError(
                f"service_registry_urls of '{self.name}' is a list of URLs, and its ping interval a number of seconds over 0"
            )
        private = [one.name for one in marked if one.extra["rpc"] == "private"]
        if private and not self._checks_tokens:
            self.logger.warning(
                "nobody may call its private methods: it has no api_token_is_valid",
                extra={"methods": ", ".join(private)},
            )
        self.metadata = {**self.metadata, "accessible_at": self.url}

    async def started(self) -> None:
        """Run `on_service_start`."""
        told = self.on_service_start()
        if inspect.isawaitable(told):
            await told
        self._pings = TaskScope(f"registry pings of {self.name}")
        for strategy in self.discovery_strategies:
            self._pings.spawn(self._tell(strategy), "registry ping")
        if self.service_registry_urls:
            from tautomer.client.announcer import Announcer  # Only who has a registry needs it.

            place = {"url": self.url, "host": self.host, "port": self.port}
            self._announcer = Announcer(
                self.service_registry_urls,
                self.name,
                place,
                self.service_registry_ping_interval,
                self.service_registry_options,
            )
            self._announcer.start()

    async def stopping(self) -> None:
        """Say good-bye to the registries."""
        if (announcer := getattr(self, "_announcer", None)) is not None:
            await announcer.close()
        if (pings := getattr(self, "_pings", None)) is not None:
            await pings.close(0)
            for strategy in self.discovery_strategies:
                await self._farewell(strategy)

    # --- modules ---

    def action_defs(self) -> list[ActionDef]:
        """Its own, those of its modules, and one for each periodic task.

        Raises:
            ServiceConfigurationError: A module has a method of the name of another's, or of the service's own.
            ServiceSchemaError: As `Service.action_defs`, or a periodic task is no pair of a callable and seconds.
        """
        names = [
            mark.name or attribute
            for source in (*map(type, self.modules), type(self))
            for attribute, _method, mark in self._marked(source)
            if isinstance(mark, ActionMark)
        ]
        for name in names if self.modules else ():
            if names.count(name) > 1:
                raise ServiceConfigurationError(f"'{self.name}' has more than one method '{name}', in its modules")
        own = super().action_defs()
        taken = [one.name for one in own]
        for task in self.periodic_tasks:
            own.append(_periodic(task, taken))
            taken.append(own[-1].name)
        return own

    def _sources(self) -> list[type]:
        return [*map(type, self.modules), *super()._sources()]

    def _marked(self, source: type) -> Iterator[tuple[str, MethodType, ActionMark | EventMark]]:
        module = next((one for one in self.modules if type(one) is source), None)
        for attribute, method, mark in super()._marked(source):
            yield attribute, method if module is None else MethodType(_of_module(module, method.__func__), self), mark

    # --- what clients see ---

    @public_method
    async def get_service_specs(self) -> dict[str, Any]:
        """What this service is, where it is, and what can be asked of it."""
        marked = [one for one in self.action_defs() if "rpc" in one.extra]
        return {
            "host": self.host,
            "port": self.port,
            "accessible_at": self.url,
            "name": self.name,
            "max_parallel_blocking_tasks": self._threads(),
            "methods": {one.name: one.extra.get("description") for one in marked},
            "private": [one.name for one in marked if one.extra["rpc"] == "private"],
        }

    async def rpc_access(self, request: Any) -> Any:
        """Who asks for a private method, as the JSON-RPC endpoint wants to know it; falsy refuses."""
        if (authenticate := getattr(self, "authenticate_request", None)) is not None:
            return await self._beside(lambda ctx: authenticate(ctx.params), authenticate)(self._question(request))
        if not self._checks_tokens:
            return False
        found = (strategy.extract_api_token(request) for strategy in self.validation_strategies)
        token = next((one for one in found if one), None)
        check = self.api_token_is_valid
        return await self._beside(lambda ctx: check(ctx.params), check)(self._question(token))

    @property
    def _checks_tokens(self) -> bool:
        return type(self).api_token_is_valid is not MicroService.api_token_is_valid or hasattr(
            self, "authenticate_request"
        )

    def _beside(self, call: Callable[[Context[Any]], Any], function: Callable[..., Any]) -> Handler:
        """A function of the user's, called as what it is: a `def` in a thread, an `async def` on the loop."""
        where = "loop" if inspect.iscoroutinefunction(function) else "thread"
        return self.broker.pools.bind(call, where, f"{self.name}.{getattr(function, '__name__', 'task')}")  # type: ignore[arg-type]  # One of the two.

    def _question(self, value: Any) -> Context[Any]:
        return Context(self.broker, value)

    async def _tell(self, strategy: BaseDiscoveryStrategy) -> None:
        """Say where it is, again and again. A registry that is away is warned of once, until it is back."""
        ping = self._beside(_without_context(partial(strategy.ping, self.name, self.url)), strategy.ping)
        is_told = True
        while True:
            try:
                await ping(self._question(None))
                is_told = True
            except Exception as error:
                level = logging.WARNING if is_told else logging.DEBUG
                self.logger.log(
                    level,
                    "registry was not told where the service is; it is tried again",
                    extra={"registry": repr(strategy)[:200], "reason": str(error)[:200]},
                )
                is_told = False
            await asyncio.sleep(self.service_registry_ping_interval)

    async def _farewell(self, strategy: BaseDiscoveryStrategy) -> None:
        leave = self._beside(_without_context(partial(strategy.leave, self.name, self.url)), strategy.leave)
        try:
            async with asyncio.timeout(LEAVE_TIME):
                await leave(self._question(None))
        except Exception as error:
            self.logger.debug("registry did not hear that the service leaves", extra={"reason": str(error)[:200]})

    def _threads(self) -> int:
        threads = self.max_parallel_blocking_tasks
        if type(threads) is not int or threads < 1:
            raise ServiceConfigurationError(
                f"max_parallel_blocking_tasks is a whole number, 1 or more, not {threads!r:.80}"
            )
        return threads


def _of_module(module: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A module's method as one of the service that has the module."""
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def run(_service: MicroService, *args: Any, **kwargs: Any) -> Any:
            return await function(module, *args, **kwargs)

        return run

    @wraps(function)
    def call(_service: MicroService, *args: Any, **kwargs: Any) -> Any:
        return function(module, *args, **kwargs)

    return call


def _periodic(task: Any, names: Sequence[str]) -> ActionDef:
    """A periodic task as an action of a name that is free."""
    function, seconds = task if isinstance(task, tuple | list) and len(task) == 2 else (None, None)
    if not callable(function) or not is_seconds(seconds) or not seconds:
        raise ServiceSchemaError(f"periodic_tasks are (callable, seconds) each, not {task!r:.120}")
    called = getattr(function, "__name__", "")
    usual = f"periodic_{called}" if called.isidentifier() else "periodic_task"
    numbered = (f"{usual}_{number}" for number in range(2, len(names) + 3))
    return ActionDef(
        name=next(name for name in (usual, *numbered) if name not in names),
        method=_without_context(function),
        visibility="protected",
        where="loop" if inspect.iscoroutinefunction(function) else "thread",
        timer=TimerRule(every=float(seconds)),
    )


def _without_context(function: Callable[[], Any]) -> Callable[[Context[Any]], Any]:
    if inspect.iscoroutinefunction(function):

        async def run(_ctx: Context[Any]) -> Any:
            return await function()

        return run
    return lambda _ctx: function()


def _command_line(cls: type[MicroService]) -> None:
    parser = argparse.ArgumentParser(description=(cls.__doc__ or "").strip().split("\n")[0] or None)
    commands = parser.add_subparsers(dest="command", metavar="start")
    start = commands.add_parser("start", help="run the service until it is interrupted")
    start.add_argument("--name", help=f"name of the service [{cls.name}]")
    start.add_argument("--host", help=f"address to listen on [{cls.host}]")
    start.add_argument("--port", type=int, help=f"port to listen on, 0 for any [{cls.port}]")
    start.add_argument(
        "--service_registry", metavar="URL", nargs="+", action="extend", help="registries that are told where it is"
    )
    start.add_argument("--max_parallel_tasks", type=int, help="threads for methods that block")
    given = parser.parse_args()
    if given.command is None:
        parser.print_help(sys.stderr)
        sys.exit(2)
    service = cls()
    for option, attribute in (
        ("max_parallel_tasks", "max_parallel_blocking_tasks"),
        ("service_registry", "service_registry_urls"),
        *((n, n) for n in ("name", "host", "port")),
    ):
        if (value := getattr(given, option)) is not None:
            setattr(service, attribute, value)
    sys.exit(service.start())
