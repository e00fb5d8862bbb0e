"""`@websocket_rpc`: methods that clients call by WebSocket, ``join_room(self, socket_id, room_id)``.

A mark over `@action`: such a method is an action of its node, called *socket-style* (architecture §13, "the binder").
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

import msgspec

from tautomer.context import Context
from tautomer.decorators import ActionMark, add_mark
from tautomer.definitions import Binder, Method
from tautomer.errors import ServiceSchemaError
from tautomer.web.errors import ConnectionNotFound, IncorrectSignature
from tautomer.web.sockets.socket_id import SOCKET_ID

__all__ = ["EXPECTED", "SOCKET_STYLE", "websocket_rpc"]

M = TypeVar("M", bound=Callable[..., Any])

EXPECTED: Final = "expectedExceptions"
"""Key under which an action tells the names of the exceptions that its clients are told of."""


@overload
def websocket_rpc(function: M, /) -> M: ...
@overload
def websocket_rpc(
    *,
    name: str | None = None,
    params: Any = None,
    expected_exceptions: type[Exception] | Sequence[type[Exception]] = (),
    timeout: float | None = None,
    blocking: bool | None = None,
    **extra: Any,
) -> Callable[[M], M]: ...
def websocket_rpc(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    params: Any = None,
    expected_exceptions: type[Exception] | Sequence[type[Exception]] = (),
    timeout: float | None = None,
    blocking: bool | None = None,
    **extra: Any,
) -> Any:
    """Mark a method as one that clients may call by WebSocket. What it returns is the result's `data`.

    The method takes the id of the client's socket, whatever it calls it, and the message's data as keyword arguments. A
    parameter that is annotated as `Context` gets the context. A `def` runs in a thread, an `async def` on the event loop.
    It can be called on its own node only, as a socket cannot travel.

    Args:
        name: Name of the method, if it is not the function's.
        params: Schema of the data, as for `@action`; the method gets what the validator made of it.
        expected_exceptions: Exceptions that clients are told of, with class, arguments and text.
        timeout: Seconds the method may take.
        blocking: Whether it runs in a thread, where that is not as above.
        extra: As for `@action`.

    Raises:
        ServiceSchemaError: One of these cannot be so.
    """
    if isinstance(function, str):
        raise ServiceSchemaError(f"a marked method is a function, not {function!r:.80}; its name is given as name=…")
    if not isinstance(blocking, bool | None):
        raise ServiceSchemaError(f"blocking of a method is True or False, not {blocking!r:.80}")
    given: Any = expected_exceptions
    expected = [given] if isinstance(given, type) else list(given)
    if not all(isinstance(one, type) and issubclass(one, Exception) for one in expected):
        raise ServiceSchemaError(f"expected_exceptions are exception classes, not {expected_exceptions!r:.80}")
    if expected:
        extra = {**extra, EXPECTED: [one.__name__ for one in expected]}

    def add(marked: M) -> M:
        in_thread = not inspect.iscoroutinefunction(marked) if blocking is None else blocking
        mark = ActionMark(
            name=name,
            params=params,
            visibility="protected",
            timeout=timeout,
            where="thread" if in_thread else "loop",
            binder=SOCKET_STYLE,
            extra=extra,
        )
        return add_mark(marked, mark)

    return add if function is None else add(function)


class _Arguments(msgspec.Struct, frozen=True):
    """What a method takes beside the socket's id.

    Attributes:
        names: All that it takes by name; None for any.
        required: Those that must be given.
        refused: Names that cannot be given: those of the first parameter, and of the context's.
        context: Name of the parameter that takes the context, or None.
    """

    names: frozenset[str] | None
    required: frozenset[str]
    refused: frozenset[str]
    context: str | None

    def check(self, data: Any) -> None:
        """See that the arguments fit.

        Raises:
            IncorrectSignature: They do not; names the first that is wrong.
        """
        if not isinstance(data, dict):
            raise IncorrectSignature("arguments are an object")
        for name in data:
            if name in self.refused or (self.names is not None and name not in self.names):
                raise IncorrectSignature(f"unknown argument '{str(name)[:100]}'")
        for name in sorted(self.required):
            if name not in data:
                raise IncorrectSignature(f"argument '{name}' is missing")


def _arguments(method: Method) -> _Arguments:
    """
    Raises:
        ServiceSchemaError: It takes no socket's id, or something that cannot be given by name.
    """
    parameters = list(inspect.signature(method).parameters.values())
    by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    takes_all = bool(parameters) and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
    if not takes_all and (not parameters or parameters[0].kind not in by_place):
        raise ServiceSchemaError(f"{method!r:.200}: a method for WebSockets takes the id of the socket first")
    hints = _hints(method)
    names: set[str] = set()
    required: set[str] = set()
    # As for Python itself: a name that is only a place may be one of the further arguments.
    refused = {parameters[0].name} if parameters[0].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD else set()
    context, any_name = None, False
    for one in parameters[1:]:
        hint = hints.get(one.name)
        if hint is Context or typing.get_origin(hint) is Context:
            context = one.name
            refused.add(one.name)
        elif one.kind is one.VAR_KEYWORD:
            any_name = True
        elif one.kind is one.POSITIONAL_ONLY:
            raise ServiceSchemaError(f"{method!r:.200}: '{one.name}' cannot be given by name, as clients do")
        elif one.kind is not one.VAR_POSITIONAL:
            names.add(one.name)
            if one.default is one.empty:
                required.add(one.name)
    return _Arguments(None if any_name else frozenset(names), frozenset(required), frozenset(refused), context)


def _bind(method: Method) -> Method:
    arguments = _arguments(method)

    check, context, required = arguments.check, arguments.context, arguments.required
    # What is none of these is looked at more closely.
    usual = frozenset() if arguments.names is None else arguments.names

    def call(ctx: Context[Any]) -> Any:
        meta = ctx._meta
        socket_id = None if meta is None else meta.get(SOCKET_ID)
        if not isinstance(socket_id, str):
            raise ConnectionNotFound("there is no socket: the method is for clients of a WebSocket")
        given = ctx.params
        if type(given) is not dict or not required <= given.keys() <= usual:
            check(given)
        return method(socket_id, **given) if context is None else method(socket_id, **given, **{context: ctx})

    if inspect.iscoroutinefunction(method):

        async def run(ctx: Context[Any]) -> Any:
            return await call(ctx)

        return run
    return call


def _describe(method: Method) -> tuple[Any, dict[str, Any]]:
    _arguments(method)  # A fault is to be told where the service is registered.
    return None, {}


SOCKET_STYLE: Final = Binder(_bind, _describe, "@websocket_rpc")
"""The binder of `@websocket_rpc`."""


def _hints(method: Method) -> dict[str, Any]:
    try:
        return typing.get_type_hints(method)
    except Exception:
        # A name that exists for the type checker only: then they say nothing.
        return {}
