"""Methods of services at a node: called past what leads to them, or waited for."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeAlias

from tautomer.context import Context
from tautomer.definitions import ActionDef
from tautomer.errors import TautomerError
from tautomer.providers.pending import carried_out
from tautomer.providers.shapes import params_of
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.service import Service
from tautomer.testing.stand_ins import ExtensionNotFound

__all__ = ["EntrypointWaiterTimeout", "WaitResult", "entrypoint_hook", "entrypoint_waiter"]

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]
Callback: TypeAlias = Callable[[Context[Any], Any, ExcInfo | None], bool]


class EntrypointWaiterTimeout(TautomerError, TimeoutError):
    """What was waited for did not happen in time."""


class entrypoint_hook:  # It is called as a function.
    """Calls a method of a service at a node as if it were called directly: with its dependencies and middlewares.

    ```python
    with entrypoint_hook(service, "get_user") as get_user:     # or `async with`
        user = await get_user(5)                               # in a thread: without `await`
    ```

    Arguments are those of the method: for an `@action` or `@event` its params or payload (by name, or as one dict), for
    `@public_method` its arguments, for `@http` a `Request` and the values of the path, for `@websocket_rpc` the id of a socket
    and the data.

    Args:
        service: At a started node.
        method_name: Of the Python method.
        context_data: Meta of the call: a language, a user.
        timeout: Seconds that the call may take.

    Raises:
        ExtensionNotFound: The service has no marked method of that name.
    """

    def __init__(
        self, service: Service, method_name: str, context_data: dict[str, Any] | None = None, timeout: float = 30.0
    ) -> None:
        self._service = service
        self._name = method_name
        self._meta = dict(context_data or {})
        self._timeout = timeout
        self._definition, self._endpoint = _found(service, method_name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method: on the event loop to be awaited, in a thread with the result.

        Raises:
            TimeoutError: It took too long.
            What the method raises.
        """
        return carried_out(lambda: self._call(args, kwargs), _loop(self._service), f"call of {self._name}")

    async def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        params, meta = self._shaped(args, kwargs)
        if args and isinstance(args[0], Context):
            params, meta = args[0].params, args[0].copy_meta() or {}
        ctx: Context[Any] = Context(self._service.broker, params, self._endpoint)
        ctx.meta = {**self._meta, **meta}
        if isinstance(self._endpoint, EventEndpoint):
            ctx.event_name, ctx.event_type = self._endpoint.name, "emit"
        async with asyncio.timeout(self._timeout):
            return await self._endpoint.handler(ctx)

    def _shaped(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Params and meta."""
        definition = self._definition
        if definition is None:
            return (args[0] if args else kwargs), {}
        if "http" in definition.extra:
            names = list(inspect.signature(definition.method).parameters)[1 : len(args)]
            raw = getattr(args[0], "raw", args[0]) if args else None
            return {"request": raw, "values": {**dict(zip(names, args[1:], strict=False)), **kwargs}}, {}
        from tautomer.web.sockets.marks import SOCKET_STYLE
        from tautomer.web.sockets.socket_id import SOCKET_ID

        if definition.binder is SOCKET_STYLE:
            return kwargs, {SOCKET_ID: args[0] if args else None}
        return params_of(args, kwargs, self._endpoint.entry), {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


class WaitResult:
    """How a method ended that was waited for."""

    def __init__(self) -> None:
        self._outcome: tuple[bool, Any] | None = None

    @property
    def is_there(self) -> bool:
        return self._outcome is not None

    def send(self, succeeded: bool, value: Any) -> None:
        """It has ended, with this result or exception. The first one counts."""
        if self._outcome is None:
            self._outcome = succeeded, value

    def get(self) -> Any:
        """Its result.

        Raises:
            RuntimeError: It has not ended.
            What it raised.
        """
        if self._outcome is None:
            raise RuntimeError("the method has not ended: its result is there after the `with`")
        succeeded, value = self._outcome
        if succeeded:
            return value
        raise value


class entrypoint_waiter:  # As above.
    """Waits, at its end, until a method of a service was called by whatever leads to it, and has ended.

    ```python
    async with entrypoint_waiter(service, "on_created") as result:      # in a thread: `with`
        broker.emit("user.created", {"id": 5})
    assert result.get() is None
    ```

    Args:
        service: At a started node.
        method_name: Of the Python method.
        timeout: Seconds to wait.
        callback: Called with the context, the result and the `exc_info` of each call that ends, all of which it may look at;
            says whether that was the one.

    Raises:
        ExtensionNotFound: The service has no marked method of that name.
        EntrypointWaiterTimeout: It was not called, or did not end, in time.
    """

    def __init__(
        self, service: Service, method_name: str, timeout: float = 30.0, callback: Callback | None = None
    ) -> None:
        self._service = service
        self._name = method_name
        self._timeout = timeout
        self._callback = callback
        self._endpoint = _found(service, method_name)[1]
        self._ended = asyncio.Event()
        self._result = WaitResult()

    # --- both ways ---

    def _begin(self) -> WaitResult:
        endpoint = self._endpoint
        self._handler, endpoint.handler = endpoint.handler, self._watched
        if isinstance(endpoint, EventEndpoint):
            self._plain = endpoint.plain
            if endpoint.plain is not None:
                endpoint.plain = self._watched_plain
        return self._result

    def _end(self) -> None:
        endpoint = self._endpoint
        endpoint.handler = self._handler
        if isinstance(endpoint, EventEndpoint):
            endpoint.plain = self._plain

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._ended.wait()
        except TimeoutError:
            raise EntrypointWaiterTimeout(
                f"'{self._name}' of '{self._service.full_name}' was not called, or did not end, in {self._timeout:g} s"
            ) from None

    async def _watched(self, ctx: Context[Any]) -> Any:
        try:
            result = await self._handler(ctx)
        except BaseException as error:
            self._note(ctx, None, error)
            raise
        self._note(ctx, result, None)
        return result

    def _watched_plain(self, ctx: Context[Any]) -> Any:
        assert self._plain is not None
        try:
            result = self._plain(ctx)
        except BaseException as error:
            self._note(ctx, None, error)
            raise
        if not inspect.isawaitable(result):
            self._note(ctx, result, None)
            return result

        async def later() -> Any:
            try:
                value = await result
            except BaseException as error:
                self._note(ctx, None, error)
                raise
            self._note(ctx, value, None)
            return value

        return later()

    def _note(self, ctx: Context[Any], result: Any, error: BaseException | None) -> None:
        info = None if error is None else (type(error), error, error.__traceback__)
        if self._callback is None or self._callback(ctx, result, info):
            self._result.send(error is None, result if error is None else error)
            self._ended.set()

    # --- with ---

    async def __aenter__(self) -> WaitResult:
        return self._begin()

    async def __aexit__(self, kind: object, _error: object, _tb: object) -> None:
        try:
            if kind is None:
                await self._wait()
        finally:
            self._end()

    def __enter__(self) -> WaitResult:
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("on an event loop it is `async with entrypoint_waiter(…)`: it waits")
        return self._begin()

    def __exit__(self, kind: object, _error: object, _tb: object) -> None:
        wait: Callable[[], Coroutine[Any, Any, None]] = self._wait
        try:
            if kind is None:
                carried_out(wait, _loop(self._service), f"wait for {self._name}")
        finally:
            self._end()


def _loop(service: Service) -> asyncio.AbstractEventLoop | None:
    return service.broker._local.loop


def _found(service: Service, method_name: str) -> tuple[ActionDef | None, Endpoint]:
    """The definition and the endpoint of a method's action; None and the endpoint of its event.

    Raises:
        ExtensionNotFound: There is neither.
    """
    method = getattr(service, method_name, None)
    registry = service.broker.registry
    for definition in service.action_defs():
        if definition.method == method:
            direct = getattr(getattr(service, "actions", None), definition.name, None)
            if direct is not None:
                return definition, direct.endpoint
    for listener in service.event_defs():
        if method in listener.methods:
            for one in (one for lists in registry.events.lists for one in lists.local):
                if one.service.full_name == service.full_name and one.name == listener.name:
                    return None, one
    raise ExtensionNotFound(
        f"'{service.full_name}' has no method '{method_name}' with a mark, or has not started", name=method_name
    )
