"""Query strings as `qs` reads them (gateway reference, section 3.3). The expected values are what `qs` 6.17 gave."""

from __future__ import annotations

from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BadRequestError
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.query import QueryValue, parse_query

AS_QS = {
    "": {},
    "a": {"a": ""},
    "a=": {"a": ""},
    "=a": {},
    "&&a=1&": {"a": "1"},
    "a=1": {"a": "1"},
    "a=1&b=2": {"a": "1", "b": "2"},
    "a=1&a=2": {"a": ["1", "2"]},
    "a==1": {"a": "=1"},
    "a=b=c": {"a": "b=c"},
    "a+b=c+d": {"a b": "c d"},
    "a=%2B": {"a": "+"},
    "a=%C3%A9&%C3%A9=1": {"a": "é", "é": "1"},
    "a=%": {"a": "%"},
    "a=%zz+b": {"a": "%zz b"},
    "a=%41%zz": {"a": "%41%zz"},
    "a=%ff": {"a": "%ff"},
    "a=%00": {"a": "\x00"},
    "a.b=1": {"a.b": "1"},
    "a[]=1": {"a": ["1"]},
    "a[]=1&a[]=2": {"a": ["1", "2"]},
    "a[]": {"a": [""]},
    "a%5B%5D=1&a%5b%5d=2": {"a": ["1", "2"]},
    "a[1]=x&a[0]=y": {"a": ["y", "x"]},
    "a[5]=x&a[2]=y": {"a": ["y", "x"]},
    "a[19]=x": {"a": ["x"]},
    "a[20]=x": {"a": {"20": "x"}},
    "a[0]=x&a[20]=y": {"a": {"0": "x", "20": "y"}},
    "a[100]=x": {"a": {"100": "x"}},
    "a[01]=x": {"a": {"01": "x"}},
    "a[-1]=x": {"a": {"-1": "x"}},
    "a[b]=1": {"a": {"b": "1"}},
    "a[b][c]=1&a[b][d]=2": {"a": {"b": {"c": "1", "d": "2"}}},
    "a[b][]=1&a[b][]=2": {"a": {"b": ["1", "2"]}},
    "a[0][b]=1&a[0][c]=2&a[1][b]=3": {"a": [{"b": "1", "c": "2"}, {"b": "3"}]},
    "a[][b]=1&a[][c]=2": {"a": [{"b": "1", "c": "2"}]},
    "a[][b]=1&a[][b]=2": {"a": [{"b": ["1", "2"]}]},
    "a[][]=1": {"a": ["1"]},
    "a[b][c][d][e][f]=1": {"a": {"b": {"c": {"d": {"e": {"f": "1"}}}}}},
    "a[b][c][d][e][f][g][h]=1": {"a": {"b": {"c": {"d": {"e": {"f": {"[g][h]": "1"}}}}}}},
    "a=1&a[b]=2": {"a": ["1", {"b": "2"}]},
    "a[b]=2&a=1": {"a": [{"b": "2"}, "1"]},
    "a=1&a[]=2": {"a": ["1", "2"]},
    "a[]=1&a=2": {"a": ["1", "2"]},
    "a[]=1&a[b]=2": {"a": {"0": "1", "b": "2"}},
    "a[b]=2&a[]=1": {"a": {"b": "2", "0": "1"}},
    "a[0]=1&a[]=2": {"a": ["1", "2"]},
    "a[b]=1&a[b]=2": {"a": {"b": ["1", "2"]}},
    "[a]=1": {"a": "1"},
    "[]=1&[]=2": {"0": "1", "1": "2"},
    "a[b=c]=d": {"a": {"b=c": "d"}},
    "a]=1": {"a]": "1"},
    "a[b]x[c]=1": {"a": {"b": {"c": "1"}}},
    "&".join("a[]=x" for _ in range(20)): {"a": ["x"] * 20},
    "&".join("a[]=x" for _ in range(21)): {"a": {str(n): "x" for n in range(21)}},
    "&".join("a[]=x" for _ in range(21)) + "&a=y": {"a": {**{str(n): "x" for n in range(21)}, "21": "y"}},
}


@pytest.mark.parametrize("text", AS_QS)
def test_a_query_is_read_as_qs_reads_it(text: str) -> None:
    assert AS_QS[text] == parse_query(text)


def test_names_that_mean_something_to_javascript_are_ordinary_keys() -> None:
    """There they are dropped."""
    query = parse_query("__proto__[x]=1&constructor=2&a[toString]=3&__class__=4")

    assert {"__proto__": {"x": "1"}, "constructor": "2", "a": {"toString": "3"}, "__class__": "4"} == query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[b=1", {"a": {"[b": "1"}}),
        ("a[b", {"a": {"[b": ""}}),
        ("a[b][c=1", {"a": {"b": {"[c": "1"}}}),
        ("a[[b]]=1", {"a": {"[b]": "1"}}),
        ("a[b[c]d][e]=1", {"a": {"b[c]d": {"e": "1"}}}),
        ("a[b]c=1", {"a": {"b": "1"}}),
        ("a]b=1", {"a]b": "1"}),
        ("a[b][c][d][e][f][g][h=1", {"a": {"b": {"c": {"d": {"e": {"f": {"[g][h": "1"}}}}}}}),
    ],
)
def test_odd_brackets_are_read_as_newer_versions_of_qs_read_them(text: str, expected: object) -> None:
    assert expected == parse_query(text)


@pytest.mark.parametrize(
    ("charset", "text", "expected"),
    [
        ("latin-1", "a=%E9%20%C3%A9+x", {"a": "é Ã© x"}),
        ("cp1252", "a=%80", {"a": "€"}),
        ("latin-1", "%E9[%FC]=1", {"é": {"ü": "1"}}),
        ("latin-1", "a=%E9%zz%4", {"a": "é%zz%4"}),
        ("cp1252", "a=x%81", {"a": "x%81"}),
        ("ascii", "a=%C3%A9", {"a": "é"}),
        ("utf-16", "a=%C3%A9", {"a": "é"}),
    ],
)
def test_escapes_are_in_the_charset_of_the_form(charset: str, text: str, expected: object) -> None:
    assert expected == parse_query(text, charset=charset)


def test_a_repeated_plain_name_stays_a_list_however_long() -> None:
    """There it becomes an object from the 21st on, which no service expects."""
    assert {"a": ["x"] * 25} == parse_query("&".join("a=x" for _ in range(25)))


@pytest.mark.parametrize(
    "text",
    [
        "&".join("a=1" for _ in range(1001)),
        "&" * 1000,
        "a" + "[b]" * 11 + "=1",
        "a" + "%5Bb%5D" * 11 + "=1",
        "a[101]=1",
        "a[b][999]=1",
        "a[" + "1" * 10_000 + "]=1",
    ],
    ids=["pairs", "empty pairs", "depth", "escaped depth", "index", "inner index", "huge index"],
)
def test_too_much_is_refused_not_cut(text: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        parse_query(text)

    assert (400, "TOO_MANY_PARAMS") == (caught.value.code, caught.value.type)


@pytest.mark.parametrize("text", ["&".join(f"a{n}=1" for n in range(1000)), "a" + "[b]" * 10 + "=1", "a[100]=1"])
def test_as_much_as_may_be_is_let_in(text: str) -> None:
    assert parse_query(text)


def test_limits_may_be_set_and_turned_off() -> None:
    with pytest.raises(BadRequestError):
        parse_query("a=1&b=2", HttpLimits(pairs_max=1))
    with pytest.raises(BadRequestError):
        parse_query("a[b][c]=1", HttpLimits(pair_depth_max=1))

    off = HttpLimits(pairs_max=0, pair_depth_max=0)
    assert 5000 == len(parse_query("&".join(f"a{n}" for n in range(5000)), off))
    assert {"a": {"b": {"c": {"d": {"e": {"f": {"[g]" * 10: "1"}}}}}}} == parse_query(
        "a[b][c][d][e][f]" + "[g]" * 10 + "=1", off
    )


def strings_of(value: QueryValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [text for item in items for text in strings_of(item)]


keys = st.builds(
    lambda name, brackets: name + "".join(brackets),
    st.sampled_from(["a", "b", ""]),
    st.lists(st.sampled_from(["[]", "[0]", "[1]", "[19]", "[20]", "[x]", "[y]"]), max_size=6),
)


@pytest.mark.slow
@given(st.lists(st.tuples(keys, st.text("xyz", min_size=1, max_size=3)), max_size=30))
def test_no_value_is_lost_and_all_are_strings(pairs: list[tuple[str, str]]) -> None:
    query = parse_query("&".join(f"{key}={value}" for key, value in pairs))

    assert sorted(value for key, value in pairs if key) == sorted(strings_of(query))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except BadRequestError:
        query = {}

    assert all(isinstance(value, str) for value in strings_of(query))


flat = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: "[" not in text)


@pytest.mark.slow
@given(st.dictionaries(flat, st.text(st.characters(codec="utf-8")), max_size=20))
def test_what_a_form_writes_is_read_back(pairs: dict[str, str]) -> None:
    text = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs.items())

    assert pairs == parse_query(text)
