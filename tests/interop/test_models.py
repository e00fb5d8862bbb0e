"""A Python model in the eyes of Node.js: announced as rules, and of wrong params the list that Node's own validator makes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import pytest
import pytest_asyncio
from msgspec import Meta, Struct

from tautomer import Context, Service, action
from tautomer.validation import wire_schema

from .mesh import SHORT, Mesh, sees

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


class Line(Struct):
    sku: Annotated[str, Meta(min_length=3)]
    count: Annotated[int, Meta(gt=0)] = 1


class Order(Struct, forbid_unknown_fields=True):
    id: int
    kind: Literal["new", "used"]
    lines: Annotated[list[Line], Meta(min_length=1)]
    note: Annotated[str, Meta(max_length=5)] | None = None
    by: dict[str, int] = {}


class Orders(Service):
    name = "orders"

    @action
    async def check(self, ctx: Context[Order]) -> Order:
        assert isinstance(ctx.params, Order)
        return ctx.params


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def both(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    """A Python node with the model, and a Node.js node with the rules that are announced of it."""
    async with Mesh(nats_url, node) as mesh:
        await mesh.add_node(line, services=[{"kind": "validated", "name": "twin", "params": wire_schema(Order)}])
        await mesh.add_python(services=[Orders()])
        await mesh.meet()
        await sees(mesh[SHORT[line]], "orders.check", "py")
        await sees(mesh["py"], "twin.check", SHORT[line])
        yield mesh


async def test_node_is_told_rules(both: Mesh, line: str) -> None:
    (entry,) = [one for one in await both[SHORT[line]].services() if one["name"] == "orders"]

    assert {
        "id": "number|integer|convert",
        "kind": {"type": "enum", "values": ["new", "used"]},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "props": {"sku": "string|min:3", "count": "number|integer|convert|positive|default:1"},
            },
            "min": 1,
        },
        "note": "string|max:5|optional",
        "by": {"type": "record", "key": "string", "value": "number|integer|convert", "optional": True},
        "$$strict": True,
    } == entry["actions"]["orders.check"]["params"]


async def test_what_the_handler_returns_arrives_as_an_object(both: Mesh, line: str) -> None:
    params = {"id": "7", "kind": "new", "lines": [{"sku": "abc"}]}

    answer = await both[SHORT[line]].call("orders.check", params)

    expected = {"id": 7, "kind": "new", "lines": [{"sku": "abc", "count": 1}], "note": None, "by": {}}
    assert expected == answer.value


async def test_an_instance_goes_to_node_as_an_object(both: Mesh, line: str) -> None:
    answer = await both["py"].call("twin.check", Order(id=7, kind="new", lines=[Line("abc")], note="x"))

    assert {"id": 7, "kind": "new", "lines": [{"sku": "abc", "count": 1}], "note": "x", "by": {}} == answer.value


WRONG: list[Any] = [
    {},
    {"id": "x", "kind": "old", "lines": []},
    {"id": 1.5, "kind": 5, "lines": "x", "note": 5, "by": 5},
    {"id": None, "kind": None, "lines": None},
    {"id": 1, "kind": "new", "lines": [{"sku": "a", "count": 0}, {"count": "many"}, 5, None]},
    {"id": {}, "kind": "new", "lines": [{"sku": "abc"}], "note": "longer", "by": {"ann": "x", "bob": 1.5}},
    {"id": 1, "kind": "new", "lines": [{"sku": "abc"}], "more": 1, "and": 2},
]


@pytest.mark.parametrize("params", WRONG)
async def test_the_faults_are_those_of_nodes_validator(both: Mesh, line: str, params: Any) -> None:
    caller = both[SHORT[line]]
    found = {}
    for name in ("orders.check", "twin.check"):
        answer = await caller.call(name, params)
        assert answer.error is not None
        assert ("ValidationError", 422, "VALIDATION_ERROR") == tuple(answer.error[k] for k in ("name", "code", "type"))
        found[name] = [
            {key: value for key, value in fault.items() if key not in ("message", "action")}
            for fault in answer.error["data"]
        ]

    assert found["twin.check"] == found["orders.check"]
