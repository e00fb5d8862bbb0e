"""The rules of values that hold values: object, array, tuple, record, multi.

A value is copied when the first thing in it changes, and not before: what came in is never changed,
and what needs no change is handed on as it is. Faults get their path on the way out, so a value
without fault pays nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tautomer.validation.faults import FAULTS_MAX, Part, Report, Run, under
from tautomer.validation.grammar import Rule
from tautomer.validation.javascript import MISSING, identity_key, to_text
from tautomer.validation.rules_text import listed

__all__ = ["array_check", "field_part", "multi_check", "object_check", "record_check", "tuple_check"]

Check = Callable[[Any, Any, Run], Any]
Build = Callable[[Rule], Check]

_IDENTIFIER = re.compile(r"[_$a-zA-Z][_$a-zA-Z0-9]*")


def object_check(rule: Rule, report: Report, build: Build) -> Check:
    fields = [(name, build(field), field_part(name)) for name, field in (rule.fields or {}).items()]
    strict, known = rule.strict if rule.fields is not None else False, frozenset(rule.fields or ())
    least, most = rule.options.get("minProps"), rule.options.get("maxProps")

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, Mapping):
            report(run, "object", value)
            return value
        out: Any = value
        for name, field, part in fields:
            found = value.get(name, MISSING)
            before = len(run.faults)
            new = field(found, out, run)
            if len(run.faults) != before:
                under(run, before, part)
            if new is not found:
                if out is value:
                    out = dict(value)
                if new is MISSING:
                    del out[name]
                else:
                    out[name] = new
        if strict:
            out = _without_unknown(out, run)
        if least is not None and len(out) < least:
            report(run, "objectMinProps", len(out), least)
        if most is not None and len(out) > most:
            report(run, "objectMaxProps", len(out), most)
        return out

    def _without_unknown(value: Any, run: Run) -> Any:
        unknown = [name for name in value if name not in known]
        if unknown and strict != "remove":
            report(run, "objectStrict", ", ".join(map(to_text, unknown)), ", ".join(rule.fields or ()))
        elif unknown and not run.faults:
            return {name: item for name, item in value.items() if name in known}
        return value

    return check


def field_part(name: str) -> Part:
    """How a field stands in a path."""
    return name, f".{name}" if _IDENTIFIER.fullmatch(name) else f"['{name}']"


def array_check(rule: Rule, report: Report, build: Build) -> Check:
    options = rule.options
    convert, tests = options.get("convert") is True, _array_tests(rule, report)
    item = build(rule.items) if rule.items is not None else None

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, list | tuple):
            if not convert:
                report(run, "array", value)
                return value
            value = [value]
        for test in tests:
            test(value, run)
        return value if item is None else _checked_items(value, item, parent, run)

    return check


def _checked_items(values: Sequence[Any], item: Check, parent: Any, run: Run) -> Any:
    out: Any = values
    for place, value in enumerate(values):
        before = len(run.faults)
        if before >= FAULTS_MAX:
            break
        new = item(value, parent, run)
        # An item that is None is told as a fault of the list itself, as fastest-validator does.
        if len(run.faults) != before and value is not None:
            under(run, before, (f"[{place}]", f"[{place}]"))
        if new is not value:
            if out is values:
                out = list(values)
            out[place] = None if new is MISSING else new
    return out


def _array_tests(rule: Rule, report: Report) -> list[Callable[[Any, Run], None]]:
    options = rule.options
    tests: list[Callable[[Any, Run], None]] = []

    def size(kind: str, expected: Any, passes: Callable[[int], bool]) -> None:
        def test(values: Any, run: Run) -> None:
            if not passes(len(values)):
                report(run, kind, len(values), expected)

        tests.append(test)

    if options.get("empty") is False:
        tests.append(lambda values, run: None if values else report(run, "arrayEmpty", values))
    if (least := options.get("min")) is not None:
        size("arrayMin", least, lambda count: count >= least)
    if (most := options.get("max")) is not None:
        size("arrayMax", most, lambda count: count <= most)
    if (length := options.get("length")) is not None:
        size("arrayLength", length, lambda count: count == length)
    if options.get("contains") is not None:
        tests.append(_contains_test(options["contains"], report))
    if options.get("unique") is True:
        tests.append(_unique_test(report))
    if options.get("enum") is not None:
        tests.append(_enum_test(options["enum"], report))
    return tests


def _contains_test(wanted: Any, report: Report) -> Callable[[Any, Run], None]:
    key = identity_key(wanted)

    def test(values: Any, run: Run) -> None:
        if all(identity_key(value) != key for value in values):
            report(run, "arrayContains", values, wanted)

    return test


def _unique_test(report: Report) -> Callable[[Any, Run], None]:
    def test(values: Any, run: Run) -> None:
        seen: set[Any] = set()
        twice: dict[Any, Any] = {}
        for value in values:
            key = identity_key(value)
            if key in seen:
                twice.setdefault(key, value)
            seen.add(key)
        if twice:
            report(run, "arrayUnique", values, list(twice.values()))

    return test


def _enum_test(allowed_values: Any, report: Report) -> Callable[[Any, Run], None]:
    allowed, shown = frozenset(identity_key(value) for value in allowed_values), listed(allowed_values)

    def test(values: Any, run: Run) -> None:
        for value in values:
            if identity_key(value) not in allowed and len(run.faults) < FAULTS_MAX:
                report(run, "arrayEnum", value, shown)

    return test


def tuple_check(rule: Rule, report: Report, build: Build) -> Check:
    places, empty = [build(place) for place in rule.rules], rule.options.get("empty")

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, list | tuple):
            report(run, "tuple", value)
        elif not value:
            if empty is False:
                report(run, "tupleEmpty", value)
        elif places and len(value) != len(places):
            report(run, "tupleLength", len(value), len(places))
        elif places:
            following = iter(places)
            return _checked_items(value, lambda item, holder, run: next(following)(item, holder, run), parent, run)
        return value

    return check


def record_check(rule: Rule, report: Report, build: Build) -> Check:
    assert rule.key is not None
    assert rule.value is not None
    key_check, value_check = build(rule.key), build(rule.value)

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, Mapping):
            report(run, "record", value)
            return value
        out: dict[Any, Any] = {}
        changed = False
        for name, found in value.items():
            before = len(run.faults)
            if before >= FAULTS_MAX:
                return value
            text = to_text(name)
            part = (text, f".{text}")
            key = key_check(text, value, run)
            under(run, before, part)
            before = len(run.faults)
            new = value_check(found, value, run)
            if found is not None:  # As with the items of a list.
                under(run, before, part)
            if key is not name or new is not found:
                changed = True
            if key is not MISSING and new is not MISSING:
                out[to_text(key)] = new
        return out if changed else value

    return check


def multi_check(rule: Rule, report: Report, build: Build) -> Check:
    alternatives = [build(alternative) for alternative in rule.rules]

    def check(value: Any, parent: Any, run: Run) -> Any:
        outer, faults = run.faults, []
        try:
            for alternative in alternatives:
                run.faults = []
                new = alternative(value, parent, run)
                if not run.faults:
                    return new
                faults += run.faults
        finally:
            run.faults = outer
        outer += faults
        return value

    return check
