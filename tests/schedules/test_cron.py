"""Cron: which expressions are taken, and when they are due."""

from __future__ import annotations

import sys
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import cron
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.schedules.cron import Cron

BERLIN = "Europe/Berlin"


def due(expression: str, after: str, count: int, timezone: str = "UTC") -> list[str]:
    """The next times after a local time, as local times; the second of two equal ones has a ``*``."""
    schedule, zone = Cron(expression, timezone), ZoneInfo(timezone)
    at = datetime.fromisoformat(after).replace(tzinfo=zone).timestamp()
    found = []
    for _ in range(count):
        at = schedule.next_after(at)
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
        ("0 0 * * fri-7", "2030-01-01 00:00", ["2030-01-04 00:00", "2030-01-05 00:00", "2030-01-06 00:00"]),
        ("0 0 * * */2", "2030-01-01 00:00", ["2030-01-03 00:00", "2030-01-05 00:00", "2030-01-06 00:00"]),
        ("0 0 1 jan,JUL *", "2030-01-01 00:00", ["2030-07-01 00:00", "2031-01-01 00:00"]),
        ("0 0 29 2 *", "2030-01-01 00:00", ["2032-02-29 00:00", "2036-02-29 00:00"]),
        ("0 0 29 2 *", "2096-03-01 00:00", ["2104-02-29 00:00"]),
        # The ends of months.
        ("0 0 31 * *", "2030-01-31 00:00", ["2030-03-31 00:00", "2030-05-31 00:00"]),
        ("0 0 L * *", "2032-01-31 00:00", ["2032-02-29 00:00", "2032-03-31 00:00", "2032-04-30 00:00"]),
        ("0 0 LW * *", "2030-03-01 00:00", ["2030-03-29 00:00", "2030-04-30 00:00"]),
        ("0 0 * * fri#1,5L", "2030-03-01 00:00", ["2030-03-29 00:00", "2030-04-05 00:00", "2030-04-26 00:00"]),
        ("0 0 28-31 * *", "2030-02-27 00:00", ["2030-02-28 00:00", "2030-03-28 00:00", "2030-03-29 00:00"]),
        ("59 23 31 12 *", "2030-12-31 23:58", ["2030-12-31 23:59", "2031-12-31 23:59"]),
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
        ("60 * * * *", "'60 .* is no cron expression: Bad minute; fields are minute 0-59, hour 0-23, "),
        ("* 24 * * *", "Bad hour"),
        ("* * 0 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month; .*month 1-12 or jan-dec"),
        ("* * * * 8", "Bad day-of-week; .*0-7 or sun-sat"),
        ("* * * foo *", "Bad month"),
        ("20-10 * * * *", "Bad minute; .*a range does not go backwards"),
        ("* * * * sat-mon", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("1-2-3 * * * *", "Bad minute"),
        ("1,,2 * * * *", "Bad minute"),
        ("-5 * * * *", "Bad minute"),
        ("\u0661 * * * *", "Bad minute"),
        ("* L * * *", "Bad hour"),
        ("* * ? * *", "Bad day-of-month"),
        ("* * * * mon#6", "Bad day-of-week"),
        ("9" * 5000 + " * * * *", "fields are minute 0-59"),
        ("@reboot", "eager=True"),
        ("@every 5m", "known are @yearly"),
        ("0 0 30 2 *", r"Bad day-of-month; .*\(one that there is in its months\)"),
        ("0 0 31 4,6,9,11 *", "Bad day-of-month"),
        ("0 0 31 2 */2", "Bad day-of-month"),
        ("0 0 */20 * 1L", "no such day, so it would never be due"),
        (5, "a cron expression is a text"),
        (None, "a cron expression is a text"),
    ],
)
def test_what_is_none_is_refused_and_says_why(expression: str, why: str) -> None:
    with pytest.raises(ServiceSchemaError, match=why):
        Cron(expression)


@pytest.mark.parametrize("zone", ["Berlin/Europe", "", "Europe", "../etc/passwd", "/etc/passwd", 5, None, "\0"])
def test_a_zone_that_there_is_not_is_refused(zone: str) -> None:
    with pytest.raises(ServiceSchemaError, match="no time zone is called"):
        Cron("* * * * *", zone)


def test_without_cronsim_the_mark_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tautomer.schedules.cron")
    monkeypatch.setitem(sys.modules, "cronsim", None)

    with pytest.raises(BrokerOptionsError, match=r"@cron needs 'cronsim': pip install 'tautomer\[cron\]'"):
        cron("* * * * *")


@pytest.mark.parametrize(
    ("timezone", "utc"),
    [
        ("UTC", "2030-01-02 03:30"),
        (BERLIN, "2030-01-02 02:30"),
        ("Asia/Kathmandu", "2030-01-01 21:45"),
        ("America/St_Johns", "2030-01-01 07:00"),
        ("Pacific/Kiritimati", "2030-01-01 13:30"),
    ],
)
def test_it_goes_by_the_clocks_of_its_zone(timezone: str, utc: str) -> None:
    after = datetime.fromisoformat("2030-01-01 06:59+00:00").timestamp()

    assert datetime.fromisoformat(f"{utc}+00:00").timestamp() == Cron("30 3 * * *", timezone).next_after(after)


# --- clocks that are set: Berlin leaps from 02:00 to 03:00 on 2030-03-31, and goes back from 03:00 to 02:00 on 2030-10-27 ---


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["2030-03-30 02:30", "2030-03-31 03:00", "2030-04-01 02:30"]),
        # Several that are leapt over are one, and one with what is due then anyway.
        ("0,30 2,3 31 3 *", ["2030-03-31 03:00", "2030-03-31 03:30", "2031-03-31 02:00"]),
        # By what the clock shows: of the hour that is left out nothing is made up for.
        ("30 * 31 3 *", ["2030-03-31 00:30", "2030-03-31 01:30", "2030-03-31 03:30", "2030-03-31 04:30"]),
        ("*/30 2 * 3,4 *", ["2030-03-30 02:30", "2030-04-01 02:00"]),
        ("30 */2 31 3 *", ["2030-03-31 00:30", "2030-03-31 04:30"]),
    ],
)
def test_where_clocks_leap(expression: str, times: list[str]) -> None:
    assert times == due(expression, "2030-03-30 02:00", len(times), BERLIN)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("30 2 * * *", ["2030-10-27 02:30", "2030-10-28 02:30"]),
        ("0,30 2,3 27 10 *", ["2030-10-27 02:00", "2030-10-27 02:30", "2030-10-27 03:00", "2030-10-27 03:30"]),
        # By what the clock shows: the hour that is repeated counts again.
        (
            "30 * * * *",
            ["2030-10-27 00:30", "2030-10-27 01:30", "2030-10-27 02:30", "2030-10-27 02:30*", "2030-10-27 03:30"],
        ),
        ("*/30 2 * * *", ["2030-10-27 02:00", "2030-10-27 02:30", "2030-10-27 02:00*", "2030-10-27 02:30*"]),
        ("30 */2 * * *", ["2030-10-27 00:30", "2030-10-27 02:30", "2030-10-27 02:30*", "2030-10-27 04:30"]),
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


def test_a_midnight_that_is_not_counts_at_its_leap() -> None:
    assert ["2010-10-03 01:00", "2010-10-04 00:00"] == due("0 0 * * *", "2010-10-02 12:00", 2, "America/Asuncion")


def test_a_day_that_goes_on_after_its_midnight_was_near() -> None:
    """Santiago's clocks go back from 24:00 to 23:00."""
    times = due("30 * 6 4 *", "2030-04-06 22:00", 3, "America/Santiago")

    assert ["2030-04-06 22:30", "2030-04-06 23:30", "2030-04-06 23:30*"] == times
    assert ["2030-04-07 00:00"] == due("0 0 * * *", "2030-04-06 23:30", 1, "America/Santiago")


# --- any expression ---


def field(least: int, most: int) -> st.SearchStrategy[str]:
    one = st.integers(least, most)
    plain = one.map(str)
    ranges = st.tuples(one, one).map(lambda ends: f"{min(ends)}-{max(ends)}")
    steps = st.tuples(st.one_of(ranges, st.just("*")), st.integers(1, most)).map(lambda parts: f"{parts[0]}/{parts[1]}")
    lists = st.lists(st.one_of(plain, ranges, steps), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), lists)


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 7)).map(" ".join)
ZONES = ("UTC", BERLIN, "America/Santiago", "America/St_Johns", "Asia/Kathmandu", "Africa/Cairo", "Atlantic/Azores")
RECENT = st.floats(1.73e9, 4e9)
SET_BACK = int(datetime(2030, 10, 27, 2, 0, tzinfo=ZoneInfo(BERLIN)).timestamp())


@given(expression=EXPRESSIONS, zone=st.sampled_from(ZONES), when=RECENT)
def test_the_next_time_is_later_and_there_is_none_between(expression: str, zone: str, when: float) -> None:
    schedule = Cron(expression, zone)

    at = schedule.next_after(when)

    assert when < at
    assert 0 == at % 60
    assert at == schedule.next_after((when + at) / 2)


@given(expression=EXPRESSIONS, when=st.floats(SET_BACK - 7200, SET_BACK + 14400))
def test_the_next_time_is_later_where_clocks_are_set_back_too(expression: str, when: float) -> None:
    schedule = Cron(expression, BERLIN)

    at = schedule.next_after(when)

    assert when < at
    assert at == schedule.next_after((when + at) / 2)


@given(
    st.one_of(
        st.text(max_size=30),
        st.lists(st.text("*/,-#LW0123579", min_size=1, max_size=5), min_size=5, max_size=5).map(" ".join),
    )
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        schedule = Cron(text)
    except ServiceSchemaError:
        return
    assert 0 < schedule.next_after(0)
