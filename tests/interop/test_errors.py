"""An error means the same on both sides: class, code, type, data, retryable."""

from __future__ import annotations

from typing import Any

import pytest

from .failures import EXPECTED, GENERIC
from .mesh import SHORT, Mesh, Pair, sees

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def fail(pair: Pair, kind: str) -> dict[str, Any]:
    answer = await pair.caller.call(f"{pair.callee.id}.fail", {"kind": kind}, timeout=5.0)
    assert answer.error is not None
    return answer.error


@pytest.mark.parametrize("kind", EXPECTED)
async def test_every_class_of_the_protocol_arrives_as_itself(pair: Pair, kind: str) -> None:
    error = await fail(pair, kind)

    expected = {"name": kind, "class": kind, "nodeID": pair.callee.id, **EXPECTED[kind]}
    assert expected == {key: error.get(key) for key in expected}


@pytest.mark.parametrize("kind", [*GENERIC, "ValidationError", "ServiceSchemaError", "BrokerOptionsError"])
async def test_the_words_of_an_error_arrive(pair: Pair, kind: str) -> None:
    error = await fail(pair, kind)

    assert ("not valid" if kind == "ValidationError" else "went wrong") == error["message"]


async def test_a_users_own_class_keeps_name_code_type_data_and_retryable(pair: Pair) -> None:
    error = await fail(pair, "custom")

    expected = {
        "name": "TeapotError",
        "message": "short and stout",
        "code": 418,
        "type": "TEAPOT",
        "data": {"spout": True},
        "retryable": True,
        "nodeID": pair.callee.id,
    }
    assert expected == {key: error.get(key) for key in expected}


async def test_an_unexpected_error_keeps_name_and_words_and_is_not_retryable(pair: Pair) -> None:
    error = await fail(pair, "unexpected")

    assert ("TypeError", "unexpected", pair.callee.id) == (error["name"], error["message"], error["nodeID"])
    assert not error.get("retryable")


async def test_a_disconnected_broker_behind_the_callee_is_a_retryable_502(pair: Pair) -> None:
    error = await fail(pair, "BrokerDisconnectedError")

    expected = {"name": "BrokerDisconnectedError", "code": 502, "type": "BAD_GATEWAY", "retryable": True}
    assert expected == {key: error.get(key) for key in expected}


async def test_a_text_thrown_by_node_is_a_moleculer_error(couple: Mesh, line: str) -> None:
    error = await fail(Pair(couple["py"], couple[SHORT[line]]), "text")

    assert ("MoleculerError", "only a text", 500) == (error["name"], error["message"], error["code"])


async def test_params_that_do_not_fit_the_callees_schema_list_every_fault(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.add", {"a": "x"})

    assert answer.error is not None
    assert ("ValidationError", 422, "VALIDATION_ERROR", False) == tuple(
        answer.error[key] for key in ("name", "code", "type", "retryable")
    )
    who = {"nodeID": pair.caller.id, "action": f"{pair.callee.id}.add"}
    assert [
        {"type": "number", "message": "The 'a' field must be a number.", "field": "a", "actual": "x", **who},
        {"type": "required", "message": "The 'b' field is required.", "field": "b", **who},
    ] == answer.error["data"]


async def test_an_action_that_a_node_does_not_have_is_not_found(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.nothing-of-the-kind")

    assert answer.error is not None
    assert ("ServiceNotFoundError", 404, True) == tuple(answer.error[key] for key in ("name", "code", "retryable"))


@pytest.mark.parametrize("action", ["guarded", "own"])
async def test_protected_and_private_actions_cannot_be_called_from_another_node(pair: Pair, action: str) -> None:
    name = f"{pair.callee.id}.{action}"

    for options in ({}, {"node_id": pair.callee.id}):
        answer = await pair.caller.call(name, **options)
        assert answer.error is not None
        assert "ServiceNotFoundError" == answer.error["name"]
    assert ["guarded", "own"] == (await pair.caller.call(f"{pair.callee.id}.within")).value


async def test_a_call_that_finds_nobody_fails_alike_on_both_sides(couple: Mesh, line: str) -> None:
    """To a named node or to any, of an action that was never there, is elsewhere, or is gone."""
    python, node = couple["py"], couple[SHORT[line]]
    await python.offer("gone")
    await sees(node, "gone.double", python.id)
    await python.withdraw("gone")
    await sees(node, "gone.double")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("never.there", {}),
        ("never.there", {"node_id": "nobody"}),
        ("$node.list", {"node_id": "nobody"}),
        (f"{python.id}.echo", {"node_id": node.id}),
        (f"{node.id}.echo", {"node_id": python.id}),
        (f"{python.id}.guarded", {"node_id": node.id}),
        ("gone.double", {}),
        ("gone.double", {"node_id": python.id}),
    ]
    keys = ("name", "code", "type", "retryable", "data")

    for action, options in calls:
        ours, nodes = [(await peer.call(action, **options)).error for peer in (python, node)]
        assert ours is not None
        assert nodes is not None
        assert {key: nodes[key] for key in keys} == {key: ours[key] for key in keys}, (action, options)
