"""Log lines: one line each, in which nothing foreign can pretend to be ours."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.logs import CUT, FIELD_CHARS_MAX, LINE_CHARS_MAX, JsonFormatter, PlainFormatter, configure

from .protocol.values import json_values

HOSTILE = "a\r\nERROR tautomer: forged\x1b[2J\x00\x7f\x85\x9b\u2028\u2029b"


def record(message: str = "packet dropped", *args: object, exc_info: Any = None, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("tautomer.transit", logging.WARNING, "x.py", 5, message, args, exc_info)
    made.__dict__.update(fields)
    return made


def plain(*args: Any, **fields: Any) -> str:
    return PlainFormatter().format(record(*args, **fields))


def as_json(*args: Any, **fields: Any) -> dict[str, Any]:
    text = JsonFormatter().format(record(*args, **fields))
    assert [text] == text.splitlines()
    return json.loads(text, parse_constant=pytest.fail)  # type: ignore[no-any-return]  # A JSON object.


class TestPlain:
    def test_has_time_level_logger_sentence_and_fields(self) -> None:
        line = plain("packet dropped", reason="sender", count=5, node=None)

        assert line.endswith(" WARNING tautomer.transit: packet dropped reason=sender count=5 node=None")

    @pytest.mark.parametrize("where", ["field", "argument", "message"])
    def test_control_characters_are_escaped_wherever_they_come_from(self, where: str) -> None:
        match where:
            case "field":
                line = plain("x", sender=HOSTILE)
            case "argument":
                line = plain("from %s", HOSTILE)
            case _:
                line = plain(HOSTILE)

        assert [line] == line.splitlines()
        assert r"a\x0d\x0aERROR tautomer: forged\x1b[2J\x00\x7f\x85\x9b\u2028\u2029b" in line

    @pytest.mark.slow
    @given(st.text(max_size=50))
    def test_any_text_stays_on_its_line_and_can_be_written(self, text: str) -> None:
        line = plain("x %s", text, field=text, other=[text])

        assert [line] == line.splitlines()
        line.encode()

    def test_a_long_field_is_cut_and_says_so(self) -> None:
        assert plain("x", a="b" * FIELD_CHARS_MAX).endswith("b" * 100)
        assert plain("x", a="b" * (FIELD_CHARS_MAX + 1)).endswith(f"b{CUT}")

    def test_so_is_a_long_line(self) -> None:
        line = plain("x" * (LINE_CHARS_MAX + 1))

        assert line.endswith(CUT)
        assert len(line) == LINE_CHARS_MAX + len(CUT)

    def test_a_stack_stands_below_and_what_is_foreign_in_it_is_escaped(self) -> None:
        line = plain("action failed", exc_info=caught(ValueError("bad\x1b[2J")))

        assert "Traceback (most recent call last)" in line
        assert r"ValueError: bad\x1b[2J" in line

    def test_a_stack_cannot_pretend_to_be_a_line_of_its_own(self) -> None:
        forged = "2026-01-01 00:00:00.000 ERROR tautomer.auth: all is well"
        first, *others = plain("action failed", exc_info=caught(ValueError(f"bad\n{forged}"))).split("\n")

        assert first.endswith("action failed")
        assert f"  {forged}" in others
        assert all(line.startswith("  ") for line in others)

    def test_what_turns_the_direction_of_reading_is_escaped(self) -> None:
        assert plain("x", a="\u202eb\u2066\u200f").endswith(r"a=\u202eb\u2066\u200f")

    def test_a_value_that_cannot_be_shown_does_not_lose_the_line(self) -> None:
        assert plain("x", a=Unspeakable()).endswith("a=<Unspeakable whose repr failed>")

    def test_no_stack_where_there_is_none(self) -> None:
        assert [1] * 2 == [len(plain("x", exc_info=nothing).splitlines()) for nothing in (None, (None, None, None))]


class TestJson:
    def test_has_the_same_as_an_object(self) -> None:
        made = record("packet %s", "dropped", reason="sender", count=5, share=0.5, again=True, node=None)
        made.created = 1795244764.6815

        assert {
            "ts": 1795244764681,
            "level": "warning",
            "logger": "tautomer.transit",
            "msg": "packet dropped",
            "reason": "sender",
            "count": 5,
            "share": 0.5,
            "again": True,
            "node": None,
        } == json.loads(JsonFormatter().format(made))

    @pytest.mark.slow
    @given(json_values(st.text(max_size=20)))
    def test_any_field_is_valid_json_on_one_line(self, value: Any) -> None:
        as_json("x", field=value)

    @pytest.mark.parametrize(
        "value",
        [float("nan"), float("inf"), 10**30, 10**5_000, b"\xff", object(), {"a": float("nan")}],
        ids=lambda value: type(value).__name__,
    )
    def test_so_is_what_json_cannot_say(self, value: Any) -> None:
        assert isinstance(as_json("x", field=value)["field"], str)

    def test_a_value_that_cannot_be_shown_does_not_lose_the_line(self) -> None:
        assert "<Unspeakable whose repr failed>" == as_json("x", a=Unspeakable())["a"]

    def test_a_field_cannot_stand_in_for_what_every_line_has(self) -> None:
        line = as_json("x", ts=5, level="debug", logger="other", stack="forged", exc_info=caught(ValueError("bad")))

        assert ("warning", "tautomer.transit") == (line["level"], line["logger"])
        assert 5 != line["ts"]
        assert "ValueError: bad" in line["stack"]

    def test_a_long_field_is_cut_and_says_so(self) -> None:
        line = as_json("x" * (LINE_CHARS_MAX + 1), a="b" * (FIELD_CHARS_MAX + 1))

        assert (line["msg"][-6:], line["a"][-6:]) == (CUT, CUT)


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


def caught(error: Exception) -> Any:
    try:
        raise error
    except Exception:
        return sys.exc_info()


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """The package's logger, put back as it was afterwards."""
    found = logging.getLogger("tautomer")
    before = (list(found.handlers), found.level, found.propagate)
    yield found
    found.handlers[:], found.propagate = before[0], before[2]
    found.setLevel(before[1])


Captured = pytest.CaptureFixture[str]


class TestConfigure:
    def test_twice_changes_and_does_not_double(self, logger: logging.Logger, capsys: Captured) -> None:
        configure("INFO")
        configure("debug", "JSON")
        logger.debug("once")

        (line,) = capsys.readouterr().err.splitlines()
        assert "once" == json.loads(line)["msg"]

    def test_says_what_is_at_the_level_and_above(self, logger: logging.Logger, capsys: Captured) -> None:
        configure("WARNING")
        logger.getChild("transit").info("not this")
        logger.getChild("transit").warning("this")

        assert ["this"] == [line.split(": ")[-1] for line in capsys.readouterr().err.splitlines()]

    def test_leaves_handlers_of_others_alone(self, logger: logging.Logger) -> None:
        other = logging.NullHandler()
        logger.addHandler(other)
        configure("INFO")
        configure("INFO")

        assert other in logger.handlers
        assert 1 == sum(getattr(handler, "of_tautomer", False) for handler in logger.handlers)

    def test_does_not_say_it_again_through_the_root(self, logger: logging.Logger) -> None:
        configure("INFO")

        assert not logger.propagate

    @pytest.mark.parametrize(
        ("name", "level"), [("warn", logging.WARNING), ("fatal", logging.CRITICAL), ("trace", logging.DEBUG)]
    )
    def test_nodes_names_are_known_too(self, logger: logging.Logger, name: str, level: int) -> None:
        configure(name)

        assert level == logger.level

    def test_an_unknown_level_is_refused_with_those_that_are_known(
        self, logger: logging.Logger, capsys: Captured
    ) -> None:
        with pytest.raises(ValueError, match="'loud' is not known; known: DEBUG, INFO"):
            configure("loud")

        assert "" == capsys.readouterr().err
