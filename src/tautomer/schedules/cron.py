"""Cron: the instants at which a cron expression is due, in one time zone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta, tzinfo
from math import floor
from typing import Final
from zoneinfo import ZoneInfo

from tautomer.errors import ServiceSchemaError
from tautomer.schedules.fields import read_fields

__all__ = ["Cron"]

MINUTE: Final = 60
DAY: Final = timedelta(days=1)
_LEAP_MAX: Final = 2 * 3600
"""Seconds after midnight in which a clock may be set back to the day before."""


class Cron:
    """When a cron expression is due. Pure: times are seconds since 1970.

    Where a zone's clocks are set, each local time counts once: one that they leap over is due at the moment of the leap
    (several, once), one that comes twice the first time. An expression for every hour (``*``) goes by real time instead: it is
    due in the hour that is repeated, too, and nothing is made up for in the one that is left out.

    Args:
        expression: Five fields, or a name such as ``@hourly``.
        timezone: Name of the zone, such as ``Europe/Berlin``.

    Raises:
        ServiceSchemaError: The expression is none or can never be due, or the zone is not known.

    Attributes:
        expression: As it was given.
        timezone: As it was given.
    """

    __slots__ = ("_fields", "_minutes", "_zone", "expression", "timezone")

    def __init__(self, expression: str, timezone: str = "UTC") -> None:
        self._fields = read_fields(expression)
        self._zone = _zone(timezone)
        self._minutes = frozenset(self._fields.minutes)
        self.expression = " ".join(expression.split())
        self.timezone = timezone

    def __repr__(self) -> str:
        return f"Cron({self.expression!r}, {self.timezone!r})"

    def next_after(self, when: float) -> float:
        """The first instant after `when` at which it is due."""
        # All instants are whole seconds.
        now = floor(when)
        return float(self._by_the_hour(now) if self._fields.every_hour else self._by_the_clock(now))

    # --- every hour: real time ---

    def _by_the_hour(self, now: int) -> int:
        at = now - now % MINUTE + MINUTE
        while True:
            local = self._local(at)
            if self._is_day(local):
                if local.minute in self._minutes:
                    return at
                at += MINUTE
            elif self._may_go_back(local):
                at += MINUTE
            else:
                at = max(at + MINUTE, self._instant(datetime.combine(self._next_day(local), local.min.time())))

    def _may_go_back(self, local: datetime) -> bool:
        """Whether a day that is meant has ended only now: where clocks are set back at midnight it goes on."""
        return local.hour * 3600 + local.minute * MINUTE < _LEAP_MAX and self._is_day(local - DAY)

    # --- named hours: each local time once ---

    def _by_the_clock(self, now: int) -> int:
        for local in self._local_times(self._local(now)):
            at = self._instant(local)
            # Between two equal times of a day on which clocks are set back, the later ones have been.
            if at > now:
                return at
        raise AssertionError("there is always another day")

    def _local_times(self, after: datetime) -> Iterator[datetime]:
        day: date = after.date() if self._is_day(after) else self._next_day(after)
        while True:
            for hour in self._fields.hours:
                for minute in self._fields.minutes:
                    local = datetime(day.year, day.month, day.day, hour, minute)
                    if local > after:
                        yield local
            day = self._next_day(day)

    # --- days and zones ---

    def _is_day(self, day: date) -> bool:
        return self._fields.has_day(day.month, day.day, day.isoweekday() % 7)

    def _next_day(self, day: date) -> date:
        day = date(day.year, day.month, day.day) + DAY
        while not self._is_day(day):
            day += DAY
        return day

    def _local(self, at: int) -> datetime:
        return datetime.fromtimestamp(at, self._zone).replace(tzinfo=None)

    def _instant(self, local: datetime) -> int:
        """When a local time is first; of one that is leapt over, the moment of the leap."""
        late = int(local.replace(tzinfo=self._zone, fold=0).timestamp())
        if self._local(late) == local:
            return late
        # The two readings of a time that is not lie on either side of the leap.
        early = int(local.replace(tzinfo=self._zone, fold=1).timestamp())
        while late - early > 1:
            middle = (early + late) // 2
            if self._local(middle) < local:
                early = middle
            else:
                late = middle
        return late


def _zone(name: object) -> tzinfo:
    try:
        if not isinstance(name, str) or not name:
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError) as error:  # The last two: not there, and a folder of zones.
        raise ServiceSchemaError(
            f"no time zone is called {name!r:.80}: it is a name such as 'Europe/Berlin' (where the system has none at "
            "all: pip install tzdata)"
        ) from error
