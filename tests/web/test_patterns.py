"""Path patterns: what matches what, and who wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.patterns import ANY_METHOD, METHODS, PatternError, PatternTable, fold, parse_pattern


def table(*patterns: str) -> PatternTable[str]:
    """Each pattern is its own target; ``GET /x`` or ``/x`` for all methods."""
    made: PatternTable[str] = PatternTable()
    for pattern in patterns:
        method, _, path = pattern.rpartition(" ")
        made.add(method or ANY_METHOD, parse_pattern(path), pattern)
    return made


@pytest.mark.parametrize(
    ("pattern", "path", "values"),
    [
        ("/users", "/users", {}),
        ("/users", "/users/", {}),
        ("/users", "/USERS", {}),
        ("/Users", "/users", {}),
        ("/", "/", {}),
        ("/users/:id", "/users/5", {"id": "5"}),
        ("/users/{id}", "/users/5/", {"id": "5"}),
        ("/users/:id", "/users/AbC", {"id": "AbC"}),
        ("/users/:id", "/users/a.b", {"id": "a.b"}),
        ("/users/:uid/posts/:id", "/Users/1/Posts/2", {"uid": "1", "id": "2"}),
        ("/files/:name.json", "/files/a.JSON", {"name": "a"}),
        ("/files/:name.json", "/files/a.b.json", {"name": "a.b"}),
        ("/range/{from}-{to}", "/range/1-5", {"from": "1", "to": "5"}),
        ("/range/{from}-{to}", "/range/1-2-3", {"from": "1", "to": "2-3"}),
        ("/v:version/x", "/V2/x", {"version": "2"}),
        ("/static/*rest", "/static/css/a.css", {"rest": "css/a.css"}),
        ("/static/*rest", "/static/a/", {"rest": "a"}),
        ("/*all", "/a/b", {"all": "a/b"}),
        ("/straße", "/straße", {}),
    ],
)
def test_a_path_that_fits_gives_its_values(pattern, path, values):
    assert (pattern, values) == table(pattern).match("GET", path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/users", "/"),
        ("/users", "/users//"),
        ("/users", "//users"),
        ("/users", "/users/5"),
        ("/users", "/user"),
        ("/users", "/usersx"),
        ("/users", "/users.json"),
        ("/users", "/users;a=1"),
        ("/", "//"),
        ("/users/:id", "/users"),
        ("/users/:id", "/users/"),
        ("/users/:id", "/users/5/posts"),
        ("/users/:id", "/users//"),
        ("/users/:id/posts", "/users//posts"),
        ("/files/:name.json", "/files/.json"),
        ("/range/{from}-{to}", "/range/1-"),
        ("/range/{from}-{to}", "/range/-1"),
        ("/range/{from}-{to}", "/range/1"),
        ("/static/*rest", "/static"),
        ("/static/*rest", "/static/"),
        ("/static/*rest", "/static//etc/passwd"),
        ("/static/*rest", "/static/a//b"),
        ("/k", "/\u212a"),  # The Kelvin sign is a small k to `str.lower`.
        ("/STRASSE", "/straße"),
    ],
)
def test_a_path_that_does_not_fit_is_not_bent_until_it_does(pattern, path):
    assert None is table(pattern).match("GET", path)


@pytest.mark.parametrize(
    ("patterns", "path", "winner"),
    [
        (["/users/:id", "/users/me"], "/users/me", "/users/me"),
        (["/users/*rest", "/users/:id"], "/users/5", "/users/:id"),
        (["/users/*rest", "/users/:id"], "/users/5/x", "/users/*rest"),
        (["/files/:name", "/files/:name.json"], "/files/a.json", "/files/:name.json"),
        (["/files/:name", "/files/:name.json"], "/files/a.txt", "/files/:name"),
        ([":p/fixed", "lit/:q"], "/lit/fixed", "lit/:q"),
        (["lit/:q/x", ":p/fixed/y"], "/lit/fixed/y", ":p/fixed/y"),
        (["/a/b", "/a/B"], "/a/b", "/a/b"),
        (["/a/:x", "/a/:y"], "/a/1", "/a/:x"),
        (["DELETE /users/me", "GET /users/:id"], "/users/me", "GET /users/:id"),
    ],
)
def test_the_most_specific_pattern_with_the_method_wins_and_of_equals_the_first(patterns, path, winner):
    found = table(*patterns).match("GET", path)

    assert isinstance(found, tuple)
    assert winner == found[0]


def test_the_values_have_the_names_of_the_alias_that_matched():
    patterns = table("GET /users/:id", "PUT /users/:user")

    assert ("GET /users/:id", {"id": "5"}) == patterns.match("GET", "/users/5")
    assert ("PUT /users/:user", {"user": "5"}) == patterns.match("PUT", "/users/5")


@pytest.mark.parametrize("path", ["/users", "/users/5"])
def test_another_method_is_answered_by_those_that_there_are(path):
    patterns = table("GET /users", "POST /users", "GET /users/:id", "POST /users/:id")

    assert {"GET", "HEAD", "POST", "OPTIONS"} == patterns.match("DELETE", path)


def test_the_methods_of_every_pattern_that_fits_the_path_are_told():
    assert {"PUT", "DELETE", "OPTIONS"} == table("PUT /users/me", "DELETE /users/:id").match("POST", "/users/me")


def test_head_is_answered_by_get_unless_it_is_named():
    assert ("GET /a", {}) == table("GET /a").match("HEAD", "/a")
    assert ("HEAD /a", {}) == table("GET /a", "HEAD /a").match("HEAD", "/a")


@pytest.mark.parametrize("method", METHODS)
def test_an_alias_without_method_takes_every_usual_one(method):
    assert ("/a", {}) == table("/a").match(method, "/a")


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PROPFIND", "get", ""])
def test_an_alias_without_method_takes_no_rare_one(method):
    assert {*METHODS, "OPTIONS"} == table("/a").match(method, "/a")


def test_who_comes_later_gets_only_the_methods_that_are_left():
    patterns: PatternTable[str] = PatternTable()

    assert patterns.add("GET", parse_pattern("/a"), "first")
    assert patterns.add("*", parse_pattern("/A"), "second")
    assert not patterns.add("*", parse_pattern("/a"), "third")
    assert ("first", {}) == patterns.match("GET", "/a")
    assert ("second", {}) == patterns.match("POST", "/a")


@pytest.mark.parametrize(
    "path",
    [
        "/users/:",
        "/users/*",
        "/users/:1",
        "/a*rest",
        "/*rest/a",
        "/a/:b:c",
        "/a/{b}{c}",
        "/a/:x/:x",
        "/opt{/:name}",
        "/a/{b:path}",
        "/a/:id?",
        "/a/:id+",
        "/a/:id(\\d+)",
        "/a/[b]",
        "/a!",
        "/a b",
        "/a/../b",
        "/./a",
        "/a%20b",
        "/a#b",
        "/a\\b",
        "/a\x00",
        "/" + "a" * 1_025,
        "/a" * 65,
    ],
)
def test_what_is_no_pattern_is_refused_with_a_reason(path):
    with pytest.raises(PatternError, match=r".{10}"):
        parse_pattern(path)


SEGMENT = st.text(st.sampled_from("aAbB.-~$@é"), min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))


@given(segments=st.lists(SEGMENT, min_size=1, max_size=4), values=st.lists(st.booleans(), min_size=4, max_size=4))
def test_any_pattern_matches_the_path_it_was_made_of(segments, values):
    pattern = "/" + "/".join(f":v{i}" if values[i] else text for i, text in enumerate(segments))
    expected = {f"v{i}": text for i, text in enumerate(segments) if values[i]}

    found = table(pattern).match("GET", "/" + "/".join(segments))

    assert (pattern, expected) == found


@given(
    patterns=st.lists(st.lists(st.sampled_from(["a", "b", ":x"]), min_size=1, max_size=3), max_size=6),
    path=st.lists(st.sampled_from("abc"), min_size=1, max_size=3),
)
def test_the_table_finds_what_trying_each_pattern_finds(patterns, path):
    """Against a naive model: the fitting pattern whose first difference is text before a value."""
    fitting = [p for p in patterns if len(p) == len(path) and all(s in (":x", t) for s, t in zip(p, path, strict=True))]
    expected = min(fitting, key=lambda p: [segment == ":x" for segment in p], default=None)
    made: PatternTable[str] = PatternTable()
    for pattern in patterns:
        # One name cannot stand twice in a pattern.
        named = [f":x{i}" if segment == ":x" else segment for i, segment in enumerate(pattern)]
        made.add("GET", parse_pattern("/".join(named)), "/".join(pattern))

    found = made.match("GET", "/" + "/".join(path))

    assert (None if expected is None else "/".join(expected)) == (found[0] if isinstance(found, tuple) else None)


@given(path=st.text(max_size=60))
def test_no_path_at_all_breaks_the_table(path):
    made = table("/a", "/:x", "/a/*rest", "/{x}-{y}/b")

    found = made.match("GET", "/" + path)

    assert found is None or (isinstance(found, tuple) and all(found[1].values()))


@given(text=st.text())
def test_folding_touches_ascii_letters_only(text):
    folded = fold(text)

    assert len(text) == len(folded)
    assert all(a == b or (a.isascii() and a.lower() == b) for a, b in zip(text, folded, strict=True))
