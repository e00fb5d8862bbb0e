"""Models as params of actions and events, from `params=` and from the annotation of the context; results that are models."""

from __future__ import annotations

import dataclasses
from typing import Any, Generic, TypeVar

import pydantic
import pytest
from msgspec import Struct

from tautomer import Broker, Context, Service, action, event
from tautomer.errors import ServiceSchemaError, ValidationError
from tests.cluster import Cluster
from tests.web.door import open_door

T = TypeVar("T")


class GetUser(Struct):
    id: int
    fields: list[str] = []


@dataclasses.dataclass
class Note:
    text: str


class Reply(pydantic.BaseModel):
    id: int
    note: Any = None


class Users(Service):
    name = "users"
    settings = {"rest": "/users"}

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[Any] = []

    @action(rest="GET /:id")
    async def get(self, ctx: Context[GetUser]) -> dict[str, Any]:
        return {"type": type(ctx.params).__name__, "id": ctx.params.id}

    @action(params=GetUser)
    async def said(self, ctx: Context) -> str:
        return type(ctx.params).__name__

    @action(params={"id": "string"})
    async def rules_go_first(self, ctx: Context[GetUser]) -> Any:
        return ctx.params

    @action
    async def dicts(self, ctx: Context[dict[str, int]]) -> Any:
        return ctx.params

    @action(cache={"keys": ["id"]})
    async def cached(self, ctx: Context[GetUser]) -> int:
        return ctx.params.id

    @action(cache=True)
    async def cached_whole(self, ctx: Context[GetUser]) -> int:
        return ctx.params.id

    @action
    async def replies(self, ctx: Context) -> list[Any]:
        return [GetUser(1), Note("a"), Reply(id=2, note=Note("b"))]

    @event("note.made")
    async def on_note(self, ctx: Context[Note]) -> None:
        self.noted.append(ctx.params)


@pytest.fixture
async def users(cluster: Cluster) -> Users:
    """On node a; node b has none of its own."""
    service = Users()
    await cluster.node("a", service, cacher="Memory")
    await cluster.node("b")
    return service


@pytest.mark.parametrize("node", ["a", "b"])
@pytest.mark.parametrize("params", [{"id": 7}, GetUser(7), Reply(id=7)])
async def test_the_handler_finds_an_instance_whoever_calls_and_with_whatever(
    cluster: Cluster, users: Users, node: str, params: Any
) -> None:
    caller = cluster[node]

    assert {"type": "GetUser", "id": 7} == await caller.call("users.get", params)
    assert "GetUser" == await caller.call("users.said", params)


@pytest.mark.parametrize("node", ["a", "b"])
async def test_all_faults_are_told_with_who_asked_for_what(cluster: Cluster, users: Users, node: str) -> None:
    with pytest.raises(ValidationError) as raised:
        await cluster[node].call("users.get", {"id": "x", "fields": [1]})

    who = {"nodeID": node, "action": "users.get"}
    assert [("number", "id"), ("string", "fields[0]")] == [(one["type"], one["field"]) for one in raised.value.data]
    assert who.items() <= raised.value.data[0].items()


async def test_params_of_the_mark_go_before_the_annotation(cluster: Cluster, users: Users) -> None:
    assert {"id": "x"} == await cluster["a"].call("users.rules_go_first", {"id": "x"})


async def test_what_is_no_model_says_nothing_of_params(cluster: Cluster, users: Users) -> None:
    assert {"a": "x"} == await cluster["a"].call("users.dicts", {"a": "x"})
    assert "params" not in cluster["b"].registry.actions["users.dicts"].all[0].entry


async def test_a_model_is_announced_as_rules(cluster: Cluster, users: Users) -> None:
    entry = cluster["b"].registry.actions["users.get"].all[0].entry

    fields = {"type": "array", "items": "string", "optional": True}
    assert {"id": "number|integer|convert", "fields": fields} == entry["params"]


async def test_a_listeners_payload_is_an_instance_and_a_wrong_one_is_not_heard(
    cluster: Cluster, users: Users, caplog: pytest.LogCaptureFixture
) -> None:
    node = cluster["a"]
    await node.emit("note.made", {"text": "hello"})
    await node.emit("note.made", Note("there"))

    await node.emit("note.made", {"text": 5})

    assert [Note("hello"), Note("there")] == users.noted
    assert 1 == node.statistics()["events"]["failed"]


@pytest.mark.parametrize("name", ["cached", "cached_whole"])
async def test_instances_that_differ_have_entries_of_their_own_in_a_cache(
    cluster: Cluster, users: Users, name: str
) -> None:
    node = cluster["a"]

    assert [1, 2, 3] == [await node.call(f"users.{name}", one) for one in (GetUser(1), GetUser(2), {"id": 3})]


async def test_models_in_results_arrive_as_objects(cluster: Cluster, users: Users) -> None:
    expected = [{"id": 1, "fields": []}, {"text": "a"}, {"id": 2, "note": {"text": "b"}}]

    assert expected == await cluster["b"].call("users.replies")


async def test_at_a_gateway_a_path_fills_a_model_and_results_are_json() -> None:
    at = await open_door(Users, routes=[{"path": "/", "autoAliases": True, "aliases": {"GET /r": "users.replies"}}])
    try:
        found = await at.ask("GET", "/users/7?fields=a&fields=b")
        wrong = await at.ask("GET", "/users/x")
        replies = await at.ask("GET", "/r")
        shown = await at.ask("GET", "/openapi.json")
    finally:
        await at.broker.stop()

    assert (200, {"type": "GetUser", "id": 7}) == (found.status, found.json)
    assert (422, "number", "id") == (wrong.status, wrong.json["data"][0]["type"], wrong.json["data"][0]["field"])
    assert [{"id": 1, "fields": []}, {"text": "a"}, {"id": 2, "note": {"text": "b"}}] == replies.json
    (operation,) = [one["get"] for path, one in shown.json["paths"].items() if path == "/users/{id}"]
    assert {"type": "integer"} == operation["parameters"][0]["schema"]


class Base(Service):
    name = "mixed"

    @action
    async def one(self, ctx: Context[GetUser]) -> str:
        return type(ctx.params).__name__


class Over(Service):
    name = "mixed"
    mixins = [Base]

    @action
    async def one(self, ctx: Context[Note]) -> str:
        return type(ctx.params).__name__


async def test_a_services_own_annotation_goes_before_its_mixins(cluster: Cluster) -> None:
    node = await cluster.node("a", Over)

    assert "Note" == await node.call("mixed.one", {"text": "x"})


def unreadable() -> type[Service]:
    class Hidden(Struct):
        id: int

    class Made(Service):
        name = "made"

        @action
        async def get(self, ctx: Context[Hidden]) -> None: ...

    return Made


async def test_an_annotation_that_cannot_be_read_is_told_with_the_remedy() -> None:
    broker = Broker("n")

    with pytest.raises(
        ServiceSchemaError, match=r"'get': the annotation 'Context\[Hidden\]' cannot be read .*`params=`"
    ):
        broker.create_service(unreadable())


class Generically(Service, Generic[T]):
    name = "generically"

    @action
    async def get(self, ctx: Context[T]) -> Any:
        return ctx.params


async def test_a_type_variable_is_no_model(cluster: Cluster) -> None:
    node = await cluster.node("a", Generically)

    assert {"a": 1} == await node.call("generically.get", {"a": 1})
