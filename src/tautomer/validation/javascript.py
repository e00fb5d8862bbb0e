"""JavaScript's notions of value, for the places where they show on the wire.

A schema that is announced to Node must mean the same there: ``Number("")`` is 0, true is no
number, ``1 == "1"``. Rules are those of ECMA-262 (ToNumber, ToString, IsLooselyEqual). One
difference, on purpose: whole numbers keep all their digits, where JavaScript rounds beyond 2**53.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

__all__ = ["MISSING", "WHITESPACE", "Missing", "identity_key", "loosely_equal", "to_number", "to_text"]


class Missing(Enum):
    """JavaScript's `undefined`: the field is not there, as opposed to None."""

    MISSING = "undefined"


MISSING: Final = Missing.MISSING

# What JavaScript's trim() and \s take for white space. Python's differ: \x1c to \x1f and \x85 are in, U+FEFF is not.
WHITESPACE = "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"

# No two parts of this can match the same digit, so a hostile text costs linear time.
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"[+-]?[0-9]+")
_BASED = {"0x": (16, re.compile("[0-9a-fA-F]+")), "0o": (8, re.compile("[0-7]+")), "0b": (2, re.compile("[01]+"))}
_INFINITIES = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}

# int() refuses texts of more than 4,300 digits; past 300 a number is soon infinite for JavaScript anyway.
_EXACT_DIGITS_MAX = 300
_SAFE_INTEGER = 2**53


def to_number(value: object) -> int | float:
    """``Number(value)``; NaN where there is none. Whole numbers come as int."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _number_of_text(value.strip(WHITESPACE))
    if isinstance(value, list | tuple):
        return to_number(to_text(value))
    if isinstance(value, datetime):
        return round(value.astimezone(UTC).timestamp() * 1000)
    return 0 if value is None else math.nan


def _number_of_text(text: str) -> int | float:
    if not text:
        return 0
    if _DECIMAL.fullmatch(text):
        if len(text) <= _EXACT_DIGITS_MAX and _WHOLE.fullmatch(text):
            return int(text)
        number = float(text)
        return int(number) if number.is_integer() and abs(number) <= _SAFE_INTEGER else number
    base, digits = _BASED.get(text[:2].lower(), (0, None))
    if digits is not None and digits.fullmatch(text, 2):
        # 2**1024 is over the largest double.
        whole = int(text[2:], base)
        return whole if whole.bit_length() <= 1024 else math.inf
    return _INFINITIES.get(text, math.nan)


def to_text(value: object) -> str:
    """``String(value)``. Lists nested too deep to be followed (or that hold themselves) are empty text."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return _text_of_number(value)
    if isinstance(value, list | tuple):
        try:
            return ",".join("" if item is None else to_text(item) for item in value)
        except RecursionError:
            return ""
    if isinstance(value, Mapping):
        return "[object Object]"
    if value is MISSING:
        return "undefined"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text_of_number(number: int | float) -> str:
    if isinstance(number, int) and abs(number) < 10**21:
        return str(number)
    try:
        number = float(number)
    except OverflowError:
        return "Infinity" if number > 0 else "-Infinity"
    if math.isnan(number):
        return "NaN"
    text = "Infinity" if math.isinf(number) else _shortest_digits(abs(number))
    return f"-{text}" if number < 0 else text


def _shortest_digits(number: float) -> str:
    """ECMA-262 Number::toString. Python finds the same digits, but changes to an exponent earlier on both sides."""
    mantissa, _, exponent = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if not digits:
        return "0"
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{rest}e{point - 1:+d}"


def identity_key(value: Any) -> Any:
    """A hashable key; two values have the same one if and only if ``===`` holds for them.

    So 1 and 1.0 are one, 1 and True are two, and a list or object equals nothing but itself.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return (bool, value)
    if isinstance(value, int | float):
        return value
    return (object, id(value))


def loosely_equal(left: Any, right: Any) -> bool:
    """``left == right`` as JavaScript has it."""
    if left is None or left is MISSING or right is None or right is MISSING:
        return (left is None or left is MISSING) and (right is None or right is MISSING)
    left_is_object, right_is_object = not _primitive(left), not _primitive(right)
    if left_is_object and right_is_object:
        return left is right
    if left_is_object:
        left = to_text(left)
    if right_is_object:
        right = to_text(right)
    if isinstance(left, str) and isinstance(right, str):
        return left == right
    return to_number(left) == to_number(right)


def _primitive(value: object) -> bool:
    return isinstance(value, str | int | float)
