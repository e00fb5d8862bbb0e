"""CronFields: the five fields of a cron expression, read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from tautomer.errors import ServiceSchemaError

__all__ = ["CronFields", "read_fields"]

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

_DAYS_OF_MONTHS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART: Final = re.compile(
    r"(?P<all>\*)(?:/(?P<every>[0-9]{1,4}))?|(?P<first>\w+)(?:-(?P<last>\w+))?(?:/(?P<step>[0-9]{1,4}))?", re.ASCII
)


class _Field(NamedTuple):
    """What may stand in one field. A name's place in `names`, from `least` on, is its number."""

    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()


_FIELDS: Final = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 7, _WEEKDAYS),
)


class CronFields(msgspec.Struct, frozen=True):
    """The minutes, hours and days that an expression names.

    Attributes:
        minutes: In order.
        hours: In order.
        every_hour: Whether the field of the hours is ``*``.
        days: Of the month.
        months: From 1 on.
        weekdays: Sunday is 0.
        either_day: Whether a day is meant that is of `days` or of `weekdays`; else it is of both.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    every_hour: bool
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def has_day(self, month: int, day: int, weekday: int) -> bool:
        """Whether a day is meant; Sunday is 0."""
        if month not in self.months:
            return False
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def read_fields(expression: object) -> CronFields:
    """The fields of an expression, such as ``*/5 8-17 * * mon-fri``; see `tautomer.cron`.

    Raises:
        ServiceSchemaError: It is none, or names no day that there is; says what is wrong in which field.
    """
    if not isinstance(expression, str):
        raise ServiceSchemaError(f"a cron expression is a text such as '*/5 * * * *', not {expression!r:.80}")
    text = expression.strip().lower()
    if text.startswith("@"):
        text = _macro(text, expression)
    parts = text.split()
    if len(parts) != 5:
        seconds = "; for less than a minute there is @timer" if len(parts) in (6, 7) else ""
        raise _wrong(
            expression, f"it has {len(parts)} fields, not 5: minute, hour, day of month, month, day of week{seconds}"
        )
    minutes, hours, days, months, weekdays = (
        _numbers(part, field, expression) for part, field in zip(parts, _FIELDS, strict=True)
    )
    # As in the cron of Vixie: who restricts both means days of either kind.
    either_day = not parts[2].startswith("*") and not parts[4].startswith("*")
    if not either_day and not any(day <= _DAYS_OF_MONTHS[month - 1] for month in months for day in days):
        raise _wrong(expression, "none of its months has such a day, so it would never be due")
    return CronFields(
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        every_hour=parts[1] == "*",
        days=frozenset(days),
        months=frozenset(months),
        weekdays=frozenset(weekday % 7 for weekday in weekdays),
        either_day=either_day,
    )


def _macro(text: str, expression: str) -> str:
    if text == "@reboot":
        raise _wrong(expression, "what is done once at the start is `started` of the service, or @timer(…, eager=True)")
    if text not in MACROS:
        raise _wrong(expression, f"known are {', '.join(MACROS)}")
    return MACROS[text]


def _numbers(text: str, field: _Field, expression: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise _wrong(
                expression,
                f"{part!r} in the {field.name}: a field has numbers, ranges such as 1-5, steps such as */15, or "
                "several of these with commas between",
            )
        found.update(_range(match.groupdict(), field, part, expression))
    return found


def _range(part: Mapping[str, str | None], field: _Field, written: str, expression: str) -> range:
    where = f"{written!r} in the {field.name}"
    first, last, step = field.least, field.most, part["every"] or part["step"]
    if field.names and field.least == 0 and part["all"]:
        last = 6  # 7 is Sunday once more.
    if part["first"] is not None:
        first = last = _number(part["first"], field, where, expression)
        if part["last"] is not None:
            last = _number(part["last"], field, where, expression)
            if last == 0 < first and field.names:
                last = 7  # ``fri-sun``
        elif step is not None:
            last = field.most - (field.most == 7)  # ``5/15``: from 5 on.
    if last < first:
        raise _wrong(
            expression,
            f"{where} goes backwards; write it in two parts, such as {first}-{field.most},{field.least}-{last}",
        )
    if step is None:
        return range(first, last + 1)
    if not 0 < int(step) <= field.most:
        raise _wrong(expression, f"{where}: a step is from 1 to {field.most}")
    return range(first, last + 1, int(step))


def _number(text: str, field: _Field, where: str, expression: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.least
    if not (text.isdecimal() and len(text) <= 4 and field.least <= int(text) <= field.most):
        named = f", or {field.names[0]} to {field.names[-1]}" if field.names else ""
        raise _wrong(expression, f"{where}: {text!r} is not from {field.least} to {field.most}{named}")
    return int(text)


def _wrong(expression: str, why: str) -> ServiceSchemaError:
    return ServiceSchemaError(f"{expression!r:.120} is no cron expression: {why}")
