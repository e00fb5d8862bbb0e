"""Hooks: functions that people give a gateway, brought to one form."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf

from tautomer.web.settings.records import Hook

__all__ = ["a_function", "can_take", "hook", "takes"]


def a_function(value: object) -> Hook:
    if not callable(value):
        raise ValueError(f"is a function, not {value!r:.80}")
    return value


def hook(*names: str) -> Callable[[object], Hook]:
    """A check for functions that take these arguments, and after them the alias if they have a place for it.

    What comes out takes all of them and the alias: ``hook("ctx", "route", "request")`` gives functions that are
    called with ``(ctx, route, request, alias)``.
    """
    count = len(names)

    def check(value: object) -> Hook:
        function = a_function(value)
        required, most = _places(function)
        if required > count + 1 or most < count:
            raise ValueError(f"takes ({', '.join(names)}), and alias if it wants it")
        if required == count + 1:
            return function
        if count == 3:  # Most of them, and for each request.
            return lambda first, second, third, _alias: function(first, second, third)
        return lambda *arguments: function(*arguments[:count])

    return check


def takes(*names: str) -> Callable[[object], Hook]:
    """A check for functions that take these arguments."""

    def check(value: object) -> Hook:
        function = a_function(value)
        if not can_take(function, len(names)):
            raise ValueError(f"takes ({', '.join(names)})")
        return function

    return check


def can_take(function: Hook, count: int) -> bool:
    """Whether the function can be called with so many arguments by place, as far as it tells."""
    required, most = _places(function)
    return required <= count <= most


def _places(function: Hook) -> tuple[float, float]:
    """How many arguments a function must, and how many it may be given by place."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 0, inf  # Nobody knows: not every function that is written in C tells.
    by_place = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    most = inf if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(by_place)
    return sum(one.default is one.empty for one in by_place), most
