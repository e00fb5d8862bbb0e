"""Cron: which expressions are taken, and when they are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tautomer.errors import ServiceSchemaError
from tautomer.schedules.cron import Cron
from tautomer.schedules.fields import read_fields

BERLIN = "Europe/Berlin"


def due(expression: str, after: str, count: int, timezone: str = "UTC") -> list[str]:
    """The next times after a local time, as local times; the second of two equal ones has a ``*``."""
    cron, zone = Cron(expression, timezone), ZoneInfo(timezone)
    at = datetime.fromisoformat(after).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(count):
        at = cron.next_after(at)
        local = datetime.fromtimestamp(at, zone)
        found.append(f"{local:%Y-%m-%d %H:%M}{'*' * local.fold}")
    return found


@pytest.mark.parametrize(
    ("expression", "after", "times"),
    [
        ("* * * * *", "2030-01-01 00:00", ["2030-01-01 00:01", "2030-01-01 00:02"]),
        ("*/5 * * * *", "2030-01-01 00:03", ["2030-01-01 00:05", "2030-01-01 00:10"]),
        ("5/20 * * * *", "2030-01-01 00:00", ["2030-01-01 00:05", "2030-01-01 00:25", "2030-01-01 00:45"]),
        ("0 9-17/4 * * *", "2030-01-01 00:00", ["2030-01-01 09:00", "2030-01-01 13:00", "2030-01-01 17:00"]),
        ("15,45 3 * * *", "2030-01-01 03:20", ["2030-01-01 03:45", "2030-01-02 03:15"]),
        ("0 0 * * mon", "2030-01-01 00:00", ["2030-01-07 00:00", "2030-01-14 00:00"]),
        ("0 0 * * 7", "2030-01-01 00:00", ["2030-01-06 00:00"]),
        ("0 0 * * fri-sun", "2030-01-01 00:00", ["2030-01-04 00:00", "2030-01-05 00:00", "2030-01-06 00:00"]),
        ("0 0 * * */2", "2030-01-01 00:00", ["2030-01-03 00:00", "2030-01-05 00:00", "2030-01-06 00:00"]),
        ("0 0 1 jan,JUL *", "2030-01-01 00:00", ["2030-07-01 00:00", "2031-01-01 00:00"]),
        ("0 0 29 2 *", "2030-01-01 00:00", ["2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 29 2 *", "2096-03-01 00:00", ["2104-02-29 00:00"]),
        # Both kinds of days: either. One of them with a star: both.
        ("0 0 13 * fri", "2030-01-01 00:00", ["2030-01-04 00:00", "2030-01-11 00:00", "2030-01-13 00:00"]),
        ("0 0 */13 * fri", "2030-01-01 00:00", ["2030-02-01 00:00", "2030-03-01 00:00", "2030-06-14 00:00"]),
        ("@hourly", "2030-01-01 00:30", ["2030-01-01 01:00", "2030-01-01 02:00"]),
        ("@daily", "2030-01-01 00:30", ["2030-01-02 00:00"]),
        ("@midnight", "2030-01-01 00:30", ["2030-01-02 00:00"]),
        ("@weekly", "2030-01-01 00:30", ["2030-01-06 00:00"]),
        ("@monthly", "2030-01-01 00:30", ["2030-02-01 00:00"]),
        ("@yearly", "2030-01-01 00:30", ["2031-01-01 00:00"]),
        ("@Annually", "2030-01-01 00:30", ["2031-01-01 00:00"]),
        ("  0\t0 * *   * ", "2030-01-01 00:30", ["2030-01-02 00:00"]),
    ],
)
def test_when_it_is_due(expression: str, after: str, times: list[str]) -> None:
    assert times == due(expression, after, len(times))


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("", "it has 0 fields, not 5"),
        ("* * * *", "it has 4 fields, not 5"),
        ("* * * * * *", "6 fields, not 5.*for less than a minute there is @timer"),
        ("60 * * * *", r"'60' in the minute: '60' is not from 0 to 59"),
        ("* 24 * * *", "in the hour: '24' is not from 0 to 23"),
        ("* * 0 * *", "in the day of month: '0' is not from 1 to 31"),
        ("* * * 13 *", "in the month: '13' is not from 1 to 12, or jan to dec"),
        ("* * * * 8", "in the day of week: '8' is not from 0 to 7, or sun to sat"),
        ("* * * foo *", "'foo' is not from 1 to 12, or jan to dec"),
        ("20-10 * * * *", "goes backwards; write it in two parts, such as 20-59,0-10"),
        ("* * * * sat-mon", "goes backwards"),
        ("*/0 * * * *", "a step is from 1 to 59"),
        ("*/60 * * * *", "a step is from 1 to 59"),
        ("1-2-3 * * * *", "in the minute: a field has numbers, ranges"),
        ("1,,2 * * * *", "in the minute: a field has"),
        ("-5 * * * *", "in the minute: a field has"),
        ("\u0661 * * * *", "in the minute: a field has"),
        ("* * L * *", "'l' is not from 1 to 31"),
        ("* * ? * *", "in the day of month: a field has"),
        ("99999999999999 * * * *", "is not from 0 to 59"),
        ("@reboot", "eager=True"),
        ("@every 5m", "known are @yearly"),
        ("0 0 30 2 *", "none of its months has such a day"),
        ("0 0 31 4,6,9,11 *", "none of its months has such a day"),
        ("0 0 31 2 */2", "none of its months has such a day"),
        (5, "a cron expression is a text"),
        (None, "a cron expression is a text"),
    ],
)
def test_what_is_none_is_refused_and_says_why(expression: str, why: str) -> None:
    with pytest.raises(ServiceSchemaError, match=why):
        Cron(expression)


def test_a_day_of_the_week_makes_possible_what_no_month_has() -> None:
    assert ["2030-02-01 00:00"] == due("0 0 30 2 fri", "2030-01-01 00:00", 1)


@pytest.mark.parametrize("zone", ["Berlin/Europe", "", "Europe", "../etc/passwd", "/etc/passwd", 5, None, "\0"])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(ServiceSchemaError, match="no time zone is called"):
        Cron("* * * * *", zone)


# --- clocks that are set: Berlin leaps from 02:00 to 03:00 on 2030-03-31, and goes back from 03:00 to 02:00 on 2030-10-27 ---


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["2030-03-30 02:30", "2030-03-31 03:00", "2030-04-01 02:30"]),
        # Several that are leapt over are one, and one with what is due then anyway.
        ("*/20 2,3 31 3 *", ["2030-03-31 03:00", "2030-03-31 03:20", "2030-03-31 03:40", "2031-03-31 02:00"]),
        # Every hour: of the hour that is left out nothing is made up for.
        ("30 * 31 3 *", ["2030-03-31 00:30", "2030-03-31 01:30", "2030-03-31 03:30", "2030-03-31 04:30"]),
    ],
)
def test_where_clocks_leap(expression: str, times: list[str]) -> None:
    assert times == due(expression, "2030-03-30 02:00", len(times), BERLIN)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["2030-10-27 02:30", "2030-10-28 02:30"]),
        ("*/30 2,3 27 10 *", ["2030-10-27 02:00", "2030-10-27 02:30", "2030-10-27 03:00", "2030-10-27 03:30"]),
        # Every hour: the one that is repeated is an hour more.
        (
            "30 * * * *",
            ["2030-10-27 00:30", "2030-10-27 01:30", "2030-10-27 02:30", "2030-10-27 02:30*", "2030-10-27 03:30"],
        ),
    ],
)
def test_where_clocks_are_set_back(expression: str, times: list[str]) -> None:
    assert times == due(expression, "2030-10-27 00:00", len(times), BERLIN)


def test_between_two_equal_times_the_later_one_is_not_due_again() -> None:
    second = datetime(2030, 10, 27, 2, 10, fold=1, tzinfo=ZoneInfo(BERLIN))

    at = Cron("30 2 * * *", BERLIN).next_after(second.timestamp())

    assert datetime(2030, 10, 28, 2, 30, tzinfo=ZoneInfo(BERLIN)).timestamp() == at


def test_a_day_that_a_zone_left_out_whole_counts_at_its_leap() -> None:
    """Samoa crossed the date line: after 2011-12-29 came 2011-12-31."""
    assert ["2011-12-31 00:00", "2012-12-30 12:00"] == due("0 12 30 12 *", "2011-12-29 00:00", 2, "Pacific/Apia")
    assert ["2012-12-30 00:15"] == due("15 * 30 12 *", "2011-12-29 00:00", 1, "Pacific/Apia")


def test_a_midnight_that_is_not_counts_at_its_leap() -> None:
    assert ["2010-10-03 01:00", "2010-10-04 00:00"] == due("0 0 * * *", "2010-10-02 12:00", 2, "America/Asuncion")


def test_a_day_that_goes_on_after_midnight() -> None:
    """St John's set its clocks back at 00:01, to 23:01 of the day before."""
    times = due("0,30 * 6 11 *", "2010-11-06 22:45", 3, "America/St_Johns")

    assert ["2010-11-06 23:00", "2010-11-06 23:30", "2010-11-06 23:30*"] == times


# --- any expression ---


def numbers(least: int, most: int) -> st.SearchStrategy[str]:
    one = st.integers(least, most)
    plain = one.map(str)
    ranges = st.tuples(one, one).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.tuples(st.one_of(ranges, st.just("*")), st.integers(1, most)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    lists = st.lists(st.one_of(plain, ranges, steps), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists)


EXPRESSIONS = st.tuples(numbers(0, 59), numbers(0, 23), numbers(1, 28), numbers(1, 12), numbers(0, 7)).map(" ".join)
ZONES = (
    "UTC",
    BERLIN,
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Pacific/Apia",
)
BEGIN, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2008, 2013))


def changes(zone: str) -> list[int]:
    """The days on which a zone's clocks are set."""
    days = range(BEGIN, END, 86_400)
    offsets = [datetime.fromtimestamp(day, ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, one, next_one in zip(days, offsets, offsets[1:], strict=False) if one != next_one]


INSTANTS = st.sampled_from(ZONES).flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.one_of(
            st.integers(BEGIN, END),
            st.tuples(st.sampled_from(changes(zone) or [BEGIN]), st.integers(0, 86_400)).map(sum),
        ),
    )
)


def named(expression: str, local: datetime) -> bool:
    """Whether an expression names a local time, read in the plainest way."""
    minute, hour, day, month, weekday = expression.split()
    days = in_field(day, local.day, 1, 31), in_field(weekday, local.isoweekday() % 7, 0, 7)
    either = "*" not in (day[0], weekday[0])
    return (
        in_field(minute, local.minute, 0, 59)
        and in_field(hour, local.hour, 0, 23)
        and in_field(month, local.month, 1, 12)
        and (any(days) if either else all(days))
    )


def in_field(field: str, number: int, least: int, most: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, last = (least, most) if span == "*" else (int(span.split("-")[0]), int(span.split("-")[-1]))
        # Sunday is 0 and 7.
        for candidate in (number, 7) if most == 7 and number == 0 and span != "*" else (number,):
            if first <= candidate <= last and (candidate - first) % int(step or 1) == 0:
                return True
    return False


@settings(max_examples=200, deadline=None)
@given(expression=EXPRESSIONS, where_and_when=INSTANTS)
@example("0 0 * * 5-7", ("UTC", 1893456000))
@example("30 2 * * *", (BERLIN, 1901145600))  # The day of a leap.
@example("0,30 * * * *", ("Australia/Lord_Howe", 1901714400))  # Half an hour is repeated.
def test_it_is_due_at_every_minute_that_it_names_and_at_no_other(
    expression: str, where_and_when: tuple[str, int]
) -> None:
    """Within some hours, against the plainest reading: walk through the minutes and look at the clock."""
    zone, start = where_and_when
    cron, hours_star = Cron(expression, zone), expression.split()[1] == "*"
    start -= start % 60
    # What has been, two hours before the start included.
    seen = {datetime.fromtimestamp(start - 60 * n, ZoneInfo(zone)).replace(tzinfo=None) for n in range(121)}
    expected = []
    before = datetime.fromtimestamp(start, ZoneInfo(zone)).replace(tzinfo=None)
    for at in range(start, start + 30 * 3600, 60):
        aware = datetime.fromtimestamp(at, ZoneInfo(zone))
        local = aware.replace(tzinfo=None)
        leapt = [before + timedelta(minutes=n) for n in range(1, int((local - before).total_seconds() // 60))]
        counts = hours_star or local not in seen
        made_up = not hours_star and any(named(expression, one) for one in leapt)
        if at > start and ((named(expression, local) and counts) or made_up):
            expected.append(at)
        seen.add(local)
        before = local

    found, at = [], float(start)
    while (at := cron.next_after(at)) < start + 30 * 3600:
        found.append(int(at))

    assert expected == found


@given(expression=EXPRESSIONS, zone=st.sampled_from(ZONES), when=st.floats(0, 2e9))
def test_the_next_time_is_later_and_there_is_none_between(expression: str, zone: str, when: float) -> None:
    cron = Cron(expression, zone)

    at = cron.next_after(when)

    assert when < at == int(at)
    assert at == cron.next_after((when + at) / 2)


@given(st.text(max_size=30))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        fields = read_fields(text)
    except ServiceSchemaError:
        return
    assert fields.minutes
    assert fields.hours
