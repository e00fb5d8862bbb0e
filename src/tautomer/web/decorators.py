"""`@public_method` and its like: marks of methods that the doors of a gateway lead to; marks over `@action`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from tautomer.decorators import ActionMark, add_mark
from tautomer.definitions import Binder, Where
from tautomer.errors import ServiceSchemaError
from tautomer.keywords import KEYWORD_STYLE, REQUEST_STYLE

__all__ = ["exposed_method", "private_api_method", "public_method"]

M = TypeVar("M", bound=Callable[..., Any])

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.]*")
_EXPECTED: Final = "an exception class, or several in a tuple"


@overload
def public_method(function: M, /) -> M: ...
@overload
def public_method(
    *,
    name: str | None = None,
    params: Any = None,
    expected_exceptions: type[Exception] | Sequence[type[Exception]] = (),
    timeout: float | None = None,
    blocking: bool | None = None,
    **extra: Any,
) -> Callable[[M], M]: ...
def public_method(function: Any = None, /, **options: Any) -> Any:
    """Mark a method as one that JSON-RPC clients may call: ``say_hello(self, name)`` gets its params as arguments.

    For the mesh it is an action like any other: ``broker.call("hello.say_hello", {"name": "x"})``. A `def` runs in a
    thread, as in gemstone, an `async def` on the event loop. A parameter that is annotated as `Context` gets the context
    and is none of the params; those annotated as `str`, `int`, `float`, `bool`, `list` or `dict` are checked.

    Args:
        name: Name of the method, if it is not the function's; it may have dots.
        params: Schema of the params, in the place of what the annotations say.
        expected_exceptions: Exceptions that clients are told of, with class and text, under the code -32000.
        timeout: Seconds the method may take.
        blocking: Whether it runs in a thread, where that is not as above.
        extra: As for `@action`.

    Raises:
        ServiceSchemaError: One of these cannot be so.
    """
    return _marked(function, options, private=False)


@overload
def private_api_method(function: M, /) -> M: ...
@overload
def private_api_method(
    *,
    name: str | None = None,
    params: Any = None,
    expected_exceptions: type[Exception] | Sequence[type[Exception]] = (),
    timeout: float | None = None,
    blocking: bool | None = None,
    **extra: Any,
) -> Callable[[M], M]: ...
def private_api_method(function: Any = None, /, **options: Any) -> Any:
    """The same for clients that show a token which the service accepts (`MicroService.api_token_is_valid`).

    Every node of the mesh may call it; no other way of a gateway leads to it.
    """
    return _marked(function, options, private=True)


def exposed_method(
    name: str | None = None,
    private: bool = False,
    is_coroutine: bool | None = None,
    requires_handler_reference: bool = False,
    **options: Any,
) -> Callable[[M], M]:
    """Both in one, as gemstone has it from 0.9 on. `is_coroutine` says what can be seen, and is ignored.

    Args:
        requires_handler_reference: The method gets the request first, ``say_hello(self, request, name)``: the gateway's,
            with `headers`, `cookies` and `client`; by WebSocket the handshake. It is None for whoever calls by the mesh,
            also for a gateway at another node.

    Raises:
        ServiceSchemaError: As `public_method`; or the method has no parameter for the request.
    """
    style = REQUEST_STYLE if requires_handler_reference else KEYWORD_STYLE
    return lambda function: _marked(None, {"name": name, **options}, private, style)(function)


def _marked(function: Any, options: dict[str, Any], private: bool, style: Binder = KEYWORD_STYLE) -> Any:
    if function is not None and not callable(function):
        raise ServiceSchemaError(f"a marked method is a function, not {function!r:.80}; its name is given as name=…")
    mark = _mark(private=private, **options)

    def add(marked: M) -> M:
        where: Where | None = mark.where
        if where is None:
            plain = not inspect.iscoroutinefunction(marked) and not inspect.isasyncgenfunction(marked)
            where = "thread" if plain and not inspect.isgeneratorfunction(marked) else "loop"
        return add_mark(
            marked,
            ActionMark(
                name=mark.name,
                params=mark.params,
                visibility=mark.visibility,
                timeout=mark.timeout,
                where=where,
                binder=style,
                extra=mark.extra,
            ),
        )

    return add if function is None else add(function)


def _mark(
    *,
    private: bool,
    name: Any = None,
    params: Any = None,
    expected_exceptions: Any = (),
    timeout: float | None = None,
    blocking: Any = None,
    **extra: Any,
) -> ActionMark:
    if name is not None and (not isinstance(name, str) or not _NAME.fullmatch(name)):
        raise ServiceSchemaError(f"the name of a method is letters, digits, '_' and '.', not {name!r:.80}")
    if not isinstance(blocking, bool | None):
        raise ServiceSchemaError(f"blocking of a method is True or False, not {blocking!r:.80}")
    expected = [expected_exceptions] if isinstance(expected_exceptions, type) else list(expected_exceptions)
    if not all(isinstance(one, type) and issubclass(one, Exception) for one in expected):
        raise ServiceSchemaError(f"expected_exceptions is {_EXPECTED}, not {expected_exceptions!r:.80}")
    told: dict[str, Any] = {"rpc": "private" if private else "public"}
    if expected:
        # By name, as they are known by at other nodes.
        told["expectedExceptions"] = [one.__name__ for one in expected]
    return ActionMark(
        name=name,
        params=params,
        # Reachable by a token at its own door only, so no other door of a gateway may lead to it.
        visibility="public" if private else None,
        timeout=timeout,
        where=None if blocking is None else "thread" if blocking else "loop",
        extra={**extra, **told},
    )
