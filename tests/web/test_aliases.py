"""Aliases: what people write, and what is meant."""

from __future__ import annotations

import pytest

from tautomer.web.routing.aliases import AliasDef, AliasError, base_paths, join_path, parse_alias, parse_rest


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("GET /users", "users.list", AliasDef("GET", "/users", "users.list")),
        ("GET users", "users.list", AliasDef("GET", "users", "users.list")),
        ("GET  \t /users", "users.list", AliasDef("GET", "/users", "users.list")),
        ("get /users", "users.list", AliasDef("GET", "/users", "users.list")),
        ("/users", "users.list", AliasDef("*", "/users", "users.list")),
        ("* /users", "users.list", AliasDef("*", "/users", "users.list")),
        ("OPTIONS /users", "users.methods", AliasDef("OPTIONS", "/users", "users.methods")),
        ("GET /", {"action": "home.show"}, AliasDef("GET", "/", "home.show")),
        ("GET /", {"action": "a.b", "type": "call"}, AliasDef("GET", "/", "a.b")),
        ("GET /", "call:a.b", AliasDef("GET", "/", "a.b")),
        ("/x", {"action": "a.b", "method": "PUT", "path": "/y"}, AliasDef("PUT", "/y", "a.b")),
        ("GET /x", {"action": "a.b", "fullPath": "/z"}, AliasDef("GET", "/x", "a.b", "/z")),
        ("GET /x", {"action": "a.b", "full_path": "/z"}, AliasDef("GET", "/x", "a.b", "/z")),
        ("GET /x", len, AliasDef("GET", "/x", "len", handler=len)),
        ("GET /x", {"handler": len}, AliasDef("GET", "/x", "len", handler=len)),
        ("GET /x", [len, abs, "a.b"], AliasDef("GET", "/x", "a.b", stages=(len, abs))),
        ("GET /x", ["a.b", len], AliasDef("GET", "/x", "a.b", stages=(len,))),
        ("GET /x", ["x.y", len, "call:a.b"], AliasDef("GET", "/x", "a.b", stages=(len,))),
        ("GET /x", [None, "a.b"], AliasDef("GET", "/x", "a.b")),
        ("GET /x", (len, abs), AliasDef("GET", "/x", "abs", handler=abs, stages=(len,))),
        ("GET /x", {"action": "a.b", "passReqResToParams": True}, AliasDef("GET", "/x", "a.b", passes_request=True)),
        ("GET /x", {"action": "a.b", "roles": ["x"]}, AliasDef("GET", "/x", "a.b", options={"roles": ["x"]})),
    ],
)
def test_an_entry_is_one_alias(key, value, expected):
    assert [expected] == parse_alias(key, value)


def test_rest_is_six_aliases():
    assert [
        AliasDef("GET", "/users", "users.list"),
        AliasDef("GET", "/users/:id", "users.get"),
        AliasDef("POST", "/users", "users.create"),
        AliasDef("PUT", "/users/:id", "users.update"),
        AliasDef("PATCH", "/users/:id", "users.patch"),
        AliasDef("DELETE", "/users/:id", "users.remove"),
    ] == parse_alias("REST /users", "users")


def test_whatever_a_rest_alias_says_holds_for_all_of_its_six():
    made = parse_alias("REST /x", {"action": "a", "fullPath": "/whole", "roles": ["x"]})

    assert {"/whole", "/whole/:id"} == {alias.full_path for alias in made}
    assert [{"roles": ["x"]}] * 6 == [alias.options for alias in made]
    assert [(len,)] * 6 == [alias.stages for alias in parse_alias("REST /x", [len, "a"])]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": ["list", "get"]}, ["list", "get"]),
        ({"only": "get"}, ["get"]),
        ({"except": ["remove"]}, ["list", "get", "create", "update", "patch"]),
        ({"only": ["list", "get"], "except": ["get"]}, ["list"]),
        ({}, ["list", "get", "create", "update", "patch", "remove"]),
    ],
)
def test_rest_is_cut_down_by_only_and_then_by_except(options, expected):
    made = parse_alias("REST /users/:uid/posts", {"action": "posts", **options})

    assert [f"posts.{name}" for name in expected] == [alias.action for alias in made]


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("GET /x", 5, "leads to an action name"),
        ("GET /x", None, "leads to an action name"),
        ("GET /x", "", "names no action"),
        ("GET /x", {}, "names no action"),
        ("GET /x", {"action": 5}, "names no action"),
        ("GET /x", {"actoin": "a.b"}, "did you mean 'action'"),
        ("GET /x", [], "the list is empty"),
        ("GET /x", [len, 5], "a list holds functions and an action name, not 5"),
        ("GET /x", [len, ["a.b"]], "a list holds functions and an action name"),
        ("GET /x", {"handler": "a.b"}, "'handler' is a function"),
        ("GET /x", {"handler": len, "action": "a.b"}, "only one can answer"),
        ("GET /x", {"handler": len, "passReqResToParams": True}, "gets the request anyway"),
        ("GET /x", {"action": "a.b", "passReqResToParams": "yes"}, "is true or false"),
        ("GET /x", {"action": "a.b", "busboyConfig": 5}, "'busboyConfig' is a mapping"),
        ("GET /x", {"action": "a.b", "busboyConfig": {}}, "belongs to an alias of type"),
        ("REST /x", len, "not to a function"),
        ("REST /x", [len, len], "not to a function"),
        ("REST /x", {"action": 5}, "names no action"),
        ("POST /x", "socket:a.b", "'socket' is not an alias type"),
        ("POST /x", {"action": "a.b", "type": 5}, "5 is not an alias type"),
        ("POST /x", {"action": "multipart:a.b", "type": "stream"}, "is of type 'multipart' by its action"),
        ("REST x", "stream:a", "a REST alias cannot be of type 'stream'"),
        ("POST /x", {"action": "a.b", "busboyConfig": {}}, "'busboyConfig' belongs to an alias of type"),
        ("POST /x", {"action": "stream:a.b", "busboyConfig": 5}, "'busboyConfig' is a mapping"),
        ("POST /x", "nonsense:a.b", "not an alias type"),
        ("G=T /x", "a.b", "not an HTTP method"),
        ("TRACE /x", "a.b", "TRACE is never answered"),
        ("CONNECT /x", "a.b", "CONNECT is never answered"),
        ("", "a.b", "is not 'METHOD /path'"),
        (5, "a.b", "is not 'METHOD /path'"),
        ("GET /x", {"action": "a.b", "only": ["get"]}, "belong to a REST alias"),
        ("REST /x", {"action": "a", "only": []}, "lead nowhere"),
        ("REST /x", {"action": "a", "only": ["gte"]}, "is a list of list, get"),
        ("REST /x", {"action": "a", "except": [["x"]]}, "is a list of list, get"),
        ("REST /x", {"action": "a", "method": "GET"}, "no meaning for a REST alias"),
        ("/x", {"action": "a", "method": "REST"}, "REST belongs into the key"),
        ("/x", {"action": "a", "path": 5}, "'path' is a text"),
    ],
)
def test_a_wrong_entry_says_what_would_be_right(key, value, reason):
    with pytest.raises(AliasError) as raised:
        parse_alias(key, value)

    assert reason in str(raised.value)


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("GET /:id", [("GET", "/v2/users/:id", None)]),
        ("GET /", [("GET", "/v2/users", None)]),
        ("/x", [("*", "/v2/users/x", None)]),
        ({"method": "POST", "path": "/x"}, [("POST", "/v2/users/x", None)]),
        ({"method": "post"}, [("POST", "/v2/users/own", None)]),
        ({}, [("*", "/v2/users/own", None)]),
        ({"path": "/x", "basePath": "/other"}, [("*", "/other/x", None)]),
        ({"path": "/x", "fullPath": "/whole"}, [("*", "/x", "/whole")]),
        (["GET /a", {"method": "PUT", "path": "b"}], [("GET", "/v2/users/a", None), ("PUT", "/v2/users/b", None)]),
        ({"method": "GET", "path": "/x", "type": "call"}, [("GET", "/v2/users/x", None)]),
    ],
)
def test_a_rest_annotation_is_put_below_the_base_of_its_service(rest, expected):
    made = list(parse_rest(rest, ["v2/users"], "own", "v2.users.own"))

    assert [AliasDef(method, path, "v2.users.own", full, True) for method, path, full in expected] == made


def test_an_annotations_own_keys_are_kept_but_those_that_would_open_a_door():
    (made,) = parse_rest({"path": "/x", "openapi": {"a": 1}, "authorization": False}, ["/s"], "x", "s.x")

    assert AliasDef("*", "/s/x", "s.x", None, True, options={"openapi": {"a": 1}}) == made


def test_every_base_path_gets_an_alias():
    made = list(parse_rest("GET /x", ["/a", "/b"], "x", "s.x"))

    assert ["/a/x", "/b/x"] == [alias.path for alias in made if isinstance(alias, AliasDef)]


@pytest.mark.parametrize(
    "rest", [5, True, ["GET /a", 7], {"method": 3}, {"path": []}, {"type": "sock"}, "G?T /x", [""], " "]
)
def test_a_wrong_annotation_comes_out_as_an_error_and_spares_its_neighbours(rest):
    made = list(parse_rest(rest, [""], "x", "s.x"))

    assert 1 == sum(isinstance(one, AliasError) for one in made)
    assert len(made) - 1 == sum(isinstance(one, AliasDef) for one in made)


def test_a_flood_of_annotations_is_cut():
    made = list(parse_rest(["GET /x"] * 1_000, [""], "x", "s.x"))

    assert 101 == len(made)


@pytest.mark.parametrize(
    ("rest", "settings", "expected"),
    [
        (None, {}, ["v2/users"]),
        (None, {"$noVersionPrefix": True}, ["users"]),
        ("/people", {}, ["/people"]),
        (["/people", "/users"], {}, ["/people", "/users"]),
        ("", {}, [""]),
        (["/a", 5], {}, ["/a"]),
        (5, {}, ["v2/users"]),
    ],
)
def test_the_base_path_is_the_service_setting_or_its_full_name(rest, settings, expected):
    assert expected == base_paths(rest, "v2.users", "users", settings)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [(["", ""], "/"), (["/", "/"], "/"), (["/api/", "users"], "/api/users"), (["api//v1", "//x//"], "/api/v1/x")],
)
def test_joined_paths_have_one_slash_between(parts, expected):
    assert expected == join_path(*parts)
