"""The registry: what INFO changes, what it must not, and which endpoint comes out.

Long, as INFO has many ways to be odd.
"""

from __future__ import annotations

from typing import Any

import msgspec.structs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.packets import Info, ServiceInfo
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.nodes import Node
from tautomer.registry.registry import (
    VACANT_KEPT,
    Bounds,
    InfoRefused,
    MeshIsFull,
    Registry,
    ServiceEntry,
    _unset,
    full_service_name,
    is_name,
)

from .making import ME, action, answer, info, listener, offer, registry, service


def picked(registry: Registry, name: str) -> str | None:
    endpoint = registry.actions[name].next(None)
    return None if endpoint is None else endpoint.node_id


def view(registry: Registry) -> dict[str, Any]:
    """All that can be seen of a registry, but for the order of things."""
    return {
        "nodes": {node.id: (node.available, node.instance_id, node.seq) for node in registry.nodes.values()},
        "services": sorted((s.node_id, s.full_name) for s in registry.services),
        "actions": {
            name: sorted(endpoint.node_id for endpoint in endpoints.all)
            for name, endpoints in registry.actions.items()
            if endpoints
        },
        "events": sorted(
            (one.pattern, one.group, endpoint.node_id) for one in registry.events.lists for endpoint in one.all
        ),
    }


class TestInfo:
    def test_makes_a_nodes_actions_and_events_known(self) -> None:
        known = registry()

        assert known.apply(info("a", offer("math", "math.add", events=("user.*",))), 5.0)

        node = known.nodes["a"]
        assert ("a", "i-1", 2, ("192.0.2.2",), "vm", {"type": "nodejs"}, 5.0) == (
            node.id,
            node.instance_id,
            node.seq,
            node.ip_list,
            node.hostname,
            node.client,
            node.last_heartbeat,
        )
        assert "a" == picked(known, "math.add")
        assert ["a"] == [endpoint.node_id for endpoint in known.events.everyone("user.created", None)]
        assert known.has_service("math")
        assert not known.has_service("maths")

    def test_gives_each_remote_endpoint_the_handler_that_the_broker_makes(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add")), 0.0)
        endpoint = known.actions["math.add"].only
        assert endpoint is not None

        assert endpoint.handler is not _unset
        assert not endpoint.local

    def test_replaces_what_the_node_offered_before(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add", events=("x",))), 0.0)
        known.apply(info("b", offer("math", "math.add")), 0.0)

        assert known.apply(info("a", offer("mail", "mail.send"), seq=3), 1.0)

        assert {"a": ["mail"], "b": ["math"]} == {
            node: [s.name for s in known.services if s.node_id == node] for node in ("a", "b")
        }
        assert "b" == picked(known, "math.add")
        assert "a" == picked(known, "mail.send")
        assert [] == known.events.everyone("x", None)

    def test_with_no_services_withdraws_them_and_keeps_the_node(self) -> None:
        """The first step of a graceful stop (protocol reference, section 4.5)."""
        known = registry()
        known.apply(info("a", offer("math", "math.add")), 0.0)

        assert known.apply(info("a", seq=3), 1.0)

        assert known.nodes["a"].available
        assert None is picked(known, "math.add")
        assert not known.has_service("math")

    def test_of_a_node_without_services_changes_none(self) -> None:
        known = registry()

        assert not known.apply(info("a"), 0.0)
        assert known.others_online()

    def test_that_leaves_everything_out_is_taken(self) -> None:
        known = registry()
        smallest = Info([ServiceInfo("a", actions={"": {"name": "a.hi"}})], seq=None, config=5, sender="a")

        known.apply(smallest, 0.0)

        node = known.nodes["a"]
        assert (0, (), None, {}, {}, {}) == (
            node.seq,
            node.ip_list,
            node.hostname,
            node.client,
            node.metadata,
            node.config,
        )
        assert ("a", {}, {}) == (known.services[0].full_name, known.services[0].settings, known.services[0].metadata)
        assert "a" == picked(known, "a.hi")

    def test_names_its_actions_inside_the_entries_and_not_by_the_keys(self) -> None:
        known = registry()
        odd = ServiceInfo("math", actions={"math.add": {"name": "math.sum"}, "math.sub": {}}, events=[{"name": "x"}])

        known.apply(info("a", odd), 0.0)

        assert ["math.sum"] == list(known.actions)
        assert 1 == len(known.events.everyone("x", None))

    def test_may_list_actions_and_withdraw_them_again(self) -> None:
        """Node keeps what comes as a list until the next INFO, and then drops it. We take both for what they say."""
        known = registry()
        listed = ServiceInfo("math", actions=[{"name": "math.add"}, {"name": "math.sub"}])
        known.apply(info("a", listed), 0.0)
        known.apply(info("a", listed, seq=3), 0.0)

        assert ("a", "a") == (picked(known, "math.add"), picked(known, "math.sub"))
        known.apply(info("a", ServiceInfo("math", actions=[{"name": "math.add"}]), seq=4), 0.0)
        assert ("a", None) == (picked(known, "math.add"), picked(known, "math.sub"))

    @pytest.mark.parametrize("visibility", ["protected", "private", 5, {"a": 1}])
    def test_offers_no_action_that_is_not_for_other_nodes(self, visibility: object) -> None:
        known = registry()
        shut = ServiceInfo("math", actions={"x": {"name": "math.add", "visibility": visibility}})

        known.apply(info("a", shut), 0.0)

        assert {} == known.actions
        assert ["math.add"] == list(known.services[0].actions)

    @pytest.mark.parametrize("visibility", ["published", "public", None])
    def test_offers_the_others(self, visibility: object) -> None:
        known = registry()
        known.apply(info("a", ServiceInfo("m", actions={"x": {"name": "m.x", "visibility": visibility}})), 0.0)

        assert "a" == picked(known, "m.x")

    @pytest.mark.parametrize(
        ("group", "expected"), [("mail", "mail"), ("a group", "a group"), ("", "math"), (5, "math")]
    )
    def test_gives_an_event_its_group_or_the_services_name(self, group: object, expected: str) -> None:
        known = registry()
        known.apply(info("a", ServiceInfo("math", version=2, events={"x": {"name": "x", "group": group}})), 0.0)

        assert [expected] == known.events.groups("x")

    @pytest.mark.parametrize(
        ("version", "full_name", "expected"),
        [
            (None, None, "math"),
            (2, None, "v2.math"),
            (2.0, None, "v2.math"),
            (2.5, None, "v2.5.math"),
            ("beta", None, "beta.math"),
            (2, "math", "math"),
        ],
    )
    def test_gives_a_service_its_full_name(
        self, version: str | float | None, full_name: str | None, expected: str
    ) -> None:
        """A name that the other node has written out itself is believed, as Node does."""
        known = registry()
        known.apply(info("a", offer("math", version=version, full_name=full_name)), 0.0)

        assert known.has_service(expected)


def good_info() -> Info:
    return info("a", offer("math", "math.add", events=("x",)), offer("mail", "mail.send"), seq=9)


class TestRefusal:
    BOUNDS = Bounds(services=2, actions=3)

    @pytest.mark.parametrize(
        "wrong",
        [
            offer(""),
            offer("a b"),
            offer("a\n"),
            offer("x" * 256),
            offer("math", full_name="a b"),
            offer("math", version="a b"),
            offer("math", version="x" * 300),
            offer("math", "math. add"),
            offer("math", "math.add\r\n"),
            offer("math", "x" * 256),
            offer("math", events=("a b",)),
            offer("math", events=("\x00",)),
            ServiceInfo("math", events={"x": {"name": "x", "group": "a\r\nb"}}),
            ServiceInfo("math", events={"x": {"name": "x", "group": "g" * 256}}),
            offer("math", *(f"math.{n}" for n in range(4))),
            offer("math", events=tuple(f"e.{n}" for n in range(4))),
        ],
        ids=lambda wrong: msgspec.json.encode(wrong)[:40].decode(),
    )
    def test_leaves_the_last_good_info(self, wrong: ServiceInfo) -> None:
        known = registry(bounds=self.BOUNDS)
        known.apply(good_info(), 1.0)
        before = view(known)

        with pytest.raises(InfoRefused):
            known.apply(info("a", offer("fine", "fine.one"), wrong, seq=10), 2.0)

        assert before == view(known)
        assert 1.0 == known.nodes["a"].last_heartbeat

    def test_of_an_unknown_node_leaves_no_trace(self) -> None:
        known = registry()

        with pytest.raises(InfoRefused, match="is not a name"):
            known.apply(info("a", offer("a b")), 0.0)

        assert [ME] == list(known.nodes)

    def test_of_more_services_than_a_node_may_have(self) -> None:
        known = registry(bounds=self.BOUNDS)

        with pytest.raises(InfoRefused, match="3 services, at most 2"):
            known.apply(info("a", offer("a"), offer("b"), offer("c")), 0.0)
        with pytest.raises(InfoRefused, match="4 actions, at most 3"):
            known.apply(info("a", offer("a", "a.1", "a.2"), offer("b", "b.1", "b.2")), 0.0)
        known.apply(info("a", offer("a", "a.1", "a.2"), offer("b", "b.1")), 0.0)

    def test_of_more_than_all_nodes_together_may_offer(self) -> None:
        known = registry(bounds=Bounds(mesh=4))
        known.apply(info("a", offer("a", "a.1", "a.2", events=("x",))), 0.0)

        with pytest.raises(MeshIsFull, match="3 actions and listeners, at most 4"):
            known.apply(info("b", offer("b", "b.1", "b.2")), 0.0)
        assert "b" not in known.nodes
        known.apply(info("a", offer("a", "a.1", "a.2", "a.3", events=("x",)), seq=3), 0.0)
        known.apply(info("a", offer("a", "a.1", events=("x",)), seq=4), 0.0)
        known.apply(info("b", offer("b", "b.1", "b.2")), 0.0)
        known.forget("a", 1.0)
        known.apply(info("c", offer("c", "c.1", "c.2")), 0.0)

    def test_of_one_in_the_name_of_this_node(self) -> None:
        known = registry()
        known.register_local(service(), [action(ME)], [])
        before = view(known)

        with pytest.raises(InfoRefused, match="this very node"):
            known.apply(info(ME, offer("mine")), 0.0)

        assert before == view(known)

    def test_can_be_had_before_anything_is_applied(self) -> None:
        known = registry()
        offered = known.check(good_info())

        assert [ME] == list(known.nodes)
        assert known.apply(good_info(), 0.0, offered)
        assert "a" == picked(known, "mail.send")


class TestLosingNodes:
    def test_a_lost_node_is_never_chosen_and_still_known(self) -> None:
        known = registry()
        known.apply(good_info(), 0.0)
        known.apply(info("b", offer("math", "math.add")), 0.0)

        assert known.forget("a", 7.0)

        assert (False, 7.0) == (known.nodes["a"].available, known.nodes["a"].offline_since)
        assert ("b", None) == (picked(known, "math.add"), picked(known, "mail.send"))
        assert [] == known.events.everyone("x", None)

    def test_only_known_ones_with_services_had_any(self) -> None:
        known = registry()
        known.apply(info("a"), 0.0)

        assert not known.forget("a", 1.0)
        assert not known.forget("stranger", 1.0)
        assert not known.others_online()

    def test_it_is_back_with_its_next_info(self) -> None:
        known = registry()
        known.apply(good_info(), 0.0)
        known.forget("a", 1.0)
        known.apply(good_info(), 2.0)

        assert (True, None) == (known.nodes["a"].available, known.nodes["a"].offline_since)
        assert "a" == picked(known, "mail.send")

    def test_one_that_is_gone_for_long_is_dropped(self) -> None:
        known = registry()
        known.apply(good_info(), 0.0)
        known.remove_node("a")
        known.remove_node("stranger")

        assert [ME] == list(known.nodes)
        assert [] == known.services

    def test_this_node_itself_is_neither_lost_nor_dropped(self) -> None:
        known = registry()
        known.register_local(service(), [action(ME)], [])

        assert not known.forget(ME, 1.0)
        known.remove_node(ME)
        assert ME == picked(known, "math.add")
        assert known.local_node is known.nodes[ME]

    def test_an_action_that_nobody_offers_now_is_known_but_not_available(self) -> None:
        """Whether there is a list tells "not available" from "not found" (protocol reference, section 5.1)."""
        known = registry()
        known.apply(good_info(), 0.0)
        known.forget("a", 1.0)

        assert 0 == len(known.actions["math.add"])
        assert None is known.actions.get("math.never")

    @pytest.mark.slow
    def test_actions_of_ever_new_names_do_not_grow_the_table_for_ever(self) -> None:
        known = registry(bounds=Bounds(actions=5_000))
        for turn in range(4):
            known.apply(info("a", offer("m", *(f"m.{turn}.{n}" for n in range(4_000))), seq=turn), 0.0)
        known.apply(info("b", offer("m", "m.1.0")), 0.0)
        known.forget("a", 1.0)

        assert len(known.actions) <= VACANT_KEPT + 1
        assert "b" == picked(known, "m.1.0")
        assert "m.0.0" not in known.actions
        assert "m.3.3999" in known.actions


class TestThisNodesOwn:
    def test_services_stand_before_those_of_others(self) -> None:
        known = registry()
        known.apply(info("a", offer("far")), 0.0)
        known.register_local(service(name="one"), [], [])
        known.register_local(service(name="two"), [], [])

        assert ["one", "two", "far"] == [s.name for s in known.services]
        assert 3 == known.local_node.seq

    def test_are_preferred_for_calls_and_events(self) -> None:
        known = registry()
        known.apply(info("a", offer("math", "math.add", events=("x",))), 0.0)
        known.register_local(service(), [action(ME)], [listener("x")])

        assert ME == picked(known, "math.add")
        assert [ME] == [endpoint.node_id for endpoint, _ in known.events.balanced("x", None)]

    def test_take_turns_with_others_where_they_are_not_preferred(self) -> None:
        known = registry(prefer_local=False)
        known.apply(info("a", offer("math", "math.add")), 0.0)
        known.register_local(service(), [action(ME)], [])

        assert ["a", ME, "a", ME] == [picked(known, "math.add") for _ in range(4)]

    def test_are_withdrawn_together(self) -> None:
        known = registry()
        mine = ServiceEntry(ME, True, "math", None, "math")
        mine.actions = {"math.add": {"name": "math.add"}, "math.never": {}}
        endpoint = Endpoint("math.add", ME, True, mine, {}, answer)
        known.register_local(mine, [endpoint], [listener("x", of=mine)])

        known.unregister_local(mine)

        assert None is picked(known, "math.add")
        assert [] == known.events.everyone("x", None)
        assert ([], 3) == (known.services, known.local_node.seq)

    def test_an_action_that_another_service_has_taken_over_stays(self) -> None:
        """Without prefixes two services of one node can have an action of one name; the later one has it."""
        known = registry()
        first, second = (ServiceEntry(ME, True, name, None, name, actions={"add": {}}) for name in ("one", "two"))
        known.register_local(first, [Endpoint("add", ME, True, first, {}, answer)], [])
        known.register_local(second, [Endpoint("add", ME, True, second, {}, answer)], [])

        known.unregister_local(first)

        assert second is known.actions["add"].only.service  # type: ignore[union-attr]  # It is there.


OFFERS = st.lists(
    st.builds(
        lambda name, actions, events: offer(name, *(f"{name}.{a}" for a in actions), events=tuple(events)),
        st.sampled_from(["math", "mail", "v2.math"]),
        st.lists(st.sampled_from(["add", "sub", "get"]), unique=True),
        st.lists(st.sampled_from(["x", "x.*", "**"]), unique=True),
    ),
    max_size=3,
    unique_by=lambda made: made.name,
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), OFFERS | st.just("lost") | st.just("dropped")),
    max_size=8,
)


@pytest.mark.slow
@given(STEPS)
def test_only_the_last_word_of_each_node_counts(steps: list[tuple[str, Any]]) -> None:
    """Whatever came before, the registry is what it would be had each node said its last word only."""
    known, last = registry(), {}
    for seq, (node, said) in enumerate(steps):
        match said:
            case "lost":
                known.forget(node, 1.0)
            case "dropped":
                known.remove_node(node)
            case _:
                known.apply(info(node, *said, seq=seq), 0.0)
        last[node] = (seq, said)

    fresh = registry()
    for node, (seq, said) in last.items():
        if not isinstance(said, str):
            fresh.apply(info(node, *said, seq=seq), 0.0)

    assert {**view(fresh), "nodes": None} == {**view(known), "nodes": None}
    available = {node for node, (_, said) in last.items() if not isinstance(said, str)}
    assert available == {node.id for node in known.nodes.values() if node.available and not node.local}


class TestNames:
    @pytest.mark.parametrize(
        ("version", "expected"),
        [(None, "math"), (2, "v2.math"), (2.0, "v2.math"), (1.5, "v1.5.math"), ("beta", "beta.math"), (0, "v0.math")],
    )
    def test_of_versions(self, version: str | float | None, expected: str) -> None:
        assert expected == full_service_name("math", version)

    @pytest.mark.parametrize("name", ["a", "$node", "v2.math", "user.*", "ünï", "x" * 255])
    def test_that_are_ones(self, name: str) -> None:
        assert is_name(name)

    @pytest.mark.parametrize("name", ["", "x" * 256, "a b", "\t", "a\u00a0b", "a\n", "\ud800", "\u202e"])
    def test_that_are_none(self, name: str) -> None:
        assert not is_name(name)


async def test_a_remote_listener_is_told_over_the_wire_and_never_called_here() -> None:
    known = registry()
    known.apply(info("a", offer("math", events=("x",))), 0.0)
    (endpoint,) = known.events.everyone("x", None)

    with pytest.raises(AssertionError, match="before its handler was set"):
        await endpoint.handler(None)  # type: ignore[arg-type]  # It must not even look at it.


def test_the_local_node_is_known_from_the_start() -> None:
    known = registry()

    assert msgspec.structs.asdict(Node(ME, local=True, seq=1)) == msgspec.structs.asdict(known.nodes[ME])
    assert not known.others_online()
