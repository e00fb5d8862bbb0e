"""Path patterns: what matches what, and who wins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.routing.patterns import ANY_METHOD, METHODS, PatternError, fold, parse_patterns
from tautomer.web.routing.table import PatternTable


def table(*patterns: str, declared: bool = False, sensitive: bool = False) -> PatternTable[str]:
    """Each pattern is its own target; ``GET /x`` or ``/x`` for all methods."""
    made: PatternTable[str] = PatternTable(declared)
    for pattern in patterns:
        method, _, path = pattern.rpartition(" ")
        for one in parse_patterns(path, sensitive=sensitive):
            made.add(method or ANY_METHOD, one, pattern)
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
        ("/range/{from}-{to}", "/range/1-2-3", {"from": "1-2", "to": "3"}),
        ("/range/{a}-{b}-{c}", "/range/1--2-3-4", {"a": "1--2", "b": "3", "c": "4"}),
        ("/range/{from}-{to}", "/range/---", {"from": "-", "to": "-"}),
        ("/v:version/x", "/V2/x", {"version": "2"}),
        ("/static/*rest", "/static/css/a.css", {"rest": "css/a.css"}),
        ("/static/*rest", "/static/a/", {"rest": "a"}),
        ("/*all", "/a/b", {"all": "a/b"}),
        ("/straße", "/straße", {}),
        ("/static/{rest:path}", "/static/css/a.css", {"rest": "css/a.css"}),
        ("/users{/:id}", "/users/5", {"id": "5"}),
        ("/users{/:id}", "/users", {}),
        ("/users{/{id}}", "/users/5", {"id": "5"}),
        ("/files/:name{.:ext}", "/files/a.txt", {"name": "a", "ext": "txt"}),
        ("/files/:name{.:ext}", "/files/a", {"name": "a"}),
        ("/a{/b{/:c}}", "/a/b/1", {"c": "1"}),
        ("/a{/b{/:c}}", "/a/b", {}),
        ("/a{/b{/:c}}", "/a", {}),
        ("{/:a}{/:b}", "/1/2", {"a": "1", "b": "2"}),
        ("{/:a}{/:b}", "/1", {"a": "1"}),
        ("{/:a}{/:b}", "/", {}),
        ("/static{/*rest}", "/static", {}),
        ("/static{/*rest}", "/static/a/b", {"rest": "a/b"}),
        ("/opt/:name?", "/opt", {}),
        ("/opt/:name?", "/opt/x", {"name": "x"}),
        ("/:lang?/help", "/help", {}),
        ("/:lang?/help", "/de/help", {"lang": "de"}),
        ("/a-:x?", "/a", {}),
        ("/a-:x?", "/a-1", {"x": "1"}),
        ("/some/:rest*", "/some", {}),
        ("/some/:rest*", "/some/a/b", {"rest": "a/b"}),
        ("/some/:rest+", "/some/a/b", {"rest": "a/b"}),
        ("/some/:rest(.*)", "/some/a/b", {"rest": "a/b"}),
        ("/some/(.*)", "/some/a/b", {"0": "a/b"}),
        (r"/users/:id(\d+)", "/users/57", {"id": "57"}),
        (r"/users/:id(\d+)?", "/users", {}),
        (r"/v:major(\d+).:minor(\d+)", "/v1.12", {"major": "1", "minor": "12"}),
        ("/users/:id([a-f]{2,4})", "/users/AbC", {"id": "AbC"}),
        ("/size/:of(big|small(?:er)?)", "/size/smaller", {"of": "smaller"}),
        (r"/v1/users\:batch", "/v1/users:batch", {}),
        (r"/a\{b\}/:c", "/a{b}/1", {"c": "1"}),
        ('/a/:"user-id"', "/a/1", {"user-id": "1"}),
        ("/:größe", "/5", {"größe": "5"}),
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
        ("/users{/:id}", "/users/5/6"),
        ("/users{/:id}", "/users//"),
        ("/some/:rest+", "/some"),
        (r"/users/:id(\d+)", "/users/5a"),
        (r"/users/:id(\d+)", "/users/\u0665"),  # A digit to Unicode, not to JavaScript's `\d`.
        (r"/users/:id(\d+)", "/users/" + "5" * 257),
        ("/users/:id(k)", "/users/\u212a"),
        (r"/users/:id(\d+)", "/users/5\n"),
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
        (["/users/:id", r"/users/:id(\d+)"], "/users/5", r"/users/:id(\d+)"),
        (["/users/:id", r"/users/:id(\d+)"], "/users/x", "/users/:id"),
        (["/users{/:id}", "/users"], "/users", "/users{/:id}"),
        (["/users{/:id}", "/users/me"], "/users/me", "/users/me"),
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

    assert patterns.add("GET", *parse_patterns("/a"), "first")
    assert patterns.add("*", *parse_patterns("/A"), "second")
    assert not patterns.add("*", *parse_patterns("/a"), "third")
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
        "/opt{/:name",
        "/opt/:name}",
        "/a{}",
        "/a{/:x}{/:y}{/:z}{/:u}{/:v}{/:w}",
        "/a?",
        "/a/:id??",
        "/a:id+",
        "/a/:id+/b",
        "/a/{rest:path}/b",
        "/a/(.*)/b",
        "/a(.*)",
        "/a/(\\d+)",
        "/a/:id(\\d+",
        "/a/:id()",
        "/a/:id((a)b)",
        "/a/:id((?=a)b)",
        "/a/:id((?:a+)+)",
        "/a/:id((?:a|a)*)",
        "/a/:id((?:a){9})",
        "/a/:id(a*a*a*a*)",
        "/a/:id(*)",
        "/a/:id([[a])",
        "/a/:id(a{99999999999})",
        "/a/:id(" + "a" * 101 + ")",
        "/a/:a(\\d+):b(\\d+)",
        "/a/[b]",
        "/a\\",
        "/a\\/b",
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
        parse_patterns(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/a/:id(\\d+)", "only the gateway's own settings"), ("/a{/:x}{/:y}{/:z}", "more than 2 optional parts")],
)
def test_what_a_peer_writes_may_cost_less(path, reason):
    assert parse_patterns(path)
    with pytest.raises(PatternError, match=reason):
        parse_patterns(path, trusted=False)


def test_older_spellings_are_open_to_peers():
    assert 2 == len(parse_patterns("/a/:rest(.*)", trusted=False) + parse_patterns("/b/:rest+", trusted=False))


def test_case_counts_where_it_is_asked_for():
    made = table("/Users/:id", "/Users/:name.JSON", "/Fix", r"/Code/:c([A-Z]+)", sensitive=True)

    assert ("/Users/:id", {"id": "a"}) == made.match("GET", "/Users/a")
    assert ("/Users/:name.JSON", {"name": "a"}) == made.match("GET", "/Users/a.JSON")
    assert ("/Users/:id", {"id": "a.json"}) == made.match("GET", "/Users/a.json")
    assert ("/Fix", {}) == made.match("GET", "/Fix/")
    assert [None, None, None] == [made.match("GET", path) for path in ("/users/a", "/fix", "/Code/abc")]


def test_text_of_which_the_case_counts_is_as_specific_as_other_text():
    made: PatternTable[str] = PatternTable()
    made.add("GET", *parse_patterns("/:any"), "any")
    made.add("GET", *parse_patterns("/Fix", sensitive=True), "fix")
    made.add("GET", *parse_patterns("/users/:id"), "user")

    found = [made.match("GET", path) for path in ("/Fix", "/fix", "/USERS/5")]

    assert [("fix", {}), ("any", {"any": "fix"}), ("user", {"id": "5"})] == found


@pytest.mark.parametrize(
    ("patterns", "path", "winner"),
    [
        (["/users/:id", "/users/me"], "/users/me", "/users/:id"),
        (["/*rest", "/users/me"], "/users/me", "/*rest"),
        (["/users/me", "/*rest"], "/users/me", "/users/me"),
        (["POST /users/:id", "GET /users/me", "GET /*rest"], "/users/me", "GET /users/me"),
        (["/users{/:id}", "/users"], "/users", "/users{/:id}"),
        (["/", "/*rest"], "/", "/"),
        (["/:a/x", "/b/:c"], "/b/x", "/:a/x"),
    ],
)
def test_in_the_order_of_declaration_the_first_that_fits_wins(patterns, path, winner):
    found = table(*patterns, declared=True).match("GET", path)

    assert isinstance(found, tuple)
    assert winner == found[0]


SEGMENT = st.text(st.sampled_from("aAbB.-~$@é"), min_size=1, max_size=3).filter(lambda text: text not in (".", ".."))


@given(segments=st.lists(SEGMENT, min_size=1, max_size=4), values=st.lists(st.booleans(), min_size=4, max_size=4))
def test_any_pattern_matches_the_path_it_was_made_of(segments, values):
    pattern = "/" + "/".join(f":v{i}" if values[i] else text for i, text in enumerate(segments))
    expected = {f"v{i}": text for i, text in enumerate(segments) if values[i]}

    found = table(pattern).match("GET", "/" + "/".join(segments))

    assert (pattern, expected) == found


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
