"""Keyword style: methods that are called with the params as arguments, ``say_hello(self, name)``.

How such a method is called is decided once, when its service is registered (architecture §13, "the binder").
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from tautomer.context import Context
from tautomer.definitions import Binder, Method
from tautomer.errors import ServiceSchemaError, ValidationError

__all__ = ["KEYWORD_STYLE", "REQUEST", "REQUEST_STYLE", "Arguments", "named"]

_RULES: Final[Mapping[object, dict[str, Any]]] = {
    str: {"type": "string"},
    int: {"type": "number", "integer": True},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array"},
}
REQUEST: Final = "rpcRequest"
"""Member of an action's entry: it takes the request. Key of `Context.locals`, at the root of a call by JSON-RPC: the request."""

# Anything, also None, but it must be there.
_ANYTHING: Final = {"type": "any", "nullable": True}


class Arguments(msgspec.Struct, frozen=True):
    """What a method takes.

    Attributes:
        places: Names in the order in which they can be given by position.
        before: How many of these Python takes by position only.
        rest: Name of ``*numbers``, or None: as a param it is a list.
        others: Whether it takes any name (``**options``).
        names: All that can be given by name.
        required: Those that must be.
        context: Name of the parameter annotated as `Context`, or None; it is no param.
        request: Whether the first parameter takes the request; then it is none of the above.
        rules: The schema of the params, as far as annotations tell.
        returns: The rule of the result, or None.
    """

    places: tuple[str, ...]
    before: int
    rest: str | None
    others: bool
    names: frozenset[str]
    required: frozenset[str]
    context: str | None
    rules: dict[str, Any]
    returns: Any
    request: bool = False

    @classmethod
    def of(cls, method: Method, request: bool = False) -> Arguments:
        """Those of a bound method.

        Raises:
            ServiceSchemaError: Two parameters want the context, or one that cannot be named does; or there is none for
                the request.
        """
        hints = _hints(method)
        parameters = list(inspect.signature(method).parameters.items())
        if request:
            first = parameters.pop(0)[1] if parameters else None
            if first is None or first.kind not in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD):
                raise ServiceSchemaError(f"{method!r:.200}: its first parameter takes the request, and there is none")
        places, before, rest, others, context = [], 0, None, False, None
        rules: dict[str, Any] = {}
        required = set()
        for name, one in parameters:
            hint = hints.get(name, Any)
            if hint is Context or typing.get_origin(hint) is Context:
                if context is not None or one.kind in (one.POSITIONAL_ONLY, one.VAR_POSITIONAL, one.VAR_KEYWORD):
                    raise ServiceSchemaError(f"{method!r:.200}: one parameter takes the context, and by its name")
                context = name
            elif one.kind is one.VAR_POSITIONAL:
                rest = name
                rules[name] = {"type": "array", "optional": True}
            elif one.kind is one.VAR_KEYWORD:
                others = True
            else:
                if one.kind is not one.KEYWORD_ONLY:
                    places.append(name)
                    before += one.kind is one.POSITIONAL_ONLY
                rules[name] = _rule(hint)
                if one.default is one.empty:
                    required.add(name)
                else:
                    rules[name] = {**rules[name], "optional": True}
        returns = hints.get("return", Any)
        return cls(
            places=tuple(places),
            before=before,
            rest=rest,
            others=others,
            names=frozenset(rules),
            required=frozenset(required),
            context=context,
            rules=rules,
            returns=None if returns is Any else {"type": "any"} if returns is type(None) else _rule(returns),
            request=request,
        )

    @property
    def is_plain(self) -> bool:
        """Whether params can be handed over as they are."""
        return not self.before and self.rest is None and self.context is None and not self.request

    @property
    def order(self) -> list[str]:
        """What callers are told: the names by position, ``*`` before one that takes all further ones."""
        return [*self.places, *([] if self.rest is None else [f"*{self.rest}"])]

    def fit(self, params: Any) -> dict[str, Any]:
        """Params as they may be handed to the method.

        Raises:
            ValidationError: Something is missing or unknown, or they are no object.
        """
        if not isinstance(params, dict):
            raise ValidationError(data=[_fault("object", "params", "params are an object")])
        faults = [_fault("required", name, f"'{name}' is missing") for name in self.required if name not in params]
        if not self.others:
            faults += [
                _fault("unknown", str(name), "there is no such parameter") for name in params if name not in self.names
            ]
        if self.context is not None and self.context in params:
            faults.append(_fault("unknown", self.context, "there is no such parameter"))
        if self.rest is not None and not isinstance(params.get(self.rest, []), list | tuple):
            faults.append(_fault("array", self.rest, f"'{self.rest}' is a list"))
        if faults:
            raise ValidationError(data=faults)
        return params

    def split(self, ctx: Context[Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments by position and by name, for a method that is not plain.

        Raises:
            ValidationError: As `fit`.
        """
        named_ones = dict(self.fit(ctx.params))
        rest = [] if self.rest is None else list(named_ones.pop(self.rest, None) or ())
        # What stands before ``*rest`` can only be given by position, once there is a rest.
        count = len(self.places) if rest else self.before
        by_place = [request_of(ctx)] if self.request else []
        for name in self.places[:count]:
            if name not in named_ones:
                if rest:
                    raise ValidationError(data=[_fault("required", name, f"'{name}' is missing")])
                break
            by_place.append(named_ones.pop(name))
        if self.context is not None:
            named_ones[self.context] = ctx
        return [*by_place, *rest], named_ones


def named(given: Sequence[Any], order: Sequence[str]) -> dict[str, Any]:
    """Params by position as params by name.

    Args:
        order: As `Arguments.order`.

    Raises:
        ValidationError: There are more than names.
    """
    rest = order[-1][1:] if order and order[-1][:1] == "*" else None
    names = order if rest is None else order[:-1]
    if len(given) > len(names) and rest is None:
        raise ValidationError(data=[_fault("tooMany", "params", f"at most {len(names)} by position, not {len(given)}")])
    found = dict(zip(names, given, strict=False))
    if rest is not None and len(given) > len(names):
        found[rest] = list(given[len(names) :])
    return found


def request_of(ctx: Context[Any]) -> Any:
    """The request of the client that called by JSON-RPC at this very node; None where another called, or elsewhere."""
    asker = ctx.parent
    return None if asker is None or asker._locals is None else asker._locals.get(REQUEST)


def _bind(method: Method, request: bool = False) -> Method:
    """The method as it is called with the context: of the same kind, so that it runs where it would."""
    arguments = Arguments.of(method, request)
    split = _plain(arguments) if arguments.is_plain else arguments.split
    if inspect.iscoroutinefunction(method):

        async def run(ctx: Context[Any]) -> Any:
            args, kwargs = split(ctx)
            return await method(*args, **kwargs)

        return run

    if inspect.isasyncgenfunction(method):

        async def stream(ctx: Context[Any]) -> Any:
            args, kwargs = split(ctx)
            async for item in method(*args, **kwargs):
                yield item

        return stream

    def call(ctx: Context[Any]) -> Any:
        args, kwargs = split(ctx)
        return method(*args, **kwargs)

    return call


def _plain(arguments: Arguments) -> Callable[[Context[Any]], tuple[Sequence[Any], dict[str, Any]]]:
    names, required, fit = arguments.names, arguments.required, arguments.fit

    def split(ctx: Context[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        params = ctx.params
        if type(params) is dict and required <= params.keys() <= names:
            return (), params
        return (), fit(params)

    return split


def _describe(method: Method, request: bool = False) -> tuple[Any, dict[str, Any]]:
    arguments = Arguments.of(method, request)
    # So callers at other nodes know what stands where.
    told: dict[str, Any] = {"positional": arguments.order}
    if request:
        told[REQUEST] = True
    description = inspect.getdoc(method)
    if description:
        told["description"] = description
    if arguments.returns is not None:
        told["returns"] = arguments.returns
    return arguments.rules, told


KEYWORD_STYLE: Final = Binder(_bind, _describe)
"""The binder of `@public_method` and its like."""

REQUEST_STYLE: Final = Binder(partial(_bind, request=True), partial(_describe, request=True))
"""The same for methods that take the request first."""


def _hints(method: Method) -> dict[str, Any]:
    try:
        return typing.get_type_hints(method)
    except Exception:
        # A name that exists for the type checker only: then they say nothing.
        return {}


def _rule(hint: Any) -> dict[str, Any]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(hint) if one is not type(None)]
        rule = _rule(inner[0]) if len(inner) == 1 else _ANYTHING
        return {**rule, "nullable": True} if len(inner) < len(typing.get_args(hint)) else rule
    return dict(_RULES.get(origin or hint, _ANYTHING))


def _fault(kind: str, field: str, message: str) -> dict[str, Any]:
    return {"type": kind, "field": field, "message": message}
