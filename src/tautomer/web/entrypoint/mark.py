"""`@http`: the mark, and how a marked method is called (entrypoints reference, section 2; architecture §13)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from tautomer.context import Context
from tautomer.decorators import MARKS, ActionMark, add_mark, marks_of
from tautomer.definitions import Binder, Method, Where, is_seconds
from tautomer.errors import MoleculerError, ServiceSchemaError, ValidationError
from tautomer.web.entrypoint.request import HttpRequest
from tautomer.web.entrypoint.rules import Rule, parse_rule
from tautomer.web.errors import GatewayError
from tautomer.web.messages.message import Request
from tautomer.web.settings.cors import Cors, read_cors
from tautomer.web.settings.reading import Notes

__all__ = ["EXTRA", "HttpRoute", "http"]

log = logging.getLogger("tautomer.web")

M = TypeVar("M", bound=Callable[..., Any])

EXTRA: Final = "http"
"""The name under which an action has its `HttpRoute`s. They are no plain values, so other nodes are not told."""

_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
# Options of `@action`, or of nameko, which would mean something here and do not.
_NOT_TAKEN: Final = frozenset(
    {"cache", "params", "process", "rest", "sensitive_arguments", "strict_slashes", "stream", "visibility"}
)
_CORS_NAMES: Final = {
    "origins": "origin",
    "headers": "allowed_headers",
    "expose_headers": "exposed_headers",
}


class HttpRoute(msgspec.Struct, frozen=True):
    """One way to a method.

    Attributes:
        methods: Of HTTP, in upper case.
        rule: The path.
        expected: Exceptions that clients are told of, with the status of each; None for its own, else 400.
        cors: Which sites' scripts may read the answers; None for what the gateway says.
        tells_methods: Whether `cors` says itself which methods there are.
        timeout: Seconds, or None.
    """

    methods: tuple[str, ...]
    rule: Rule
    expected: Mapping[type[Exception], int | None]
    cors: Any = None  # A `Cors`; msgspec need not know.
    tells_methods: bool = False
    timeout: float | None = None


class HttpRoutes(msgspec.Struct, frozen=True):
    """All ways to one method."""

    all: tuple[HttpRoute, ...]


class ExpectedError(GatewayError):
    """What a method raised as expected, under the name of its class."""

    def __init__(self, error: Exception, status: int) -> None:
        super().__init__(_text(error) or type(error).__name__, status, "EXPECTED_ERROR")
        self._name = type(error).__name__

    @property
    def name(self) -> str:
        """That of the class."""
        return self._name


def http(
    method: str,
    url: str = "",
    *,
    expected_exceptions: Any = (),
    cors: Any = None,
    blocking: bool | None = None,
    timeout: float | None = None,
    name: str | None = None,
    **extra: Any,
) -> Callable[[M], M]:
    """Mark a method as one that answers HTTP requests: ``get_user(self, request, user_id)``.

    It is an action of this node with all that actions have, and gets an `HttpRequest` and the values of the path. A `def`
    runs in a thread, as those who write it so call what blocks; an `async def` on the event loop. It returns text, bytes,
    what has a JSON form, an iterator of pieces, a `Response`, or ``(payload, status)``, ``(payload, status, headers)``.

    Args:
        method: One method, or several with commas between. ``GET`` answers HEAD, too.
        url: ``/users/<int:user_id>``; converters are string, int, float, uuid, path and any(a,b). Also ``{name}``, ``:name``.
        expected_exceptions: A class, several in a tuple, or a mapping of classes to statuses. Clients are told of these,
            under the status that they have as `status`, `status_code` or `code`, else 400.
        cors: ``{"origins", "methods", "headers", "credentials", "expose_headers", "max_age"}``, or True for every site.
        blocking: Whether it runs in a thread, where that is not as above.
        timeout: Seconds that a request may take; over it 504.
        name: Name of the action; that of the method by default.
        extra: As for `@action`, but for `cache`: a request is no key of one.

    Raises:
        ServiceSchemaError: One of these cannot be so.
        TypeError: It stands without brackets.
    """
    if callable(method):
        raise TypeError("@http needs a method and a URL: @http('GET', '/users/<int:user_id>')")
    if blocking is not None and not isinstance(blocking, bool):
        raise ServiceSchemaError(f"blocking of @http is True or False, not {blocking!r:.80}")
    if timeout is not None and not is_seconds(timeout):
        raise ServiceSchemaError(f"timeout of @http is a number of seconds, not {timeout!r:.80}")
    for option in _NOT_TAKEN & extra.keys():
        raise ServiceSchemaError(f"@http takes no '{option}'")
    route = HttpRoute(
        methods=_methods(method),
        rule=parse_rule(url),
        expected=_expected(expected_exceptions),
        cors=_cors(cors, url),
        tells_methods=isinstance(cors, Mapping) and "methods" in cors,
        timeout=timeout,
    )

    def add(function: M) -> M:
        where: Where = "thread" if blocking or (blocking is None and _is_plain(function)) else "loop"
        routes, others, options = [route], [], dict(extra)
        for mark in marks_of(function):
            # Several on one method are several ways to one action.
            known = mark.extra.get(EXTRA) if isinstance(mark, ActionMark) and mark.name == name else None
            if known is None:
                others.append(mark)
            else:
                routes += known.all
                options = {**mark.extra, **options}
        setattr(function, MARKS, tuple(others))
        ways = HttpRoutes(tuple(routes))
        return add_mark(
            function,
            ActionMark(
                name=name,
                # A request cannot travel, and no other way of a gateway may lead here.
                visibility="protected",
                timeout=timeout,
                where=where,
                binder=Binder(partial(_bind, ways), partial(_describe, ways), "@http"),
                extra={**options, EXTRA: ways},
            ),
        )

    return add


# --- the binder ---


def _bind(routes: HttpRoutes, method: Method) -> Method:
    """The method as it is called with the context: of the same kind, so that it runs where it would."""
    expected = {error: status for route in routes.all for error, status in route.expected.items()}
    classes = tuple(expected)
    if inspect.iscoroutinefunction(method):

        async def run(ctx: Context[Any]) -> Any:
            request = _request(ctx)
            try:
                return await method(request, **request.path_values)
            except classes as error:
                raise _told(error, expected, request) from error

        return run

    if inspect.isasyncgenfunction(method):

        async def stream(ctx: Context[Any]) -> Any:
            request = _request(ctx)
            async for piece in method(request, **request.path_values):
                yield piece

        return stream

    def call(ctx: Context[Any]) -> Any:
        request = _request(ctx)
        try:
            return method(request, **request.path_values)
        except classes as error:
            raise _told(error, expected, request) from error

    return call


def _request(ctx: Context[Any]) -> HttpRequest:
    params = ctx.params
    raw = params.get("request") if isinstance(params, Mapping) else None
    if not isinstance(raw, Request):
        raise ValidationError(
            "a method with @http answers HTTP requests: its params are {'request': Request, 'values': {…}}"
        )
    return HttpRequest(raw, ctx, dict(params.get("values") or {}))


def _told(error: Exception, expected: Mapping[type[Exception], int | None], request: HttpRequest) -> Exception:
    """The error as clients are told of it."""
    wanted = next((expected[cls] for cls in type(error).__mro__ if cls in expected), None)
    log.warning(
        "expected exception", extra={"error": type(error).__name__, "method": request.method, "path": request.path}
    )
    status = wanted
    for name in ("status", "status_code", "code"):
        own = getattr(error, name, None)
        if status is None and isinstance(own, int) and not isinstance(own, bool) and 400 <= own <= 599:
            status = int(own)
    if isinstance(error, MoleculerError) and (wanted is None or wanted == error.code):
        return error
    return ExpectedError(error, status or 400)


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _describe(routes: HttpRoutes, method: Method) -> tuple[Any, dict[str, Any]]:
    for route in routes.all:
        _check(method, route)
    told: dict[str, Any] = {}
    if description := inspect.getdoc(method):
        told["description"] = description
    return None, told


def _check(method: Method, route: HttpRoute) -> None:
    """Whether the method can be called with the request and the values of the path."""
    names = [one.name for one in route.rule.variables]
    where = f"{method.__qualname__} at '{route.rule.written}'"
    parameters = list(inspect.signature(method).parameters.values())
    by_place = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    takes_rest = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if not by_place and not takes_rest:
        raise ServiceSchemaError(f"{where} takes no request: it is written (self, request{_listed(names)})")
    others = parameters[1:] if by_place else parameters
    by_name = {one.name: one for one in others if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    unknown = [name for name in names if name not in by_name]
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in parameters):
        raise ServiceSchemaError(
            f"{where} has no parameter '{unknown[0]}': it is written (self, request{_listed(names)})"
        )
    lacking = [one for one in by_name.values() if one.default is one.empty and one.name not in names]
    if lacking:
        raise ServiceSchemaError(f"{where} wants '{lacking[0].name}', which is no value of the URL")


def _listed(names: list[str]) -> str:
    return "".join(f", {name}" for name in names)


# --- what was written ---


def _methods(written: object) -> tuple[str, ...]:
    names = [one.strip().upper() for one in written.split(",")] if isinstance(written, str) else []
    if not names or not all(name in _METHODS for name in names):
        raise ServiceSchemaError(
            f"the method of @http is one of {', '.join(_METHODS)}, or several with commas between, not {written!r:.80}"
        )
    return tuple(dict.fromkeys(names))


def _expected(written: Any) -> dict[type[Exception], int | None]:
    given: dict[Any, Any]
    if isinstance(written, Mapping):
        given = dict(written)
    else:
        given = dict.fromkeys([written] if isinstance(written, type) else list(written))
    for cls, status in given.items():
        fits = status is None or (type(status) is int and 400 <= status <= 599)
        if not (isinstance(cls, type) and issubclass(cls, Exception)) or not fits:
            raise ServiceSchemaError(
                "expected_exceptions is an exception class, several in a tuple, or a mapping of these to "
                f"statuses from 400 to 599, not {written!r:.80}"
            )
    return given


def _cors(written: Any, url: str) -> Cors | None:
    if isinstance(written, Mapping):
        written = {_CORS_NAMES.get(key, key): value for key, value in written.items()}
    notes = Notes(None)
    cors = read_cors(written, None, f"cors of @http('{url}')", notes)
    if notes.faults:
        raise ServiceSchemaError("; ".join(notes.faults))
    return cors


def _is_plain(function: Any) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return not any(is_one(function) for is_one in kinds)
