"""The paths of `@http`: converters, what they take and what not, which rule is tried first."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import ServiceSchemaError
from tautomer.web.entrypoint.rules import RuleTable, parse_rule

ID = "09d594d1-f1b8-460f-ae2e-9794973769f0"

MATCHES: list[tuple[str, str, dict[str, Any] | None]] = [
    ("/", "/", {}),
    ("/", "/x", None),
    ("/users", "/users", {}),
    ("/users", "/users/", {}),
    ("/users/", "/users", {}),
    ("/users", "/users//", None),
    ("/users", "//users", None),
    ("/users", "/USERS", None),
    ("/users/<name>", "/users/ann", {"name": "ann"}),
    ("/users/<name>", "/users/é x", {"name": "é x"}),
    ("/users/<name>", "/users/", None),
    ("/users/<name>", "/users//a", None),
    ("/users/<name>", "/users/a/b", None),
    ("/users/{name}", "/users/ann", {"name": "ann"}),
    ("/users/:name", "/users/ann/", {"name": "ann"}),
    ("/files/{rest:path}", "/files/a/b", {"rest": "a/b"}),
    ("/<string(length=2):c>", "/de", {"c": "de"}),
    ("/<string(length=2):c>", "/deu", None),
    ("/<string(minlength=2,maxlength=3):c>", "/deut", None),
    ("/<string(minlength=2, maxlength=3):c>", "/deu", {"c": "deu"}),
    ("/u/<int:n>", "/u/007", {"n": 7}),
    ("/u/<int:n>", "/u/-5", None),
    ("/u/<int:n>", "/u/+5", None),
    ("/u/<int:n>", "/u/1_000", None),
    ("/u/<int:n>", "/u/ 1", None),
    ("/u/<int:n>", "/u/٣", None),
    ("/u/<int:n>", "/u/1\n", None),
    ("/u/<int:n>", "/u/" + "9" * 4300, {"n": int("9" * 4300)}),
    ("/u/<int:n>", "/u/" + "9" * 4301, None),
    ("/u/<int(signed=True):n>", "/u/-5", {"n": -5}),
    ("/u/<int(signed=True):n>", "/u/-0", {"n": 0}),
    ("/u/<int(min=2,max=4):n>", "/u/4", {"n": 4}),
    ("/u/<int(min=2,max=4):n>", "/u/5", None),
    ("/u/<int(min=2,max=4):n>", "/u/1", None),
    ("/u/<int(fixed_digits=3):n>", "/u/7", None),
    ("/u/<int(fixed_digits=3):n>", "/u/007", {"n": 7}),
    ("/u/<float:n>", "/u/1.5", {"n": 1.5}),
    ("/u/<float:n>", "/u/1", None),
    ("/u/<float:n>", "/u/1.", None),
    ("/u/<float:n>", "/u/.5", None),
    ("/u/<float:n>", "/u/1e5", None),
    ("/u/<float(signed=True, max=2.5):n>", "/u/-1.25", {"n": -1.25}),
    ("/u/<uuid:n>", f"/u/{ID}", {"n": uuid.UUID(ID)}),
    ("/u/<uuid:n>", f"/u/{ID.upper()}", {"n": uuid.UUID(ID)}),
    ("/u/<uuid:n>", f"/u/{ID.replace('-', '')}", None),
    ("/f/<path:p>", "/f/a//b/c", {"p": "a//b/c"}),
    ("/f/<path:p>", "/f/", None),
    ("/f/<path:p>", "/f//a", None),
    ("/f/<path:p>/edit", "/f/a/b/edit", {"p": "a/b"}),
    ("/o/<any(asc, desc):way>", "/o/desc", {"way": "desc"}),
    ("/o/<any(asc,desc):way>", "/o/descending", None),
    ("/o/<any(a,ab):way>", "/o/ab", {"way": "ab"}),
    ("/o/<any('x y',b):way>", "/o/x y", {"way": "x y"}),
    ("/a/<x>-<y>", "/a/1-2-3", {"x": "1-2", "y": "3"}),
    ("/a/<name>.json", "/a/b.c.json", {"name": "b.c"}),
    ("/<int:a>/b/<int:c>", "/1/b/2", {"a": 1, "c": 2}),
]


@pytest.mark.parametrize(("rule", "path", "values"), MATCHES)
def test_a_path_gives_its_values(rule: str, path: str, values: dict[str, Any] | None) -> None:
    assert values == parse_rule(rule).match(path)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("users", "begins with '/'"),
        ("/<int:x", "cannot be read"),
        ("/<in:x>", "converter 'in'"),
        ("/<x>/<x>", "two values of one name"),
        ("/<int(size=3):x>", "'size'"),
        ("/<int(min=x):x>", "no int"),
        ("/<any():x>", "cannot be read|lists no words"),
        ("/<path:a>/<path:b>", "more than one"),
        ("/a?b=1", "without a query"),
        ("/a/../b", "reads when decoded"),
        ("/<string(minlength=5,maxlength=2):x>", "nothing can have"),
        (None, "begins with '/'"),
    ],
)
def test_a_rule_that_is_none_is_told_of(rule: Any, said: str) -> None:
    with pytest.raises(ServiceSchemaError, match=said):
        parse_rule(rule)


TABLE = RuleTable(
    [
        (parse_rule(rule), method, f"{method} {rule}")
        for method, rule in [
            ("GET", "/x/<path:v>"),
            ("GET", "/x/<v>"),
            ("POST", "/x/<v>"),
            ("GET", "/x/<any(on,off):v>"),
            ("GET", "/x/<float:v>"),
            ("GET", "/x/<uuid:v>"),
            ("GET", "/x/<int:v>"),
            ("GET", "/x/me"),
            ("GET", "/x/<v>.json"),
            ("GET", "/<other>/me"),
        ]
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("GET", "/x/me", "GET /x/me"),
        ("GET", "/x/5", "GET /x/<int:v>"),
        ("GET", f"/x/{ID}", "GET /x/<uuid:v>"),
        ("GET", "/x/5.5", "GET /x/<float:v>"),
        ("GET", "/x/on", "GET /x/<any(on,off):v>"),
        ("GET", "/x/a.json", "GET /x/<v>.json"),
        ("GET", "/x/b", "GET /x/<v>"),
        ("HEAD", "/x/b", "GET /x/<v>"),
        ("GET", "/x/b/c", "GET /x/<path:v>"),
        ("POST", "/x/5", "POST /x/<v>"),
        ("GET", "/y/me", "GET /<other>/me"),
    ],
)
def test_the_most_specific_rule_that_has_the_method_wins(method: str, path: str, target: str) -> None:
    found = TABLE.find(method, path)

    assert isinstance(found, tuple)
    assert target == found[0]


def test_a_known_path_tells_its_methods() -> None:
    assert frozenset({"GET", "POST"}) == TABLE.find("PUT", "/x/5")
    assert TABLE.find("PUT", "/z") is None


@given(st.text())
def test_no_path_makes_matching_fail(path: str) -> None:
    TABLE.find("GET", f"/x/{path}")


@given(st.integers(min_value=0))
def test_every_number_comes_back(number: int) -> None:
    assert {"n": number} == parse_rule("/<int:n>").match(f"/{number}")
