"""Cron: the instants at which a cron expression is due, in one time zone. What is in an expression is cronsim's work."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from math import floor
from typing import Final
from zoneinfo import ZoneInfo

from tautomer.errors import BrokerOptionsError, ServiceSchemaError

try:
    from cronsim import CronSim, CronSimError
except ModuleNotFoundError as missing:
    raise BrokerOptionsError("@cron needs 'cronsim': pip install 'tautomer[cron]'") from missing

__all__ = ["Cron"]

MACROS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}

MINUTE: Final = 60
_TAKEN: Final = (
    "fields are minute 0-59, hour 0-23, day of month 1-31 (one that there is in its months), month 1-12 or jan-dec, day of "
    "week 0-7 or sun-sat; a range does not go backwards"
)
_ANY_DAY: Final = datetime(2000, 1, 1)
"""Within the 50 years from here that cronsim looks through, any day that can be is there: 29 February on each weekday, too."""


class Cron:
    """When a cron expression is due. Pure: times are seconds since 1970.

    Where a zone's clocks are set, it is as in Debian's cron. If neither the minute nor the hour begins with ``*``, each
    local time counts once: one that the clocks leap over is due at the moment of the leap (several, once), one that comes
    twice the first time. All other expressions go by what the clock shows: they are due again in the hour that is
    repeated, and nothing is made up for in the one that is left out. (There cronsim counts in whole hours: in a zone that is
    set by half an hour, such as Lord Howe's, or not at a full hour, such as Chatham's, it may miss a time on that day.)

    Args:
        expression: Five fields, or a name such as ``@hourly``.
        timezone: Name of the zone, such as ``Europe/Berlin``.

    Raises:
        ServiceSchemaError: The expression is none or can never be due, or the zone is not known.

    Attributes:
        expression: As it was given.
        timezone: As it was given.
    """

    __slots__ = ("_fields", "_zone", "expression", "timezone")

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        self._fields = _checked(expression)
        self._zone = _zone(timezone)
        self.expression = " ".join(expression.split())
        self.timezone = timezone

    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, {self.timezone!r})"

    def next_after(self, when: float) -> float:
        """The first instant after `when` at which it is due."""
        start = floor(when)  # All instants are whole seconds.
        while True:
            at = next(CronSim(self._fields, datetime.fromtimestamp(start, self._zone))).timestamp()
            if at > when:
                return at
            # On the second way through an hour that is repeated, cronsim names what was due on the first.
            start += MINUTE


def _checked(expression: object) -> str:
    """The five fields of an expression."""
    if not isinstance(expression, str):
        raise ServiceSchemaError(f"a cron expression is a text such as '*/5 * * * *', not {expression!r:.80}")
    text = expression.strip()
    if text.startswith("@"):
        return _macro(text.lower(), expression)
    count = len(text.split())
    if count != 5:  # Of six, cronsim takes the first for seconds, and nameko-cron the last.
        less = "; for less than a minute there is @timer" if count in (6, 7) else ""
        raise _wrong(expression, f"it has {count} fields, not 5: minute, hour, day of month, month, day of week{less}")
    try:
        next(CronSim(text, _ANY_DAY))
    except StopIteration as error:
        raise _wrong(expression, "there is no such day, so it would never be due") from error
    except (CronSimError, ValueError) as error:  # The latter: a number with thousands of digits.
        raise _wrong(expression, f"{error!s:.80}; {_TAKEN}") from error
    return text


def _macro(name: str, expression: str) -> str:
    if name == "@reboot":
        raise _wrong(expression, "what is done once at the start is `started` of the service, or @timer(…, eager=True)")
    if name not in MACROS:
        raise _wrong(expression, f"known are {', '.join(MACROS)}")
    return MACROS[name]


def _wrong(expression: str, why: str) -> ServiceSchemaError:
    return ServiceSchemaError(f"{expression!r:.120} is no cron expression: {why}")


def _zone(name: object) -> tzinfo:
    if name == "UTC":
        return UTC  # There on every system; and cronsim takes the short way.
    try:
        if not isinstance(name, str) or not name:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # The last two: not there, and a folder of zones.
        raise ServiceSchemaError(
            f"no time zone is called {name!r:.80}: it is a name such as 'Europe/Berlin' (where the system has none at "
            "all: pip install tzdata)"
        ) from error
