"""Faults: what is wrong with params, collected while checking and written out at the end.

The form of an entry and the error types are those of Moleculer protocol section 12.4. The texts
are ours and never repeat a value that was sent, since a gateway shows them to strangers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from tautomer.validation.javascript import MISSING, to_text

__all__ = ["FAULTS_MAX", "MESSAGES", "Fault", "Part", "Report", "Run", "under"]

# A list of a million wrong items would be answered with a hundred times its size. Items past this many faults are not
# looked at; a list, object or record that holds them is refused all the same.
FAULTS_MAX = 1000

Part = tuple[str, str]
"""A step of a path: how it is written at the very start (``x``), and after something (``.x``)."""

# {field} is the label or else the path.
MESSAGES: dict[str, str] = {
    "required": "The '{field}' field is required.",
    "string": "The '{field}' field must be a string.",
    "stringEmpty": "The '{field}' field must not be empty.",
    "stringMin": "The '{field}' field must be at least {expected} characters long.",
    "stringMax": "The '{field}' field must be at most {expected} characters long.",
    "stringLength": "The '{field}' field must be exactly {expected} characters long.",
    "stringPattern": "The '{field}' field does not match the required pattern.",
    "stringContains": "The '{field}' field must contain '{expected}'.",
    "stringEnum": "The '{field}' field must be one of: {expected}.",
    "stringNumeric": "The '{field}' field must be a number written as text.",
    "stringAlpha": "The '{field}' field must have letters only.",
    "stringAlphanum": "The '{field}' field must have letters and digits only.",
    "stringAlphadash": "The '{field}' field must have letters, digits, dashes and underscores only.",
    "stringHex": "The '{field}' field must be hexadecimal text of even length.",
    "stringSingleLine": "The '{field}' field must be a single line.",
    "stringBase64": "The '{field}' field must be Base64 text.",
    "number": "The '{field}' field must be a number.",
    "numberMin": "The '{field}' field must be at least {expected}.",
    "numberMax": "The '{field}' field must be at most {expected}.",
    "numberEqual": "The '{field}' field must be {expected}.",
    "numberNotEqual": "The '{field}' field must not be {expected}.",
    "numberInteger": "The '{field}' field must be a whole number.",
    "numberPositive": "The '{field}' field must be greater than 0.",
    "numberOver": "The '{field}' field must be greater than {expected}.",
    "numberUnder": "The '{field}' field must be less than {expected}.",
    "numberMultiple": "The '{field}' field must be a multiple of {expected}.",
    "numberNegative": "The '{field}' field must be less than 0.",
    "array": "The '{field}' field must be a list.",
    "arrayEmpty": "The '{field}' field must not be an empty list.",
    "arrayMin": "The '{field}' field must have at least {expected} items.",
    "arrayMax": "The '{field}' field must have at most {expected} items.",
    "arrayLength": "The '{field}' field must have exactly {expected} items.",
    "arrayContains": "The '{field}' field must contain the item '{expected}'.",
    "arrayUnique": "The '{field}' field must not have an item twice.",
    "arrayEnum": "The items of the '{field}' field must be among: {expected}.",
    "tuple": "The '{field}' field must be a list.",
    "tupleEmpty": "The '{field}' field must not be an empty list.",
    "tupleLength": "The '{field}' field must have exactly {expected} items.",
    "boolean": "The '{field}' field must be true or false.",
    "currency": "The '{field}' field must be an amount of money.",
    "date": "The '{field}' field must be a date.",
    "time": "The '{field}' field must be a time of day.",
    "duration": "The '{field}' field must be a span of time.",
    "enumValue": "The '{field}' field must be one of: {expected}.",
    "equalValue": "The '{field}' field must be equal to '{expected}'.",
    "equalField": "The '{field}' field must be equal to the '{expected}' field.",
    "forbidden": "The '{field}' field is forbidden.",
    "function": "The '{field}' field must be a function.",
    "email": "The '{field}' field must be an e-mail address.",
    "emailEmpty": "The '{field}' field must not be empty.",
    "emailMin": "The '{field}' field must be at least {expected} characters long.",
    "emailMax": "The '{field}' field must be at most {expected} characters long.",
    "luhn": "The '{field}' field must be a number with a right check digit.",
    "mac": "The '{field}' field must be a MAC address.",
    "object": "The '{field}' field must be an object.",
    "objectStrict": "The '{field}' field has unknown keys: '{actual}'.",
    "objectMinProps": "The '{field}' field must have at least {expected} keys.",
    "objectMaxProps": "The '{field}' field must have at most {expected} keys.",
    "url": "The '{field}' field must be a URL.",
    "urlEmpty": "The '{field}' field must not be empty.",
    "uuid": "The '{field}' field must be a UUID.",
    "uuidVersion": "The '{field}' field must be a UUID of version {expected}.",
    "classInstanceOf": "The '{field}' field must be an instance of '{expected}'.",
    "objectID": "The '{field}' field must be an ObjectID.",
    "record": "The '{field}' field must be an object.",
}

_PLACEHOLDER = re.compile(r"\{(field|expected|actual)\}")


@dataclass(slots=True)
class Run:
    """One check of one params value. Custom functions get it as their `context`.

    Attributes:
        data: The params as they came.
        meta: What the caller handed to the checker beside them, such as the call's Context, or None.
        faults: What was found so far.
    """

    data: Any
    meta: Any
    faults: list[Fault] = field(default_factory=list)


@dataclass(slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        entry: What goes out as it is: ``type``, perhaps ``expected``, ``actual`` and more.
        template: Text with {field}, {expected}, {actual}.
        label: The name for people, or None.
        path: From the innermost step outwards; whoever holds the value appends its step.
    """

    entry: dict[str, Any]
    template: str
    label: str | None
    path: list[Part] = field(default_factory=list)

    def written(self) -> dict[str, Any]:
        """The entry of `ValidationError.data`; a new dict. It has no ``field`` where params itself is wrong."""
        outer = self.path[::-1]
        where = "".join([outer[0][0], *(after for _, after in outer[1:])]) if outer else None
        entry = {"type": None, "message": self.template}
        if where is not None:
            entry["field"] = where
        entry.update(self.entry)
        if self.label:
            entry["label"] = self.label
        words = {"field": self.label or entry.get("field") or "params", **{k: entry.get(k) for k in _SHOWN}}
        entry["message"] = _PLACEHOLDER.sub(lambda found: _word(words[found[1]]), to_text(entry["message"]))
        return entry


_SHOWN = ("expected", "actual")


def _word(value: object) -> str:
    return "" if value is None else to_text(value)


class Report:
    """Adds the faults of one rule, in that rule's own words and label."""

    __slots__ = ("_label", "_messages")

    def __init__(self, messages: Mapping[str, str], label: str | None) -> None:
        self._messages = messages
        self._label = label

    def __call__(
        self, run: Run, kind: str, actual: object = MISSING, expected: object = MISSING, as_if: str | None = None
    ) -> None:
        """Add a fault of this kind. `as_if` names another kind whose words fit better."""
        entry: dict[str, Any] = {"type": kind}
        if expected is not MISSING:
            entry["expected"] = expected
        if actual is not MISSING:
            entry["actual"] = _wireable(actual)
        run.faults.append(Fault(entry, self._messages[as_if or kind], self._label))

    def add_custom(self, run: Run, entry: Mapping[str, Any]) -> None:
        """Add what a custom function found: ``{"type", "expected"?, "actual"?, "message"?, "field"?}``."""
        template = self._messages.get(str(entry.get("type")), "The '{field}' field is not valid.")
        run.faults.append(Fault(dict(entry), template, self._label))


def under(run: Run, before: int, part: Part) -> None:
    """Say that the faults since the first `before` lie below `part`."""
    for fault in run.faults[before:]:
        fault.path.append(part)


def _wireable(value: object) -> object:
    """The value, or a word for one that has no wire form: an error must never fail to be sent."""
    if value is None or isinstance(value, str | int | float | list | tuple | dict | date):
        return value
    return f"<{type(value).__name__}>"
