"""RpcProxy: another service as an object, ``self.users.get_user(5)`` (entrypoints reference, section 14)."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import Any, Final, overload

from tautomer._tasks import TaskScope
from tautomer.context import CallOptions, Context
from tautomer.error_wire import rebuilt
from tautomer.errors import MoleculerError, RemoteError, ServiceNotFoundError, ServiceSchemaError
from tautomer.providers.asking import asked
from tautomer.providers.pending import carried_out
from tautomer.providers.provider import Container, LiveProvider
from tautomer.providers.shapes import params_of
from tautomer.settings import nearest

__all__ = ["AsyncCall", "MethodProxy", "RpcProxy", "ServiceProxy"]

_OPTIONS: Final = tuple(name for name in CallOptions.__annotations__ if name not in ("parent", "stream", "raw"))
_WEB_ERRORS: Final = "tautomer.web.errors"


class RpcProxy(LiveProvider):
    """Another service: ``users = RpcProxy("user_service")``, then ``self.users.get_user(5)``.

    On the event loop such a call is awaited; in a thread it blocks and gives the result. It belongs to the call in which it
    is made: same request id, its meta, its time. Arguments by position get the names that the action declares.

    Args:
        service: Full name of the service.
        errors: Exceptions that are raised as themselves where another node raises one of that name. Those of tautomer are
            anyway; any other is a `RemoteError`, with its `exc_type` and `value`. What a service of this node raises is itself.
        options: Of each call, as for `Broker.call`: `timeout`, `retries`, `meta`, …

    A call raises what `Broker.call` does, and:
        UnknownService: Nobody in the mesh offers the service.

    Raises:
        ServiceSchemaError: The service is no name, or an option is not known.
    """

    def __init__(self, service: str, *, errors: Sequence[type[Exception]] = (), **options: Any) -> None:
        given: object = service
        if not isinstance(given, str) or not given:
            raise ServiceSchemaError(f"an RpcProxy is given the name of a service, not {given!r:.80}")
        for option in options:
            if option not in _OPTIONS:
                raise ServiceSchemaError(f"RpcProxy('{service}') takes no '{option}'{nearest(option, _OPTIONS)}")
        classes: Sequence[object] = errors
        if not all(isinstance(one, type) and issubclass(one, Exception) for one in classes):
            raise ServiceSchemaError(f"errors of RpcProxy('{service}') are exception classes, not {errors!r:.80}")
        self._service = service
        self._errors = {one.__name__: one for one in errors}
        self._options = options
        self._line: _Line | None = None

    @overload
    def __get__(self, service: None, owner: type) -> RpcProxy: ...
    @overload
    def __get__(self, service: object, owner: type) -> ServiceProxy: ...
    def __get__(self, service: Any, owner: type) -> Any:
        return super().__get__(service, owner)

    def value(self, ctx: Context[Any] | None) -> ServiceProxy:
        """The service, for a call."""
        line = self._line
        if line is None:
            line = self._line = _Line(self.container, self._service, self._errors, self._options)
        return ServiceProxy(line, ctx)

    async def stop(self) -> None:
        """Cancel what was called with `call_async` and still runs."""
        if self._line is not None:
            await self._line.scope.close(0)


class _Line:
    """What all calls of one proxy have in common."""

    def __init__(
        self, container: Container, service: str, errors: dict[str, type[Exception]], options: dict[str, Any]
    ) -> None:
        self.container = container
        self.service = service
        self.scope = TaskScope(f"calls of {service}")
        self._errors = errors
        self._options = options

    async def call(self, ctx: Context[Any] | None, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """On the loop."""
        broker = self.container.broker
        call: Callable[..., Any] = broker.call if ctx is None else ctx.call
        fit = partial(params_of, args, kwargs)
        try:
            return await asked(call, broker.registry, self.service, method, fit, self._options)
        except ServiceNotFoundError:
            raise
        except MoleculerError as error:
            cls = self._errors.get(error.name) or _web_error(error)
            if cls is None or isinstance(error, cls):
                raise
            raise rebuilt(error, cls) from error


class ServiceProxy:
    """Another service, for one call of this one: ``proxy.method(…)``; ``proxy["a.b"]`` for names with dots."""

    __slots__ = ("_ctx", "_line")

    def __init__(self, line: _Line, ctx: Context[Any] | None) -> None:
        self._line = line
        self._ctx = ctx

    def __repr__(self) -> str:
        return f"<RpcProxy {self._line.service}>"

    def __getattr__(self, name: str) -> MethodProxy:
        if name.startswith("__"):
            raise AttributeError(name)
        return MethodProxy(self._line, self._ctx, name)

    def __getitem__(self, name: str) -> MethodProxy:
        return MethodProxy(self._line, self._ctx, name)


class MethodProxy:
    """An action of another service, as a method.

    Shapes of a call: by name, ``get(id=5)``; one dict, ``get({"id": 5})``, which is the params; by position, ``get(5)``, under
    the names that the action declares, else as ``{"$args": [5]}``. For a method of an ``@public_method`` that takes a dict,
    ``create(self, data)``, a dict is that argument.
    """

    __slots__ = ("_ctx", "_line", "_name")

    def __init__(self, line: _Line, ctx: Context[Any] | None, name: str) -> None:
        self._line = line
        self._ctx = ctx
        self._name = name

    def __repr__(self) -> str:
        return f"<RpcProxy {self._line.service}.{self._name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call: on the event loop to be awaited, in a thread with the result.

        Raises:
            ValidationError: Arguments by position do not fit the names.
            As `RpcProxy`.
        """
        return carried_out(lambda: self._line.call(self._ctx, self._name, args, kwargs), self._loop, self._what)

    def call_async(self, *args: Any, **kwargs: Any) -> AsyncCall:
        """Make the call now, and have its result later."""

        async def begin() -> asyncio.Task[tuple[bool, Any]]:
            return self._begin(args, kwargs)

        if asyncio._get_running_loop() is not None:
            task = self._begin(args, kwargs)
        else:
            task = carried_out(begin, self._loop, self._what)
        return AsyncCall(task, self._loop, self._what)

    def _begin(self, args: Sequence[Any], kwargs: dict[str, Any]) -> asyncio.Task[tuple[bool, Any]]:
        made = self._line.call(self._ctx, self._name, args, kwargs)
        return self._line.scope.spawn(_outcome(made), self._what)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop | None:
        return self._line.container.loop

    @property
    def _what(self) -> str:
        return f"call of {self._line.service}.{self._name}"


class AsyncCall:
    """A call that is under way. What nobody asks for is nobody's error."""

    __slots__ = ("_loop", "_task", "_what")

    def __init__(self, task: asyncio.Task[tuple[bool, Any]], loop: asyncio.AbstractEventLoop | None, what: str) -> None:
        self._task = task
        self._loop = loop
        self._what = what

    def result(self) -> Any:
        """Its result, as often as wanted: on the event loop to be awaited, in a thread at once or when it is there.

        Raises:
            As `MethodProxy.__call__`.
        """
        return carried_out(self._result, self._loop, f"result of the {self._what}")

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        # Several may wait for it, and one that gives up is not to end it for the others.
        succeeded, value = await asyncio.shield(self._task)
        if succeeded:
            return value
        raise value


async def _outcome(made: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
    try:
        return True, await made
    except (Exception, SystemExit) as error:
        return False, error


def _web_error(error: MoleculerError) -> type[Exception] | None:
    """The class by which methods with `@http` know an error: `NotFound` and its like, where there are such methods.

    Each of the gateway's errors has a twin of moleculer-web's under the same name on the wire.
    """
    if error.node_id is None or not (isinstance(error, RemoteError) or type(error).__module__ == "tautomer.errors"):
        return None
    found = getattr(sys.modules.get(_WEB_ERRORS), error.name, None)
    is_one = isinstance(found, type) and issubclass(found, MoleculerError) and found.__module__ == _WEB_ERRORS
    return found if is_one else None
