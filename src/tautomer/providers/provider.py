"""DependencyProvider: a class attribute of a service that gives each call something to work with."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeAlias

from tautomer.context import Context

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.service import Service

__all__ = [
    "BOUND",
    "WORKER",
    "Container",
    "DependencyProvider",
    "ExcInfo",
    "LiveProvider",
    "SharedProvider",
    "Worker",
    "providers_in",
]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

Maker: TypeAlias = "Callable[[DependencyProvider, Container, str], DependencyProvider]"
"""From a pattern to the provider of a service."""

BOUND: Final = "_bound_providers"
"""The attribute of a registered service that holds its own providers, by name."""


class Worker:
    """One call of a service that has dependencies.

    Attributes:
        service: Whose call it is.
        ctx: As its handler has it: in a thread, the thread's.
        values: What its providers gave, by attribute.
    """

    __slots__ = ("ctx", "service", "values")

    def __init__(self, service: object, ctx: Context[Any]) -> None:
        self.service = service
        self.ctx = ctx
        self.values: dict[str, Any] = {}


WORKER: Final[ContextVar[Worker | None]] = ContextVar("tautomer worker", default=None)
"""The call that runs. Only handlers of services with dependencies set it."""


class Container:
    """What a provider knows of the service that it belongs to.

    Attributes:
        service: The service itself.
        broker: Its node.
        loop: The node's event loop; there from `setup` on.
    """

    def __init__(self, service: Service, broker: Broker) -> None:
        self.service = service
        self.broker = broker
        self.loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_on_loop(self) -> bool:
        """Whether this is asked on an event loop, where nobody may block; or before the node has one."""
        return asyncio._get_running_loop() is not None or self.loop is None

    @property
    def service_name(self) -> str:
        return self.service.name

    @property
    def service_cls(self) -> type[Service]:
        return type(self.service)

    @property
    def config(self) -> dict[str, Any]:
        """A copy of `Settings.config`, and over it the service's own `settings`."""
        own: Mapping[str, Any] = self.service.settings
        return {**self.broker.settings.config, **own}


class DependencyProvider:
    """Gives each call of a service something to work with: ``db = Database("sqlite://")``, then ``self.db``.

    Override the hooks that are wanted; each may be `def` or `async def`, and what is not overridden costs nothing. The
    providers of a service are called in the order in which they are written, when something ends in the reverse. For a
    handler in a thread a `def` hook runs in that thread, else on the event loop.

    What is written in the class is a pattern: each service at a node gets a provider of its own, made anew with the same
    arguments. So a constructor keeps its arguments and does nothing else. A provider may hold others as attributes; these
    are set up before it and stopped after it. Its calls of their other hooks are its own business.

    Attributes:
        container: The service that it belongs to: its config, its name.
        attr_name: The attribute of the service.
    """

    container: Container
    attr_name: str = ""
    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = args, kwargs
        return made

    # --- life cycle ---

    def setup(self) -> Any:
        """Before the service starts. If it raises, the node does not start, and what was set up is stopped again."""

    def start(self) -> Any:
        """After the `setup` of all providers of all services. If it raises: as `setup`."""

    def stop(self) -> Any:
        """After the last call of the service has ended. What it raises is logged."""

    def kill(self) -> Any:
        """In the place of `stop`, where calls go on though their time is over. What it raises is logged."""

    # --- around each call ---

    def get_dependency(self, ctx: Context[Any]) -> Any:
        """What ``self.<attribute>`` is in this call. If it raises, the call fails with 500.

        Outside of a call it is asked anew each time the attribute is read, with a context that belongs to no call; then it
        must be a `def`.
        """

    def worker_setup(self, ctx: Context[Any]) -> Any:
        """After the `get_dependency` of all. If it raises, the call fails with 500."""

    def worker_result(self, ctx: Context[Any], result: Any, exc_info: ExcInfo | None) -> Any:
        """After the handler, before its result goes anywhere; of a stream, at its end. If it raises, the call fails with 500.

        Args:
            result: What the handler gave; None if it failed, or for a stream.
            exc_info: Class, exception and traceback if it failed, or if the `worker_result` of another did.
        """

    def worker_teardown(self, ctx: Context[Any]) -> Any:
        """Last, also after failures and cancellation. What it raises is logged."""

    # --- how ---

    def __set_name__(self, owner: type, name: str) -> None:
        self.attr_name = name

    # Not a data descriptor: what stands in the service's own dict goes before it, and there tests put their stand-ins.
    def __get__(self, service: Any, owner: type) -> Any:
        if service is None or isinstance(service, DependencyProvider):
            return self
        return self._own(service)._value(service, self.attr_name)

    def bind(self, container: Container, name: str, make: Maker) -> Self:
        """The provider of one service: made anew, with those that it holds."""
        args, kwargs = self._made_with
        bound = type(self)(*args, **kwargs)
        bound.container = container
        bound.attr_name = name
        for part, held in list(providers_in(bound)):
            setattr(bound, part, make(held, container, part))
        return bound

    @property
    def held(self) -> list[DependencyProvider]:
        """Those that it holds as attributes."""
        return [held for _, held in providers_in(self)]

    def _own(self, service: Any) -> DependencyProvider:
        """The provider of this service that this one is the pattern of.

        Raises:
            RuntimeError: The service is at no node.
        """
        bound: dict[str, DependencyProvider] | None = getattr(service, BOUND, None)
        if bound is None:
            raise RuntimeError(
                f"'{self.attr_name}' of {type(service).__name__} is there once the service is registered at a broker; "
                "in a process (process=True) it is not, and for unit tests there is tautomer.testing.worker_factory"
            )
        found = bound.get(self.attr_name)
        if found is None:
            raise RuntimeError(f"'{self.attr_name}' was not there when {type(service).__name__} was registered")
        return found

    def _value(self, service: object, name: str) -> Any:
        """Of a bound one: what this attribute of this service is now."""
        worker = WORKER.get()
        if worker is not None and worker.service is service and name in worker.values:
            return worker.values[name]
        if inspect.iscoroutinefunction(self.get_dependency):
            raise RuntimeError(
                f"'{name}' of {type(service).__name__} is there within its calls only: its get_dependency is `async def`"
            )
        return self.get_dependency(self.container.broker.context())


class SharedProvider(DependencyProvider):
    """One for all services of a node that name its class, whatever arguments it was given: a pool of connections, a client.

    It is set up with the first of them, and stopped with the last. `container` is that of the first.
    """

    @property
    def sharing_key(self) -> Any:
        """What those that are one have in common."""
        return type(self)


class LiveProvider(DependencyProvider):
    """One whose value is made whenever it is read, for the call that reads it. It has no hooks around calls.

    Attributes:
        reads_call: Whether it matters which call that is.
    """

    reads_call: ClassVar[bool] = True

    def value(self, ctx: Context[Any] | None) -> Any:
        """What the attribute is in a call; outside of one the context is None."""
        raise NotImplementedError

    def get_dependency(self, ctx: Context[Any]) -> Any:
        """For a provider that holds it."""
        return self.value(ctx)

    def _value(self, service: object, name: str) -> Any:
        worker = WORKER.get()
        return self.value(None if worker is None or worker.service is not service else worker.ctx)


def providers_in(owner: object) -> Iterator[tuple[str, DependencyProvider]]:
    """The providers among the attributes of an object or a class, with their names: bases first, then its own."""
    cls = owner if isinstance(owner, type) else type(owner)
    names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base))
    for name in dict.fromkeys([*names, *vars(owner)]):
        found = inspect.getattr_static(owner, name, None)
        if isinstance(found, DependencyProvider):
            yield name, found
