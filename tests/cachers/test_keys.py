"""Keys against those of both lines of Moleculer for Node.js, and against one another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.cachers.keys import KeyFormat, key_maker
from tautomer.context import Context
from tests.cachers import vectors


def key(
    params: Any,
    keys: list[str] | None = None,
    meta: dict[str, Any] | None = None,
    headers: dict[str, Any] | None = None,
    **options: Any,
) -> str | None:
    ctx: Context[Any] = Context(None, params)
    ctx._meta, ctx._headers = meta, headers
    return key_maker("posts.find", keys, **options)(ctx)


@pytest.mark.parametrize("line", vectors.LINES)
def test_keys_are_those_of_node(line: KeyFormat) -> None:
    wrong = []
    for case, told in zip(vectors.cases(), vectors.recorded(), strict=True):
        ctx: Context[Any] = Context(None, vectors.value(case["params"]))
        ctx._meta, ctx._headers = vectors.value(case["meta"]), {}
        made = key_maker(case["name"], case.get("keys"), line, case.get("max") or 0, exact=True)(ctx)
        if made is None:
            assert any(one.startswith("#") for one in case["keys"])
        elif told[line] != made:
            wrong.append((case, told[line], made))

    assert [] == wrong[:3]


@pytest.mark.parametrize("line", vectors.LINES)
def test_usual_params_have_nodes_key_and_others_are_marked(line: KeyFormat) -> None:
    """Where Node's key can be misread, ours begins with it and goes on; nowhere is it another."""
    shared = marked = 0
    for case, told in zip(vectors.cases(), vectors.recorded(), strict=True):
        ctx: Context[Any] = Context(None, vectors.value(case["params"]))
        ctx._meta, ctx._headers = vectors.value(case["meta"]), {}
        made = key_maker(case["name"], case.get("keys"), line, case.get("max") or 0)(ctx)
        if made is None:
            assert any(one.startswith("#") for one in case["keys"])
        elif told[line] == made:
            shared += 1
        else:
            marked += 1
            assert f"{told[line]}~" == made[:-22]

    assert shared > 200
    assert marked > 50


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text('ab"|[]~{}:5nul', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('ab"|[]~5', max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(one=st.dictionaries(st.sampled_from("abc"), JSON), other=st.dictionaries(st.sampled_from("abc"), JSON))
def test_two_params_with_one_key_are_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    for keys in (None, ["a"], ["a", "b"], ["a", "b", "c"]):
        if key(one, keys) == key(other, keys):
            seen = [{name: told[name] for name in (keys or told) if name in told} for told in (one, other)]
            assert json.dumps(seen[0], sort_keys=True) == json.dumps(seen[1], sort_keys=True)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"a": 'x"|b|"y'}, {"a": "x", "b": "y"}),
        ({"a": [{"x": 1, "y": 2}]}, {"a": [{"x": 1}, {"y": 2}]}),
        ({"a|b": 1}, {"a": {"b": 1}}),
    ],
)
def test_what_node_takes_for_the_same_is_told_apart(one: Any, other: Any) -> None:
    assert key(one, exact=True) == key(other, exact=True)
    assert key(one) != key(other)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("meta", [None, {}, {"user": {}}, {"user": {"id": None}}, {"user": "u1"}])
def test_a_call_without_the_meta_value_has_no_key(meta: dict[str, Any] | None, exact: bool) -> None:
    assert key({"id": 5}, ["id", "#user.id"], meta, exact=exact) is None


def test_headers_count_for_0_15() -> None:
    assert 'posts.find:5|"de"' == key({"id": 5}, ["id", "@lang"], headers={"lang": "de"})
    assert "posts.find:5|undefined" == key({"id": 5}, ["id", "@lang"])
    assert "posts.find:5|x" == key({"id": 5, "@lang": "x"}, ["id", "@lang"], key_format="0.14")


def test_what_is_too_long_ends_in_a_hash() -> None:
    for limit in (44, 512):
        made = key({"id": "x" * 600}, ["id"], length_max=limit)

        assert made is not None
        assert len("posts.find:") + limit == len(made)
    assert key({"id": "x" * 600}, ["id"], length_max=512) != key({"id": "x" * 601}, ["id"], length_max=512)


def test_values_that_json_has_no_name_for_count_as_their_text() -> None:
    some = UUID(int=5)

    assert f'posts.find:"{some}"' == key({"id": some}, ["id"])
    assert 'posts.find:"1.50"' == key({"id": Decimal("1.50")}, ["id"])
    assert "posts.find:5000" == key({"id": datetime.fromtimestamp(5, UTC)}, ["id"])


def test_params_without_a_text_have_no_key() -> None:
    endless: list[Any] = []
    endless.append(endless)

    assert key({"id": object()}, ["id"]) is None
    assert key({"id": endless}) is None
