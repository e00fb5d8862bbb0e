"""Aliases from the `rest` annotations in the mesh."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import Context, Service, action, event
from tautomer.registry.registry import ServiceEntry
from tautomer.web.routing.autoaliases import ALIASES_MAX, annotated_aliases
from tautomer.web.routing.routes import Route, RouteTable
from tautomer.web.settings.loading import read_settings
from tests.cluster import Cluster
from tests.web.conftest import OpenDoor
from tests.web.door import Answer, Door, gateway

AUTO = {"path": "/", "autoAliases": True}


def entry(
    actions: dict[str, dict[str, Any]], name: str = "users", version: Any = None, **settings: Any
) -> ServiceEntry:
    full = name if version is None else f"v{version}.{name}"
    return ServiceEntry(
        "node", False, name, version, full, settings, {}, {f"{full}.{k}": v for k, v in actions.items()}
    )


def made(*services: ServiceEntry) -> list[tuple[str, str, str]]:
    return [(one.method, one.path, one.action) for one in annotated_aliases(services)[0]]


def test_a_published_action_with_an_annotation_becomes_an_alias():
    assert [("GET", "/users/:id", "users.get"), ("POST", "/users", "users.add")] == made(
        entry(
            {
                "get": {"rest": "GET /:id"},
                "add": {"rest": "POST /", "visibility": "published"},
                "list": {},
                "off": {"rest": None},
                "inside": {"rest": "GET /inside", "visibility": "public"},
                "shut": {"rest": "GET /shut", "visibility": "protected"},
            }
        )
    )


def test_the_base_path_follows_name_version_and_settings():
    one = {"get": {"rest": "GET /x"}}

    assert [("GET", "/v2/users/x", "v2.users.get")] == made(entry(one, version=2))
    assert [("GET", "/people/x", "users.get")] == made(entry(one, rest="/people"))
    assert [("GET", "/a/x", "users.get"), ("GET", "/b/x", "users.get")] == made(entry(one, rest=["/a", "/b"]))
    assert [("GET", "/a/users/x", "a.users.get")] == made(entry(one, name="a.users"))


def test_an_annotation_without_path_takes_the_actions_own_name():
    assert [("POST", "/users/add", "users.add"), ("*", "/users/raw", "users.sub.raw")] == made(
        entry({"add": {"rest": {"method": "POST"}}, "sub.raw": {"rest": {"openapi": 1}}})
    )


def test_several_nodes_with_one_service_give_one_alias_and_a_new_action_on_one_counts():
    """A rolling update: the new version's actions are there from its first node on."""
    assert [("GET", "/users/x", "users.get"), ("GET", "/users/y", "users.new")] == made(
        entry({"get": {"rest": "GET /x"}}), entry({"get": {"rest": "GET /x"}, "new": {"rest": "GET /y"}})
    )


def test_where_nodes_differ_in_what_else_they_say_the_first_is_taken():
    aliases, _ = annotated_aliases(
        [entry({"get": {"rest": {"method": "GET", "path": "/x", "note": number}}}) for number in (1, 2)]
    )

    assert [{"note": 1}] == [one.options for one in aliases]


@pytest.mark.parametrize("rest", ["TRACE /x", 5, {"path": 5}, {"type": "sock"}, ["GET"] * 101])
def test_what_a_service_writes_wrong_is_told_with_the_reason(rest):
    aliases, faulty = annotated_aliases([entry({"bad": {"rest": rest}, "good": {"rest": "GET /good"}})])

    assert "users.good" == aliases[-1].action
    assert ["users.bad"] == [name for name, _ in faulty]


@pytest.mark.parametrize(
    "rest", ["GET /:", "GET /:id(\\d+)", "GET /*", "GET /" + "a" * 5_000, {"fullPath": "/%20"}, "TRACE /x"]
)
async def test_a_bad_annotation_costs_that_alias_only_and_is_logged_once(door: OpenDoor, caplog, rest):
    """In moleculer-web it ends the process."""

    class Bad(Service):
        name = "bad"

        @action(rest=rest)
        def broken(self, ctx: Context) -> None: ...

        @action(rest="GET /fine")
        def fine(self, ctx: Context) -> str:
            return "fine"

    at = await door(Bad, routes=[AUTO, {**AUTO, "path": "/two"}], debounce_time=0.01)

    await until(at, "/bad/fine", 200)
    await at.broker.register(Users())
    await until(at, "/two/users/5", 200)

    skipped = [record for record in caplog.records if record.message == "alias skipped"]
    assert ["bad.broken"] == [record.action for record in skipped]


def test_what_one_peer_can_make_grow_has_a_bound():
    actions = {f"a{i}": {"rest": [f"GET /{j}" for j in range(100)]} for i in range(200)}

    assert ALIASES_MAX == len(made(entry(actions, rest=[f"/{i}" for i in range(50)])))


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.sampled_from(["GET /:id", "path", "method"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=8) | st.sampled_from(["path", "method", "fullPath", "basePath", "type"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@given(rest=JSON, base=JSON, visibility=JSON)
def test_no_annotation_of_any_peer_breaks_the_gateway(rest, base, visibility):
    services = [entry({"a": {"rest": rest, "visibility": visibility}, "b": {"rest": "GET /fine"}}, rest=base)]
    route = Route(read_settings({"routes": [{"autoAliases": True}]}, {})[0].routes[0], NEVER, "api")

    aliases, _ = annotated_aliases(services)
    route.generate(aliases)
    RouteTable([route])

    if not isinstance(base, str | list):  # Such a base may be no path itself.
        assert "users.b" in [alias.action for alias in route.aliases]


def never(*_: Any) -> Any:
    raise AssertionError


NEVER: Any = SimpleNamespace(handler=lambda *_: never, refusal=lambda _: never, lost=lambda _: never)
"""Pipelines that nothing goes through."""


class Users(Service):
    name = "users"

    @action(rest="GET /:id")
    def get(self, ctx: Context) -> Any:
        return {"get": ctx.params["id"]}

    @action(rest="POST /")
    def create(self, ctx: Context) -> Any:
        return "created"


class Spy(Service):
    name = "spy"

    def created(self) -> None:
        self.regenerated = asyncio.Event()

    @event("$api.aliases.regenerated")
    def _heard(self, ctx: Context) -> None:
        self.regenerated.set()


async def until(at: Door, target: str, status: int) -> Answer:
    async with asyncio.timeout(5):
        while (answer := await at.get(target)).status != status:
            await asyncio.sleep(0.005)
    return answer


async def test_a_service_that_comes_is_reachable_and_one_that_goes_is_not(door: OpenDoor):
    at = await door(routes=[{**AUTO, "path": "/api"}], debounce_time=0.01)
    assert 404 == (await at.get("/api/users/5")).status

    await at.broker.register(Users())
    assert {"get": "5"} == (await until(at, "/api/users/5", 200)).json

    await at.broker.destroy_service("users")
    await until(at, "/api/users/5", 404)


async def test_services_registered_before_the_gateway_are_there_at_once(door: OpenDoor):
    at = await door(Users, routes=[AUTO])

    assert 200 == (await until(at, "/users/5", 200)).status


async def test_the_mesh_is_told_that_aliases_are_new(door: OpenDoor):
    at = await door(Spy, routes=[AUTO], debounce_time=0.01)
    spy = at.broker.get_local_service("spy")
    assert isinstance(spy, Spy)

    spy.regenerated.clear()
    await at.broker.register(Users())

    async with asyncio.timeout(2):
        await spy.regenerated.wait()


async def test_aliases_written_by_hand_stay_and_win(door: OpenDoor):
    class Other(Service):
        name = "other"

        @action
        def get(self, ctx: Context) -> str:
            return "by hand"

    at = await door(
        Users, Other, routes=[{**AUTO, "name": "first"}, {"name": "second", "aliases": {"GET /users/:x": "other.get"}}]
    )

    await until(at, "/list-aliases", 404)
    assert "by hand" == (await until(at, "/users/5", 200)).json
    await at.broker.register(Spy())
    assert "by hand" == (await until(at, "/users/5", 200)).json


async def test_the_lists_of_the_route_hold_for_generated_aliases(door: OpenDoor):
    at = await door(Users, routes=[{**AUTO, "whitelist": ["users.*"], "blacklist": ["users.create"]}])

    await until(at, "/users/5", 200)
    assert 405 == (await at.ask("POST", "/users/5")).status
    assert 404 == (await at.ask("POST", "/users")).status
    assert 404 == (await at.get("/api/list-aliases")).status


async def test_annotations_of_another_node_count(cluster: Cluster):
    made = gateway(AUTO, debounce_time=0.01)
    at = Door(await cluster.node("gateway", made), made)

    await cluster.node("worker", Users())
    assert {"get": "7"} == (await until(at, "/users/7", 200)).json

    await cluster["worker"].stop()
    await until(at, "/users/7", 404)
