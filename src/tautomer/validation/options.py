"""Which rules there are, and which options each takes, so that a misspelt one is told when a service is built."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import iscoroutinefunction
from typing import Any

from tautomer.errors import ServiceSchemaError

__all__ = ["OPTIONS", "check_options", "check_type", "wrong"]


def wrong(path: str, what: str) -> ServiceSchemaError:
    """The error for a schema that is wrong at `path`."""
    return ServiceSchemaError(f"params{f' of {path!r}' if path else ''}: {what}", {"field": path})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_size(value: object) -> bool:
    return _is_number(value) and value >= 0  # type: ignore[operator]  # A number, as was just asked.


def _is_plain_function(value: object) -> bool:
    return callable(value) and not iscoroutinefunction(value)


def _is_functions(value: object) -> bool:
    return all(_is_plain_function(one) for one in (value if isinstance(value, list | tuple) else [value]))


def _is_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(part, str) for pair in value.items() for part in pair)


def _is_object_id(value: object) -> bool:
    return callable(getattr(value, "is_valid", None)) or callable(getattr(value, "isValid", None))


Expected = tuple[Callable[[Any], bool], str]

_ANY: Expected = (lambda _: True, "anything")
_FLAG: Expected = (lambda value: isinstance(value, bool), "true or false")
_NUMBER: Expected = (_is_number, "a number")
_SIZE: Expected = (_is_size, "a number, 0 or more")
_TEXT: Expected = (lambda value: isinstance(value, str), "text")
_SOME_TEXT: Expected = (lambda value: isinstance(value, str) and value != "", "text that is not empty")
_LIST: Expected = (lambda value: isinstance(value, list | tuple), "a list")
_MAPPING: Expected = (lambda value: isinstance(value, Mapping), "a mapping")
_PATTERN: Expected = (lambda value: isinstance(value, str | re.Pattern), "a pattern")
_VERSION: Expected = (lambda value: not isinstance(value, bool) and str(value) in tuple("012345678"), "0 to 8")
_FUNCTIONS: Expected = (_is_functions, "a function (not async) or a list of them")


def _one_of(*values: object) -> Expected:
    return (lambda value: value in values, " or ".join(map(repr, values)))


def _flags(names: str) -> dict[str, Expected]:
    return dict.fromkeys(names.split(), _FLAG)


def _sizes(names: str) -> dict[str, Expected]:
    return dict.fromkeys(names.split(), _SIZE)


_COMMON: dict[str, Expected] = {
    "type": _ANY,
    "optional": _FLAG,
    "nullable": _FLAG,
    "default": (lambda value: not iscoroutinefunction(value), "a value or a function that is not async"),
    "messages": (_is_texts, "a mapping of error type to text"),
    "label": _TEXT,
    "custom": _FUNCTIONS,
}

# Moleculer protocol section 12.2.
OPTIONS: dict[str, dict[str, Expected]] = {
    "any": {},
    "array": _sizes("min max length")
    | _flags("empty unique convert")
    | {"items": _ANY, "contains": _ANY, "enum": _LIST},
    "boolean": _flags("convert"),
    "class": {"instanceOf": (lambda value: isinstance(value, type), "a class")},
    "currency": _flags("symbolOptional")
    | {
        "currencySymbol": _TEXT,
        "thousandSeparator": _SOME_TEXT,
        "decimalSeparator": _SOME_TEXT,
        "customRegex": _PATTERN,
    },
    "custom": {"check": _FUNCTIONS},
    "date": _flags("convert"),
    "email": _sizes("min max") | _flags("normalize empty") | {"mode": _one_of("quick", "precise")},
    "enum": {"values": _LIST},
    "equal": {"value": _ANY, "field": _SOME_TEXT} | _flags("strict"),
    "forbidden": _flags("remove"),
    "function": {},
    "luhn": {},
    "mac": {},
    "multi": {"rules": _LIST},
    "number": dict.fromkeys(("min", "max", "equal", "notEqual"), _NUMBER) | _flags("integer positive negative convert"),
    "object": _sizes("minProps maxProps")
    | {"props": _MAPPING, "properties": _MAPPING, "strict": _one_of(True, False, "remove")},
    "objectID": {
        "ObjectID": (_is_object_id, "a class with is_valid()"),
        "convert": _one_of(True, False, "hexString"),
    },
    "record": {"key": _ANY, "value": _ANY},
    "string": _sizes("min max length padStart padEnd")
    | _flags("empty numeric alpha alphanum alphadash hex singleLine base64 convert trim trimLeft trimRight")
    | _flags("lowercase uppercase localeLowercase localeUppercase")
    | {"pattern": _PATTERN, "patternFlags": _TEXT, "contains": _ANY, "enum": _LIST, "padChar": _ANY},
    "tuple": {"items": _ANY} | _flags("empty"),
    "url": _flags("empty"),
    "uuid": {"version": _VERSION},
}

_NEEDED: dict[str, tuple[str, ...]] = {
    "class": ("instanceOf",),
    "enum": ("values",),
    "equal": ("value", "field"),
    "objectID": ("ObjectID",),
}

# What people write who come from Python, where similar spelling does not lead to the rule.
_MEANT = {"int": "number|integer", "integer": "number|integer", "float": "number", "dict": "object", "list": "array"}

# A shorter unknown name resembles too much by accident (``in`` is no misspelt ``min``).
_MISSPELT_LENGTH_MIN = 4


def check_type(kind: object, path: str) -> None:
    """Refuse a rule type that does not exist, naming the one that may have been meant."""
    if isinstance(kind, str) and kind in OPTIONS:
        return
    hint = _MEANT.get(str(kind).lower())
    meant = f"did you mean '{hint}'?" if hint else _nearest(str(kind), OPTIONS, 0.5)
    raise wrong(path, f"there is no rule type {kind!r}; {meant or 'those there are: ' + ', '.join(OPTIONS)}")


def check_options(kind: str, options: Mapping[Any, Any], path: str) -> None:
    """Refuse options with a wrong value or a misspelt name, and rules that lack what they need.

    Names that resemble no option are let through, as Node does: other tools keep theirs here
    (``$$t``, ``description``, ``example``).
    """
    known = _COMMON | OPTIONS[kind]
    for name, value in options.items():
        expected = known.get(name)
        if expected is None:
            meant = _nearest(str(name), known, 0.8) if len(str(name)) >= _MISSPELT_LENGTH_MIN else ""
            if meant and not str(name).startswith("$$"):
                raise wrong(path, f"'{kind}' has no option {name!r}; {meant}")
        elif value is not None and not expected[0](value):
            raise wrong(path, f"'{name}' of '{kind}' must be {expected[1]}, not {value!r}")
    needed = _NEEDED.get(kind)
    if needed and all(options.get(name) is None for name in needed):
        raise wrong(path, f"'{kind}' needs {' or '.join(map(repr, needed))}")


def _nearest(name: str, known: Iterable[str], cutoff: float) -> str:
    found = get_close_matches(name, list(known), 1, cutoff)
    return f"did you mean '{found[0]}'?" if found else ""
