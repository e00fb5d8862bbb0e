"""Wildcards: the table of the protocol reference (section 5.3), and two oracles."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tautomer.registry.matching import matcher, matches


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("user.*", "user.created", True),
        ("user.*", "user.", True),
        ("user.*", "user.a.b", False),
        ("user.**", "user.a.b", True),
        ("user.**", "user", False),
        ("user**", "userx.y", True),
        ("user**", "user", True),
        ("user*", "user.x", True),
        ("user*", "userx.y", False),
        ("**.c", "c", False),
        ("*", "$x", True),
        ("a.c?", "axcd", True),
    ],
)
def test_the_table_of_the_reference(pattern: str, text: str, expected: bool) -> None:
    assert expected is matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("user.created", "user.created", True),
        ("user.created", "user.createdx", False),
        ("user.created", "userxcreated", False),
        ("", "", True),
        ("*", "", True),
        ("*", "a.b", False),
        ("**", "", True),
        ("**", "a.b.c", True),
        ("*.created", "user.created", True),
        ("*.created", "a.user.created", False),
        ("**.created", "a.user.created", True),
        ("user.*.created", "user.5.created", True),
        ("user.*.created", "user.5.6.created", False),
        ("user.**.created", "user.5.6.created", True),
        ("?", "a", True),
        ("?", "", False),
        ("?", "ab", False),
        ("?", ".", True),
        ("user.?", "user.x", True),
        ("user.?", "user.", False),
        ("u*r.*", "user.x", True),
        ("u*r.*", "us.r.x", False),
        ("***", "a.b", True),
        ("a***", "a.b", True),
        ("$node.*", "$node.connected", True),
        ("a+b(c)[d]*", "a+b(c)[d]x", True),
        ("a|b*?", "b1", False),
        ("a\\d*?", "a5x", False),
        ("a\n*?", "a\nxy", True),
    ],
)
def test_more_of_the_same_rules(pattern: str, text: str, expected: bool) -> None:
    assert expected is matches(pattern, text)


def naive(pattern: str, text: str) -> bool:
    """The rules as they are told, by trying everything; without Node's quirks."""
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(naive(pattern[2:], text[at:]) for at in range(len(text) + 1))
    if pattern[0] == "*":
        run = len(text.split(".")[0])
        return any(naive(pattern[1:], text[at:]) for at in range(run + 1))
    return bool(text) and pattern[0] in ("?", text[0]) and naive(pattern[1:], text[1:])


@given(pattern=st.text("ab*?", max_size=7), text=st.text("ab.", max_size=8))
def test_patterns_without_dots_mean_what_the_rules_say(pattern: str, text: str) -> None:
    """Outside the quirks: those concern the dot of a pattern, and a dot right after a prefix with one star."""
    assume(not (pattern.count("*") == 1 and pattern.endswith("*") and "?" not in pattern and len(pattern) > 1))

    assert naive(pattern, text) is matches(pattern, text)


SEGMENTS = st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=3).map(".".join)


@given(head=SEGMENTS, tail=st.sampled_from(["", ".*", ".**"]), text=SEGMENTS)
def test_patterns_of_whole_segments_mean_what_the_rules_say(head: str, tail: str, text: str) -> None:
    assert naive(head + tail, text) is matches(head + tail, text)
    assert naive(head + tail, f"{head}.{text}") is matches(head + tail, f"{head}.{text}")


def as_node(pattern: str, text: str) -> bool:
    """Node's way, quirks and all: two short cuts, else a regular expression in which a dot stays a dot."""
    if "?" not in pattern:
        stars = pattern.find("*")
        if stars < 0:
            return pattern == text
        if pattern == "**":
            return True
        if pattern == "*":
            return "." not in text
        if pattern.endswith("**") and stars == len(pattern) - 2:
            return text.startswith(pattern[:-2])
        if pattern.endswith("*") and stars == len(pattern) - 1:
            return text.startswith(pattern[:-1]) and text.find(".", len(pattern)) < 0
    expression = pattern.replace("?", ".").replace("**", "\0").replace("*", "[^.]*").replace("\0", ".*")
    return re.fullmatch(expression, text) is not None


@given(pattern=st.text("ab.*?", max_size=8), text=st.text("ab.", max_size=8))
def test_every_pattern_means_what_it_means_in_node(pattern: str, text: str) -> None:
    assert as_node(pattern, text) is matches(pattern, text)


@pytest.mark.parametrize("pattern", ["**a" * 80 + "b", "*a" * 100 + "b", "**" * 120 + "b", "a*" * 100 + "?b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    """As regular expressions these would try for years."""
    hears = matcher(pattern)

    assert not hears("a" * 255)
    assert not hears("a." * 127)
