"""MeshClient: the same client for a service of the mesh, over the broker (JSON-RPC reference, section 13)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from fnmatch import fnmatchcase
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from tautomer._tasks import TaskScope
from tautomer.client.failures import (
    CalledServiceError,
    RemoteServiceError,
    RequestTimeout,
    ServiceUnreachable,
    called_service_error,
)
from tautomer.client.handles import AsyncCall, AsyncMethodCall, is_beside
from tautomer.client.messages import BatchResult, MethodCall, Notification, Params, Result, params_of
from tautomer.client.remote import Methods, check_known
from tautomer.context import CallOptions
from tautomer.error_wire import is_on_purpose
from tautomer.errors import (
    JsonRpcError,
    MoleculerError,
    RequestRejectedError,
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    UnknownService,
    ValidationError,
)
from tautomer.keywords import named
from tautomer.protocol.jsonrpc import (
    APPLICATION_ERROR,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    MESSAGES,
    METHOD_NOT_FOUND,
    OVERLOADED,
    TIMED_OUT,
    UNAVAILABLE,
)
from tautomer.protocol.rpc_errors import code_of, detail_of, expected_data, words
from tautomer.providers.asking import asked
from tautomer.providers.pending import carried_out
from tautomer.providers.shapes import order_of
from tautomer.registry.registry import ServiceEntry

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["MeshClient"]

BATCH_CONCURRENCY: Final = 10
"""Calls of a batch that run at once, as at an endpoint."""

NOTIFICATIONS_MAX: Final = 1000
"""Calls of a node that nobody waits for; what comes over it is refused."""

PRIVATE: Final = "private"


class MeshClient:
    """A client of a service of the mesh, wherever it runs: ``broker.remote("hello.world").methods.say_hello("world")``.

    It has the surface of `RemoteClient` and raises the same, so that code need not care how a service is reached. What is
    called is an action; any service has them, with marks of JSON-RPC or without. Whoever is in the mesh may call methods
    that take a token at the door. On the event loop what it gives is awaited, in a thread it blocks.

    Args:
        service: Full name.
        scope: Owns what nobody waits for.
        loop: The node's, as far as it is known.
        options: Of each call, as `Broker.call` takes them.

    Raises:
        ValueError: The service has no name.
        ServiceUnreachable: From a call: nobody offers the service, or its node was lost meanwhile.
        RequestTimeout: From a call: no answer in time.
        CalledServiceError: From a call: the service answered with an error; `__cause__` is what the broker raised.
    """

    def __init__(
        self,
        broker: Broker,
        service: str,
        scope: TaskScope,
        loop: asyncio.AbstractEventLoop | None,
        options: CallOptions,
    ) -> None:
        given: object = service
        if not isinstance(given, str) or not given:
            raise ValueError(f"a client is given the full name of a service, not {given!r:.80}")
        self._broker = broker
        self._service = service
        self._scope = scope
        self._loop = loop or asyncio._get_running_loop()
        self._options = options
        self._ids = itertools.count(1)

    def __repr__(self) -> str:
        return f"MeshClient({self._service!r})"

    @classmethod
    def get_service_by_name(
        cls, broker: Broker, name_pattern: str, choose_algorithm: str = "random", **options: Any
    ) -> MeshClient:
        """A client of a service that the mesh knows: one at random of those whose full name fits the pattern.

        Raises:
            CalledServiceError: There is none.
            ValueError: Another way to choose than ``random``.
        """
        if choose_algorithm != "random":
            raise ValueError(f"choose_algorithm is 'random', not {choose_algorithm!r}")
        nodes = broker.registry.nodes
        found = {
            one.full_name
            for one in broker.registry.services
            # Every node has some of its own, which are no services of anybody's.
            if one.full_name[:1] != "$" and fnmatchcase(one.full_name, name_pattern) and nodes[one.node_id].available
        }
        if not found:
            raise CalledServiceError(f"Unable to locate service {name_pattern}")
        return broker.remote(broker.host.random.choice(sorted(found)), **options)

    # --- what the service is ---

    @property
    def name(self) -> Any:
        """The service's full name."""
        return self._carried_out(self._name, "name")

    @property
    def url(self) -> str:
        """Where the service says that others ask it; empty where it says nothing, or nobody offers it now."""
        told = (one.metadata.get("accessible_at") for one in self._entries())
        return next((one for one in told if isinstance(one, str)), "")

    def get_available_methods(self) -> Any:
        """Names of its methods."""
        return self._carried_out(self._known_now, "get_available_methods")

    def refresh_service_info(self) -> Any:
        """The same: what the mesh knows is always new."""
        return self.get_available_methods()

    # --- calls ---

    @property
    def methods(self) -> Methods:
        """``methods.say_hello("world")``; positional or named arguments, not both. In threads also with ``__async=True``."""
        return Methods(self._call_by_name, self._check)

    @property
    def notifications(self) -> Methods:
        """``notifications.say_hello("world")`` begins it, and gives None."""
        return Methods(lambda name, args, kwargs: self.notify(name, params_of(args, kwargs)), self._check)

    def call_method(self, method: str | MethodCall, params: Params = None) -> Any:
        """As `RemoteClient.call_method`: gives a `Result`."""
        call = self._call_of(method, params)
        return self._carried_out(partial(self._result, call), call.method_name)

    def call_method_async(self, method: str | MethodCall, params: Params = None) -> AsyncMethodCall:
        """As `RemoteClient.call_method_async`; on the event loop there are tasks for it.

        Raises:
            RuntimeError: On the event loop.
        """
        call = self._call_of(method, params)
        return AsyncMethodCall(call, self._beside(call))

    def notify(self, method: str | Notification, params: Params = None) -> Any:
        """As `RemoteClient.notify`. What still runs when this node has stopped is cancelled.

        Raises:
            CalledServiceError: Too many run already.
        """
        sent = method if isinstance(method, Notification) else Notification(method, params)
        return self._carried_out(partial(self._notify, sent), sent.method_name)

    def call_batch(self, *calls: MethodCall | Notification) -> Any:
        """As `RemoteClient.call_batch`: gives a `BatchResult`. Some run at once."""
        for one in calls:
            if not isinstance(one, MethodCall | Notification):
                raise TypeError(f"a batch holds MethodCall and Notification, not {one!r:.80}")
            if isinstance(one, MethodCall):
                self._call_of(one, None)
        return self._carried_out(partial(self._batch, calls), "a batch")

    # --- there is nothing to be closed; written for another client, code may do it all the same ---

    def close(self) -> Any:
        """Nothing: the line is the node's."""
        return self._carried_out(_nothing, "close") if asyncio._get_running_loop() is not None else None

    def __enter__(self) -> MeshClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def __aenter__(self) -> MeshClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    # --- on the loop or in a thread ---

    def _carried_out(self, make: Callable[[], Coroutine[Any, Any, Any]], what: str) -> Any:
        return carried_out(make, self._loop, f"{what} of {self._service}")

    def _call_by_name(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        beside, by_name = is_beside(kwargs)
        call = self._call_of(name, params_of(args, by_name))
        if beside:
            return AsyncCall(call, self._beside(call))
        return self._carried_out(partial(self._value, call), name)

    def _call_of(self, method: str | MethodCall, params: Params) -> MethodCall:
        call = method if isinstance(method, MethodCall) else MethodCall(method, params)
        if call.id is None:
            call.id = next(self._ids)
        return call

    def _beside(self, call: MethodCall) -> Future[Result]:
        future: Future[Result] = Future()

        async def run() -> None:
            try:
                future.set_result(await self._result(call))
            except Exception as error:
                future.set_exception(error)

        def ended(task: asyncio.Task[None]) -> None:
            # It may be cancelled before it has begun; whoever waits in a thread must hear of it.
            if task.cancelled() and future.cancel():
                future.set_running_or_notify_cancel()

        async def begin() -> None:
            self._scope.spawn(run(), f"call of {self._service}.{call.method_name}").add_done_callback(ended)

        if asyncio._get_running_loop() is not None:
            raise RuntimeError("a handle would block the event loop; here, make a task of the call")
        self._carried_out(begin, call.method_name)
        return future

    # --- on the loop ---

    async def _name(self) -> str:
        return self._service

    async def _known_now(self) -> list[str]:
        return self._known()

    async def _value(self, call: MethodCall) -> Any:
        try:
            return await self._ask(call)
        except Exception as error:
            raise self._raised(error, call.method_name) from error

    async def _result(self, call: MethodCall) -> Result:
        try:
            return Result(await self._ask(call), None, call.id, call)
        except Exception as error:
            raised = self._raised(error, call.method_name)
            if not isinstance(raised, CalledServiceError):
                raise raised from error
            return Result(None, raised.args[0], call.id, call)

    async def _batch(self, calls: Sequence[MethodCall | Notification]) -> BatchResult:
        await self._reach()
        for one in calls:
            if isinstance(one, Notification):
                await self._notify(one)
        wanted = [one for one in calls if isinstance(one, MethodCall)]
        results: dict[int, Result] = {}
        turns = iter(enumerate(wanted))

        async def work() -> None:
            for index, call in turns:
                results[index] = await self._element(call)

        await asyncio.gather(*[work() for _ in range(min(BATCH_CONCURRENCY, len(wanted)))])
        return BatchResult([results[index] for index in range(len(wanted))])

    async def _element(self, call: MethodCall) -> Result:
        """The result of one of a batch: no other fails with it."""
        try:
            return Result(await self._ask(call), None, call.id, call)
        except Exception as error:
            return Result(None, self._error_object(error, call.method_name), call.id, call)

    async def _notify(self, sent: Notification) -> None:
        await self._reach()
        if len(self._scope) >= NOTIFICATIONS_MAX:
            raise CalledServiceError(_object(OVERLOADED))
        self._scope.spawn(self._unheard(sent), f"notification of {self._service}.{sent.method_name}")

    async def _unheard(self, sent: Notification) -> None:
        try:
            await self._ask(sent)
        except Exception as error:
            # Nobody is told, as of any other notification; who has the method has logged what it did not expect.
            self._broker.logger.debug(
                "notification failed", extra={"action": f"{self._service}.{sent.method_name}", "reason": words(error)}
            )

    async def _reach(self) -> None:
        """
        Raises:
            ServiceUnreachable: Nobody offers the service.
        """
        if not self._broker.registry.has_service(self._service):
            raise self._unreachable()

    async def _ask(self, sent: MethodCall | Notification) -> Any:
        call, registry, options = self._broker.call, self._broker.registry, self._options
        fit = partial(_fit, sent.params, f"{self._service}.{sent.method_name}")
        return await asked(call, registry, self._service, sent.method_name, fit, options)

    # --- what it knows ---

    def _entries(self) -> list[ServiceEntry]:
        return [one for one in self._broker.registry.services if one.full_name == self._service]

    def _known(self) -> list[str]:
        prefix = f"{self._service}."
        actions = {
            name.removeprefix(prefix)
            for one in self._entries()
            for name, entry in one.actions.items()
            if name.startswith(prefix) and entry.get("visibility") != PRIVATE
        }
        return sorted(actions)

    def _check(self, name: str) -> None:
        check_known(name, self._known())

    # --- what went wrong ---

    def _unreachable(self) -> ServiceUnreachable:
        return ServiceUnreachable(f"nobody in the mesh offers the service '{self._service}'", "unsent")

    def _raised(self, error: Exception, method: str) -> Exception:
        """An exception of the broker's as one of a client's."""
        action = f"{self._service}.{method}"
        if isinstance(error, RemoteServiceError):
            return error
        if isinstance(error, UnknownService) and error.action == self._service:
            return self._unreachable()
        about_this = getattr(error, "action", None) == action
        if about_this and isinstance(error, ServiceNotAvailableError):
            return ServiceUnreachable(f"nobody who offers '{action}' can be asked now", "unsent")
        if about_this and isinstance(error, RequestRejectedError):
            return ServiceUnreachable(f"the node that ran '{action}' is gone, or leaves")
        if about_this and isinstance(error, RequestTimeoutError):
            return RequestTimeout(f"{action} gave no answer in time")
        return called_service_error(self._error_object(error, method))

    def _error_object(self, error: Exception, method: str) -> dict[str, Any]:
        """What an endpoint would tell of it; within the mesh nothing is hidden."""
        action = f"{self._service}.{method}"
        if isinstance(error, UnknownService) and error.action == self._service:
            return _object(UNAVAILABLE, data={"action": action})
        if isinstance(error, ServiceNotFoundError) and error.action == action:
            return _object(METHOD_NOT_FOUND, data={"method": method})
        endpoints = self._broker.registry.actions.get(action)
        entry = endpoints.all[0].entry if endpoints is not None and endpoints.all else None
        if (expected := expected_data(error, entry)) is not None:
            return _object(APPLICATION_ERROR, expected["info"], expected)
        if isinstance(error, JsonRpcError):
            own = error.data if isinstance(error.data, Mapping) else {}
            code = own.get("code")
            return _object(code if type(code) is int else APPLICATION_ERROR, error.message, own.get("data"))
        if isinstance(error, ValidationError):
            return _object(INVALID_PARAMS, data={"reason": error.message, "errors": error.data})
        if (known := code_of(error)) is not None:
            timeout = self._options.get("timeout") if known == TIMED_OUT else None
            return _object(known, data=detail_of(known, error, action, timeout))
        if isinstance(error, MoleculerError) and is_on_purpose(error):
            told = {"name": error.name, "type": error.type, "code": error.code, "data": error.data}
            return _object(APPLICATION_ERROR, error.message, {key: one for key, one in told.items() if one is not None})
        name = error.name if isinstance(error, MoleculerError) else type(error).__name__
        return _object(INTERNAL_ERROR, data={"class": name, "info": words(error)})


async def _nothing() -> None:
    pass


def _fit(params: Params, action: str, entry: Mapping[str, Any] | None) -> Any:
    """Params as an action takes them: by name.

    Raises:
        ServiceNotFoundError: They are by position, and nobody is there to know the names.
        ValidationError: They are by position, and more than there are names, or their order is not known.
    """
    if params is None or isinstance(params, Mapping):
        return params
    if entry is None:
        raise ServiceNotFoundError(action)
    order = order_of(entry)
    if order is None and params:
        fault = {"type": "positional", "field": "params", "message": "use named params: their order is not known"}
        raise ValidationError(fault["message"], data=[fault])
    return named(params, order or [])


def _object(code: int, message: str | None = None, data: Any = None) -> dict[str, Any]:
    made = {"code": code, "message": MESSAGES[code] if message is None else message}
    return made if data is None else {**made, "data": data}
