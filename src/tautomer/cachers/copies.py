"""Copies of values, so that nobody holds what a cache holds."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from itertools import repeat
from typing import Any, Final
from uuid import UUID

__all__ = ["duplicate", "giver", "weigh"]

_LASTING: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, datetime, date, time, timedelta, Decimal, UUID}
)
"""Types whose values nobody can change."""

_EACH: Final = 16
"""Bytes that a value counts for beside its text."""


def duplicate(value: Any) -> Any:
    """A copy that shares nothing with `value` that can be changed."""
    kind = type(value)
    if kind is dict:
        return {name: one if type(one) in _LASTING else duplicate(one) for name, one in value.items()}
    if kind is list:
        return [one if type(one) in _LASTING else duplicate(one) for one in value]
    return value if kind in _LASTING else copy.deepcopy(value)


def giver(value: Any) -> Callable[[], Any]:
    """What gives a copy each time it is called; `value` itself is not looked at again.

    Of a flat dict or list, as most results are, that is one call of C.
    """
    own = duplicate(value)
    kind = type(own)
    if kind in _LASTING:
        return repeat(own).__next__
    if (kind is dict and all(type(one) in _LASTING for one in own.values())) or (
        kind is list and all(type(one) in _LASTING for one in own)
    ):
        return own.copy  # type: ignore[no-any-return]  # Of what is known to be one of two types.
    return partial(duplicate, own)


def weigh(value: Any, most: int) -> int:
    """About how many bytes a value takes. Stops once it is over `most`, also for one that holds itself."""
    bytes_ = 0
    left = [value]
    while left and bytes_ <= most:
        one = left.pop()
        bytes_ += _EACH
        if isinstance(one, str | bytes | bytearray | memoryview):
            bytes_ += len(one)
        elif isinstance(one, dict):
            left += one
            left += one.values()
        elif isinstance(one, list | tuple | set | frozenset):
            left += one
        elif type(one) not in _LASTING:
            left += (getattr(one, name, None) for name in _fields(one))
    return bytes_


def _fields(one: object) -> Iterable[str]:
    kind = type(one)
    return (*getattr(kind, "__struct_fields__", ()), *getattr(kind, "__slots__", ()), *getattr(one, "__dict__", ()))
