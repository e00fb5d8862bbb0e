"""What msgspec knows of a model, as rules to announce and as a check that finds all faults.

msgspec itself stops at the first fault. So the check goes through the model field by field, and asks msgspec about
each single value; what it finds is told in fastest-validator's words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import inspect as types

from tautomer.validation.faults import FAULTS_MAX, Report, Run, under
from tautomer.validation.javascript import MISSING, to_text
from tautomer.validation.rules_nested import field_part
from tautomer.validation.rules_text import listed
from tautomer.validation.short import announced_rules

__all__ = ["Part", "read"]

Rule: TypeAlias = dict[str, Any]
Check: TypeAlias = Callable[[Any, Run, Report], None]


@dataclass(slots=True)
class Part:
    """One type of a model.

    Attributes:
        rule: What is announced of it, in its long form.
        check: Reports what is wrong with a value that is there and not None.
        nullable: Whether None will do.
        has_floats: Whether there is a `float` in it.
        tag: Name and value of the field by which a Struct is known among others, or None.
    """

    rule: Rule
    check: Check
    nullable: bool = False
    has_floats: bool = False
    tag: tuple[str, Any] | None = None

    def announced(self) -> Any:
        """The rule as that of whole params."""
        return announced_rules(self.rule)


def read(info: types.Type) -> Part:
    """Read a model.

    Raises:
        TypeError: Something in it cannot be read.
    """
    return _Reader().part(info)


def _nothing(value: Any, run: Run, report: Report) -> None:
    """Anything will do."""


def _as(part: Part) -> Check:
    """The check of a part that may not have been read to its end yet."""
    return lambda value, run, report: part.check(value, run, report)


@dataclass(slots=True)
class _Reader:
    """Models that hold themselves are read once, and announced down to where they begin again."""

    parts: dict[type, Part] = field(default_factory=dict)

    def part(self, info: types.Type) -> Part:
        match info:
            case types.Metadata():
                made = self.part(info.type)
                text = (info.extra_json_schema or {}).get("description")
                if text:
                    made = Part({**made.rule, "description": text}, _as(made), made.nullable, made.has_floats, made.tag)
                return made
            case types.StructType() | types.DataclassType() | types.TypedDictType():
                return self._object(info)
            case types.UnionType():
                return self._union(info)
            case types.TupleType():
                return self._tuple(info)
            case types.ListType() | types.SetType() | types.FrozenSetType() | types.VarTupleType():
                return self._array(info)
            case types.DictType():
                return self._record(info)
            case types.AnyType() | types.RawType():
                return Part({"type": "any"}, _nothing, nullable=True)
            case types.NoneType():
                return Part({"type": "forbidden"}, _nothing, nullable=True)
            case _:
                return _leaf(info)

    def _object(self, info: types.StructType | types.DataclassType | types.TypedDictType) -> Part:
        known = self.parts.get(info.cls)
        if known is not None:
            return known
        begun = self.parts[info.cls] = Part({"type": "object"}, _nothing)
        tag = (info.tag_field, info.tag) if isinstance(info, types.StructType) and info.tag_field else None
        if isinstance(info, types.StructType) and info.array_like:
            raise TypeError(f"'{info.cls.__name__}' is array_like, and params are objects")
        fields = [(one, self.part(one.type)) for one in _in_order(info)]
        strict = getattr(info, "forbid_unknown_fields", False)
        props = {one.encode_name: _rule_of_field(one, part) for one, part in fields}
        if tag is not None:
            props = {tag[0]: {"type": "equal", "value": tag[1], "strict": True}, **props}
        rule: Rule = {"type": "object", "props": props}
        if strict:
            rule["strict"] = True
        begun.check = _object_check(fields, tag, strict)
        floats = any(part.has_floats for _, part in fields)
        made = self.parts[info.cls] = Part(rule, begun.check, False, floats, tag)
        return made

    def _union(self, info: types.UnionType) -> Part:
        parts = [self.part(one) for one in info.types if not isinstance(one, types.NoneType)]
        nullable = len(parts) < len(info.types) or any(part.nullable for part in parts)
        rule = parts[0].rule if len(parts) == 1 else {"type": "multi", "rules": [part.rule for part in parts]}
        check = _as(parts[0]) if len(parts) == 1 else _union_check(parts)
        return Part(
            {**rule, "nullable": True} if nullable else rule,
            check,
            nullable,
            any(part.has_floats for part in parts),
        )

    def _array(self, info: types.ListType | types.SetType | types.FrozenSetType | types.VarTupleType) -> Part:
        item = self.part(info.item_type)
        rule: Rule = {"type": "array", "items": item.rule, **_sizes(info)}

        def check(value: Any, run: Run, report: Report) -> None:
            if not isinstance(value, list | tuple | set | frozenset):
                report(run, "array", value)
                return
            _check_size("array", len(value), info, run, report)
            for place, one in enumerate(value):
                if len(run.faults) >= FAULTS_MAX:
                    return
                _check_at(item, one, True, _item_part(place, one), run, report)

        return Part(rule, check, False, item.has_floats)

    def _tuple(self, info: types.TupleType) -> Part:
        items = [self.part(one) for one in info.item_types]
        rule: Rule = {"type": "tuple", "items": [item.rule for item in items]}

        def check(value: Any, run: Run, report: Report) -> None:
            if not isinstance(value, list | tuple):
                report(run, "tuple", value)
            elif len(value) != len(items):
                report(run, "tupleLength", len(value), len(items))
            else:
                for place, (item, one) in enumerate(zip(items, value, strict=True)):
                    _check_at(item, one, True, _item_part(place, one), run, report)

        return Part(rule, check, False, any(item.has_floats for item in items))

    def _record(self, info: types.DictType) -> Part:
        key, item = self.part(info.key_type), self.part(info.value_type)
        rule: Rule = {"type": "record", "key": key.rule, "value": item.rule}

        def check(value: Any, run: Run, report: Report) -> None:
            if not isinstance(value, Mapping):
                report(run, "record", value)
                return
            _check_size("object", len(value), info, run, report)
            for name, one in value.items():
                if len(run.faults) >= FAULTS_MAX:
                    return
                part = (to_text(name), f".{to_text(name)}")
                _check_at(key, name, True, part, run, report)
                _check_at(item, one, True, None if one is None else part, run, report)

        return Part(rule, check, False, item.has_floats)


def _in_order(info: types.StructType | types.DataclassType | types.TypedDictType) -> list[types.Field]:
    """The fields as they are written; those of a TypedDict come in any order."""
    if not isinstance(info, types.TypedDictType):
        return list(info.fields)
    written = list(info.cls.__annotations__)
    return sorted(info.fields, key=lambda one: written.index(one.name))


def _rule_of_field(one: types.Field, part: Part) -> Rule:
    if one.required:
        return part.rule
    rule = {name: value for name, value in part.rule.items() if name != "nullable"}
    if isinstance(one.default, bool | str | int | float):
        return {**rule, "default": one.default}
    return {**rule, "optional": True}


def _check_at(part: Part, value: Any, required: bool, place: tuple[str, str] | None, run: Run, report: Report) -> None:
    before = len(run.faults)
    if value is MISSING or value is None:
        if value is None and part.nullable:
            return
        if required:
            report(run, "required", value)
        elif value is None:
            part.check(value, run, report)
    else:
        part.check(value, run, report)
    # Of what is held by a list or a record, None is told as a fault of the holder, as fastest-validator does.
    if len(run.faults) != before and place is not None:
        under(run, before, place)


def _item_part(place: int, value: Any) -> tuple[str, str] | None:
    return None if value is None else (f"[{place}]", f"[{place}]")


def _object_check(fields: list[tuple[types.Field, Part]], tag: tuple[str, Any] | None, strict: bool) -> Check:
    listed_fields = [(one.encode_name, one.required, part, field_part(one.encode_name)) for one, part in fields]
    known = [name for name, *_ in listed_fields]

    def check(value: Any, run: Run, report: Report) -> None:
        if not isinstance(value, Mapping):
            report(run, "object", value)
            return
        if tag is not None and value.get(tag[0], tag[1]) != tag[1]:
            before = len(run.faults)
            report(run, "equalValue", value[tag[0]], tag[1])
            under(run, before, field_part(tag[0]))
        for name, required, part, place in listed_fields:
            _check_at(part, value.get(name, MISSING), required, place, run, report)
        if strict:
            unknown = [name for name in value if name not in known and (tag is None or name != tag[0])]
            if unknown:
                report(run, "objectStrict", ", ".join(map(to_text, unknown)), ", ".join(known))

    return check


def _union_check(parts: list[Part]) -> Check:
    tagged = {part.tag[1]: part for part in parts if part.tag is not None}
    tag_field = next((part.tag[0] for part in parts if part.tag is not None), None)

    def check(value: Any, run: Run, report: Report) -> None:
        if tag_field is not None and isinstance(value, Mapping) and len(tagged) == len(parts):
            found = value.get(tag_field, MISSING)
            chosen = tagged.get(found) if isinstance(found, str | int) else None
            if chosen is not None:
                chosen.check(value, run, report)
            else:
                before = len(run.faults)
                if found is MISSING:
                    report(run, "required", found)
                else:
                    report(run, "enumValue", found, listed(list(tagged)))
                under(run, before, field_part(tag_field))
            return
        outer, faults = run.faults, []
        for part in parts:
            run.faults = []
            part.check(value, run, report)
            if not run.faults:
                run.faults = outer
                return
            faults += run.faults
        run.faults = outer
        outer += faults  # As fastest-validator does: what is wrong with each.

    return check


# --- sizes ---


def _sizes(info: Any) -> Rule:
    known = (("min", info.min_length), ("max", info.max_length))
    return {name: size for name, size in known if size is not None}


def _check_size(kind: str, size: int, info: Any, run: Run, report: Report) -> None:
    least, most = ("MinProps", "MaxProps") if kind == "object" else ("Min", "Max")
    if info.min_length is not None and size < info.min_length:
        report(run, f"{kind}{least}", size, info.min_length)
    if info.max_length is not None and size > info.max_length:
        report(run, f"{kind}{most}", size, info.max_length)


# --- single values ---


def _leaf(info: types.Type) -> Part:
    match info:
        case types.IntType() | types.FloatType():
            return _number(info)
        case types.StrType():
            return _text(info)
        case types.EnumType():
            return _one_of([one.value for one in info.cls], info.cls)
        case types.LiteralType():
            return _one_of(list(info.values), Literal[info.values])
    for kind, annotation, rule, fault in _PLAIN:
        if isinstance(info, kind):
            zone = getattr(info, "tz", None)
            asked = annotation if zone is None else Annotated[annotation, msgspec.Meta(tz=zone)]
            return Part(dict(rule), _asked(asked, fault))
    shown = getattr(getattr(info, "cls", None), "__name__", type(info).__name__)
    raise TypeError(f"no value of '{shown}' can be made of JSON")


_PLAIN: tuple[tuple[Any, Any, Rule, str], ...] = (
    (types.BoolType, bool, {"type": "boolean", "convert": True}, "boolean"),
    (types.DateTimeType, datetime, {"type": "date", "convert": True}, "date"),
    (types.DateType, date, {"type": "date", "convert": True}, "date"),
    (types.TimeType, time, {"type": "string"}, "time"),
    (types.TimeDeltaType, timedelta, {"type": "string"}, "duration"),
    (types.UUIDType, UUID, {"type": "uuid"}, "uuid"),
    (types.DecimalType, Decimal, {"type": "multi", "rules": [{"type": "number"}, {"type": "string"}]}, "number"),
    (types.BytesType, bytes, {"type": "string", "base64": True}, "stringBase64"),
    (types.ByteArrayType, bytearray, {"type": "string", "base64": True}, "stringBase64"),
)
"""How each is read, announced and told."""


def _asked(annotation: Any, fault: str) -> Check:
    """A check that asks msgspec, and has one name for whatever is wrong."""

    def check(value: Any, run: Run, report: Report) -> None:
        if not _fits(value, annotation):
            report(run, fault, value)

    return check


def _fits(value: Any, annotation: Any) -> bool:
    try:
        msgspec.convert(value, annotation, strict=False)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True


def _one_of(values: list[Any], annotation: Any) -> Part:
    shown = listed(values)

    def check(value: Any, run: Run, report: Report) -> None:
        if not _fits(value, annotation):
            report(run, "enumValue", value, shown)

    return Part({"type": "enum", "values": values}, check, nullable=None in values)


def _number(info: types.IntType | types.FloatType) -> Part:
    whole = isinstance(info, types.IntType)
    rule: Rule = {"type": "number", "integer": True, "convert": True} if whole else {"type": "number", "convert": True}
    step = 1 if whole else 0  # Rules know no bound that is itself outside, but for 0.
    for name, bound in (("min", info.ge), ("max", info.le)):
        if bound is not None:
            rule[name] = bound
    if info.gt is not None:
        rule |= {"positive": True} if info.gt == 0 else {"min": info.gt + step}
    if info.lt is not None:
        rule |= {"negative": True} if info.lt == 0 else {"max": info.lt - step}

    def check(value: Any, run: Run, report: Report) -> None:
        try:
            number = msgspec.convert(value, int if whole else float, strict=False)
        except (msgspec.ValidationError, RecursionError):
            is_other = whole and value is not None and _fits(value, float) and math.isfinite(float(value))
            report(run, "numberInteger" if is_other else "number", value)
            return
        if not math.isfinite(number):
            report(run, "number", value)
            return
        _check_bounds(number, info, run, report)

    return Part(rule, check, False, not whole)


def _check_bounds(number: float, info: types.IntType | types.FloatType, run: Run, report: Report) -> None:
    if info.ge is not None and number < info.ge:
        report(run, "numberMin", number, info.ge)
    if info.gt is not None and number <= info.gt:
        report(run, *_over("numberPositive", "numberMin", number, info.gt, "numberOver"))
    if info.le is not None and number > info.le:
        report(run, "numberMax", number, info.le)
    if info.lt is not None and number >= info.lt:
        report(run, *_over("numberNegative", "numberMax", number, info.lt, "numberUnder"))
    if info.multiple_of is not None and not _fits(number, Annotated[float, msgspec.Meta(multiple_of=info.multiple_of)]):
        report(run, "numberMultiple", number, info.multiple_of)


def _over(at_zero: str, kind: str, number: float, bound: float, as_if: str) -> tuple[Any, ...]:
    """Of a bound that is itself outside, fastest-validator knows that of 0."""
    return (at_zero, number) if bound == 0 else (kind, number, bound, as_if)


def _text(info: types.StrType) -> Part:
    rule: Rule = {"type": "string", **_sizes(info)}
    pattern = info.pattern
    if pattern is not None:
        rule["pattern"] = pattern

    def check(value: Any, run: Run, report: Report) -> None:
        if not isinstance(value, str):
            report(run, "string", value)
            return
        _check_size("string", len(value), info, run, report)
        if pattern is not None and not _fits(value, Annotated[str, msgspec.Meta(pattern=pattern)]):
            report(run, "stringPattern", value, f"/{pattern}/")

    return Part(rule, check)
