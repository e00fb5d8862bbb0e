"""The rules of single values that are no text: any, number, boolean, date, enum, equal, forbidden and the like."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tautomer.validation.faults import Report, Run
from tautomer.validation.grammar import Rule
from tautomer.validation.javascript import MISSING, identity_key, loosely_equal, to_number
from tautomer.validation.rules_text import listed

__all__ = [
    "any_check",
    "boolean_check",
    "class_check",
    "date_check",
    "enum_check",
    "equal_check",
    "forbidden_check",
    "function_check",
    "number_check",
    "object_id_check",
]

Check = Callable[[Any, Any, Run], Any]
NumberTest = tuple[str, Callable[[Any], bool], object]


def any_check(rule: Rule, report: Report) -> Check:
    return lambda value, parent, run: value


def number_check(rule: Rule, report: Report) -> Check:
    convert, tests = rule.options.get("convert") is True, _number_tests(rule.options)

    def check(value: Any, parent: Any, run: Run) -> Any:
        number = value
        if isinstance(value, bool) or not isinstance(value, int | float):
            number = to_number(value) if convert else math.nan
        if isinstance(number, float) and not math.isfinite(number):
            report(run, "number", value)
            return value
        for kind, passes, expected in tests:
            if not passes(number):
                report(run, kind, value, expected)
        return number

    return check


def _number_tests(options: Mapping[str, Any]) -> list[NumberTest]:
    tests: list[NumberTest] = []
    if (least := options.get("min")) is not None:
        tests.append(("numberMin", lambda number: number >= least, least))
    if (most := options.get("max")) is not None:
        tests.append(("numberMax", lambda number: number <= most, most))
    if (equal := options.get("equal")) is not None:
        tests.append(("numberEqual", lambda number: number == equal, equal))
    if (unequal := options.get("notEqual")) is not None:
        tests.append(("numberNotEqual", lambda number: number != unequal, unequal))
    if options.get("integer") is True:
        tests.append(("numberInteger", lambda number: number % 1 == 0, MISSING))
    if options.get("positive") is True:
        tests.append(("numberPositive", lambda number: number > 0, MISSING))
    if options.get("negative") is True:
        tests.append(("numberNegative", lambda number: number < 0, MISSING))
    return tests


_TRUTHS = {identity_key(value): True for value in (1, "true", "1", "on")} | {
    identity_key(value): False for value in (0, "false", "0", "off")
}


def boolean_check(rule: Rule, report: Report) -> Check:
    convert = rule.options.get("convert") is True

    def check(value: Any, parent: Any, run: Run) -> Any:
        if isinstance(value, bool):
            return value
        found = _TRUTHS.get(identity_key(value)) if convert else None
        if found is None:
            report(run, "boolean", value)
            return value
        return found

    return check


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _to_date(value: object) -> object:
    """A datetime from milliseconds since 1970 (also as text) or ISO 8601 text; the value itself if it is neither.

    Text without a zone is UTC. (JavaScript takes the zone of the machine if it has a time of day,
    and reads more forms of text.)
    """
    number = to_number(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    try:
        if value != "" and not math.isnan(number):
            return _EPOCH + timedelta(milliseconds=math.trunc(number))
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    return value


def date_check(rule: Rule, report: Report) -> Check:
    convert = rule.options.get("convert") is True

    def check(value: Any, parent: Any, run: Run) -> Any:
        found = _to_date(value) if convert and not isinstance(value, date) else value
        if not isinstance(found, date):
            report(run, "date", value)
        return found

    return check


def enum_check(rule: Rule, report: Report) -> Check:
    values = rule.options["values"]
    allowed, shown = frozenset(identity_key(value) for value in values), listed(values)

    def check(value: Any, parent: Any, run: Run) -> Any:
        if identity_key(value) not in allowed:
            report(run, "enumValue", value, shown)
        return value

    return check


def equal_check(rule: Rule, report: Report) -> Check:
    field, fixed = rule.options.get("field"), rule.options.get("value")
    equal = _strictly_equal if rule.options.get("strict") else loosely_equal
    kind, expected = ("equalField", field) if field else ("equalValue", fixed)

    def check(value: Any, parent: Any, run: Run) -> Any:
        other = fixed
        if field:
            other = parent.get(field, MISSING) if parent is not None else MISSING
        if not equal(value, other):
            report(run, kind, value, expected)
        return value

    return check


def _strictly_equal(left: Any, right: Any) -> bool:
    return bool(identity_key(left) == identity_key(right))


def forbidden_check(rule: Rule, report: Report) -> Check:
    remove = rule.options.get("remove")

    def check(value: Any, parent: Any, run: Run) -> Any:
        if remove:
            return MISSING
        report(run, "forbidden", value)
        return value

    return check


def function_check(rule: Rule, report: Report) -> Check:
    def check(value: Any, parent: Any, run: Run) -> Any:
        if not callable(value):
            report(run, "function", value)
        return value

    return check


def class_check(rule: Rule, report: Report) -> Check:
    wanted: type = rule.options["instanceOf"]

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, wanted):
            report(run, "classInstanceOf", value, wanted.__name__)
        return value

    return check


def object_id_check(rule: Rule, report: Report) -> Check:
    """Ids of MongoDB. The class is the user's, such as bson's; we only ask it."""
    object_id, convert = rule.options["ObjectID"], rule.options.get("convert")
    is_valid = getattr(object_id, "is_valid", None) or object_id.isValid

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not is_valid(value):
            report(run, "objectID", value)
            return value
        if convert == "hexString":
            return str(value)
        return object_id(value) if convert else value

    return check
