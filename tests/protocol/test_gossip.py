"""Gossip: Node's merge rules, convergence, and what strangers may send."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from tautomer.protocol.gossip import ANSWER_BYTES, ASK_PAUSE, Gossip, News, port_of, seq_of
from tautomer.protocol.packets import GossipHello, GossipRequest, GossipResponse


def info(id: str, seq: int = 3, **more: Any) -> dict[str, Any]:
    return {"services": [], "hostname": f"host-{id}", "ipList": ["192.0.2.1"], "port": 4000, "seq": seq, **more}


def node(id: str = "me", seq: int = 3) -> Gossip:
    gossip = Gossip(id)
    gossip.announce(info(id), seq)
    return gossip


def knowing(**seqs: int) -> Gossip:
    """A node that knows these as online."""
    gossip = node()
    rows = {id: [info(id, seq), 5, 50] for id, seq in seqs.items()}
    gossip.on_response(GossipResponse(online=rows, sender="x"), 0.0)
    return gossip


def request(online: object = UNSET, offline: object = UNSET, sender: str = "asker") -> GossipRequest:
    return GossipRequest(online, offline, "5", sender)


def answer_of(news: News) -> tuple[object, object]:
    (answer,) = news.answers
    return answer.online, answer.offline


# --- what is said ---


def test_a_request_holds_all_that_is_known_in_short() -> None:
    gossip = knowing(a=7, b=4)
    gossip.lost("b", 1.0)
    gossip.sighted("c", "192.0.2.3", 5000, 1.0)

    assert {"me": [3, 0, 0], "a": [7, 5, 50]} == gossip.request().online
    assert {"b": 5} == gossip.request().offline


def test_empty_maps_are_left_out() -> None:
    assert UNSET is node().request().offline


def test_a_goodbye_is_newer_than_what_is_known_of_us() -> None:
    other = node("other")
    other.on_response(GossipResponse(online={"me": [info("me", 3), 0, 0]}), 0.0)

    news = other.on_response(node().goodbye(), 1.0)

    assert ["me"] == [one.id for one in news.lost]


def test_an_introduction_is_given_once_for_each_seq() -> None:
    gossip = knowing(a=1)
    a = gossip.members["a"]

    assert gossip.introduction(a) is not None
    assert gossip.introduction(a) is None
    assert gossip.announce(info("me"), 4)
    assert gossip.introduction(a) is not None
    gossip.lost("a", 1.0)
    assert gossip.introduction(a) is not None


def test_the_same_seq_is_no_news() -> None:
    assert not node().announce(info("me"), 3)


@pytest.mark.parametrize(
    ("draws", "expected"), [([0.0, 0.9], ["a"]), ([0.99, 0.3, 0.0], ["b", "c"]), ([0.5, 0.34], ["b"])]
)
def test_a_round_asks_one_online_and_now_and_then_one_offline(draws: list[float], expected: list[str]) -> None:
    gossip = knowing(a=1, b=1)
    gossip.sighted("c", "192.0.2.3", 5000, 0.0)
    chances = iter(draws)

    assert expected == [one.id for one in gossip.partners(lambda: next(chances))]


def test_who_knows_nobody_online_asks_an_offline_one() -> None:
    gossip = node()
    gossip.sighted("c", "192.0.2.3", 5000, 0.0)

    assert ["c"] == [one.id for one in gossip.partners(lambda: 0.99)]


# --- GOSSIP_REQ, case by case ---


@pytest.mark.parametrize("online", [UNSET, {"me": [0, 0, 0]}, {"me": [2, 9, 9]}])
def test_who_knows_less_gets_the_info(online: object) -> None:
    online_rows, offline = answer_of(node().on_request(request(online), 0.0))

    assert {"me": [{**info("me"), "seq": 3}, 0, 0]} == online_rows
    assert UNSET is offline


def test_who_thinks_a_gone_node_online_hears_of_it() -> None:
    gossip = knowing(a=7)
    gossip.lost("a", 1.0)

    assert {"a": 8} == answer_of(gossip.on_request(request({"me": [3, 0, 0], "a": [7, 5, 50]}), 1.0))[1]


def test_both_offline_keeps_the_greater_seq() -> None:
    gossip = knowing(a=7)
    gossip.lost("a", 1.0)

    gossip.on_request(request({"me": [3, 0, 0]}, {"a": 20}), 1.0)

    assert 20 == gossip.members["a"].seq


def test_one_said_to_be_offline_is_lost() -> None:
    gossip = knowing(a=7)

    news = gossip.on_request(request({"me": [3, 0, 0]}, {"a": 8}), 1.0)

    assert [("a", 8, False)] == [(one.id, one.seq, one.online) for one in news.lost]


def test_one_said_to_be_offline_long_ago_is_not() -> None:
    gossip = knowing(a=7)

    news = gossip.on_request(request({"me": [3, 0, 0]}, {"a": 6}), 1.0)

    assert [] == news.lost
    assert [info("a", 7), 5, 50] == answer_of(news)[0]["a"]  # type: ignore[index]  # A map.


@pytest.mark.parametrize(
    ("online", "offline", "seq"), [(UNSET, {"me": 3}, 4), (UNSET, {"me": 9}, 10), ({"me": [8, 0, 0]}, UNSET, 9)]
)
def test_who_hears_of_its_own_end_or_of_a_later_run_raises_its_seq(online: object, offline: object, seq: int) -> None:
    gossip = node()

    news = gossip.on_request(request(online, offline), 0.0)

    assert news.raised
    assert seq == gossip.own.seq
    assert seq == answer_of(news)[0]["me"][0]["seq"]  # type: ignore[index]  # A map.


@pytest.mark.parametrize(
    ("row", "answers", "load"),
    [([7, 6, 60], [], (6, 60)), ([7, 4, 40], [{"a": [5, 50]}], (5, 50)), ([7, 5, 1], [], (5, 50))],
)
def test_the_newer_load_wins(row: list[int], answers: list[object], load: tuple[int, int]) -> None:
    gossip = knowing(a=7)

    news = gossip.on_request(request({"me": [3, 0, 0], "a": row}), 0.0)

    assert answers == [one.online for one in news.answers]
    assert load == (gossip.members["a"].cpu_seq, gossip.members["a"].cpu)


def test_one_that_tells_less_of_itself_than_is_known_is_asked_first_and_lost_the_second_time() -> None:
    """Once it may only have been long on its way; what it was sent must not be given up for that."""
    gossip = knowing(a=7)
    behind = request({"a": [3, 0, 0], "me": [3, 0, 0]}, sender="a")

    first, second = gossip.on_request(behind, 1.0), gossip.on_request(behind, 3.0)

    assert ([], ["a"]) == ([one.id for one in first.lost], [one.id for one in first.ask])
    assert (["a"], ["a"]) == ([one.id for one in second.lost], [one.id for one in second.ask])
    assert {"a": 8} == gossip.request().offline


def test_one_that_caught_up_is_not_behind_any_more() -> None:
    gossip = knowing(a=7)
    behind, level = (request({"a": [seq, 5, 0], "me": [3, 0, 0]}, sender="a") for seq in (3, 7))

    lost = [gossip.on_request(one, 1.0).lost for one in (behind, level, behind)]

    assert [[], [], []] == lost


def test_another_run_counts_its_load_anew() -> None:
    gossip = knowing(a=7)

    gossip.on_response(GossipResponse(online={"a": [info("a", 9, instanceID="i-2"), 1, 20]}), 0.0)

    assert (1, 20) == (gossip.members["a"].cpu_seq, gossip.members["a"].cpu)


def test_an_answer_for_many_comes_in_parts_that_node_can_read() -> None:
    gossip = node()
    for number in range(8):
        row = [info(f"n{number}", metadata={"x": "y" * (ANSWER_BYTES // 3)}), 0, 0]
        gossip.on_response(GossipResponse(online={f"n{number}": row}), 0.0)

    answers = gossip.on_request(request(), 0.0).answers

    assert {"me", *(f"n{number}" for number in range(8))} == {id for one in answers for id in one.online}  # type: ignore[attr-defined]  # A map.
    assert len(answers) > 1
    assert max(len(msgspec.json.encode(one)) for one in answers) < 2 * ANSWER_BYTES


# --- GOSSIP_RES ---


def test_a_newer_info_is_learned_an_older_one_is_not() -> None:
    gossip = knowing(a=7)

    assert ["a"] == [
        one.id for one in gossip.on_response(GossipResponse(online={"a": [info("a", 8), 0, 0]}), 0.0).learned
    ]
    assert [] == gossip.on_response(GossipResponse(online={"a": [info("a", 8), 0, 0]}), 0.0).learned
    assert ["b"] == [one.id for one in gossip.on_response(GossipResponse(online={"b": [info("b", 1)]}), 0.0).learned]


def test_an_answer_takes_nodes_offline_by_a_greater_seq_only() -> None:
    gossip = knowing(a=7)

    assert [] == gossip.on_response(GossipResponse(offline={"a": 7}), 0.0).lost
    assert ["a"] == [one.id for one in gossip.on_response(GossipResponse(offline={"a": 8}), 0.0).lost]
    assert "b" not in gossip.members or gossip.on_response(GossipResponse(offline={"b": 8}), 0.0)


def test_a_load_alone_is_taken_if_it_is_newer() -> None:
    gossip = knowing(a=7)

    gossip.on_response(GossipResponse(online={"a": [4, 1]}), 0.0)
    assert 50 == gossip.members["a"].cpu
    gossip.on_response(GossipResponse(online={"a": [6, 1]}), 0.0)
    assert 1 == gossip.members["a"].cpu


# --- addresses ---


def test_a_hello_is_answered_where_it_came_from() -> None:
    gossip = node()

    news = gossip.on_hello(GossipHello("elsewhere.example", 5001, "5", "a"), "192.0.2.9", 0.0)

    assert [("a", ("192.0.2.9",), 5001, False)] == [
        (one.id, one.addresses(), one.port, one.online) for one in news.moved
    ]
    assert ["a"] == [one.id for one in news.ask]


@pytest.mark.parametrize("port", [0, -1, 65_536, 1.5, "80", None, True, 10**30])
def test_a_hello_without_a_port_is_nothing(port: object) -> None:
    gossip = node()

    gossip.on_hello(GossipHello("h", port, "5", "a"), "192.0.2.9", 0.0)

    assert {} == gossip.members


@pytest.mark.parametrize("port", [0, 65_536, "4000", None, 1.5])
def test_an_info_without_a_port_is_not_learned(port: object) -> None:
    gossip = node()

    assert [] == gossip.on_response(GossipResponse(online={"a": [info("a", port=port), 0, 0]}), 0.0).learned


def test_nobody_moves_a_node_that_is_there() -> None:
    gossip = knowing(a=7)

    assert [] == gossip.on_hello(GossipHello("h", 1, "5", "a"), "203.0.113.1", 0.0).moved
    assert [] == gossip.sighted("a", "203.0.113.1", 1, 0.0).moved
    assert 4000 == gossip.members["a"].port


def test_one_that_is_heard_elsewhere_is_asked_and_looked_for_there_once_it_is_gone() -> None:
    gossip = knowing(a=7)

    news = gossip.on_hello(GossipHello("h", 5001, "5", "a"), "192.0.2.9", 0.0)
    assert (["a"], 4000) == ([one.id for one in news.ask], gossip.members["a"].port)

    gossip.lost("a", 1.0)
    assert ("192.0.2.9", 5001) == (gossip.members["a"].addresses()[0], gossip.members["a"].port)


def test_where_it_was_heard_comes_before_its_name_and_its_addresses() -> None:
    gossip = node()
    gossip.sighted("a", "192.0.2.7", 4000, 0.0)
    gossip.on_response(GossipResponse(online={"a": [info("a")]}), 0.0)

    assert ("192.0.2.7", "host-a", "192.0.2.1") == gossip.members["a"].addresses()


def test_the_host_name_comes_last_where_it_is_not_to_be_used() -> None:
    gossip = Gossip("me", use_hostname=False)
    gossip.on_response(GossipResponse(online={"a": [info("a")]}), 0.0)

    assert ("192.0.2.1", "host-a") == gossip.members["a"].addresses()


def test_one_node_is_not_asked_over_and_over() -> None:
    gossip = node()
    asked = [len(gossip.sighted("a", "192.0.2.7", 4000, at).ask) for at in (0.0, ASK_PAUSE / 2, ASK_PAUSE)]

    assert [1, 0, 1] == asked


def test_more_nodes_than_the_bound_are_refused() -> None:
    gossip = Gossip("me", nodes_max=2)
    for number in range(5):
        gossip.sighted(f"n{number}", "192.0.2.7", 4000, 0.0)

    assert (2, 3) == (len(gossip.members), gossip.refused)


def test_nodes_long_gone_are_forgotten_but_not_those_in_the_configuration() -> None:
    gossip = Gossip("me", forget_after=600.0)
    gossip.sighted("a", "192.0.2.7", 4000, 0.0)
    gossip.sighted("b", "192.0.2.7", 4000, 0.0, lasting=True)

    assert [] == gossip.forget(600.0)
    assert ["a"] == gossip.forget(601.0)
    assert ["b"] == list(gossip.members)


# --- strangers ---

SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["me", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["me", "a", "b", "seq", "port", "hostname", "ipList"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["hello", "req", "res"]), SHAPES, SHAPES, st.sampled_from(["a", "me", "?"])),
        max_size=6,
    )
)
def test_no_packet_raises_or_breaks_what_is_known(packets: list[tuple[str, Any, Any, str]]) -> None:
    gossip = knowing(a=7)
    for kind, first, second, sender in packets:
        if kind == "hello":
            gossip.on_hello(GossipHello(first, second, "5", sender), "192.0.2.9", 0.0)
        elif kind == "req":
            gossip.on_request(request(first, second, sender), 0.0)
        else:
            gossip.on_response(GossipResponse(first, second, "5", sender), 0.0)

    msgspec.json.encode(gossip.request())
    for one in gossip.members.values():
        assert port_of(one.port) is not None
        assert one.seq == 0 or seq_of(one.seq) is not None
        assert all(isinstance(host, str) for host in one.addresses())


# --- together ---


class Crowd:
    """Nodes that exchange packets through JSON, each delivered at once, drawn by chance."""

    def __init__(self, count: int, chance: random.Random) -> None:
        self.chance = chance
        self.nodes = {f"n{number}": node(f"n{number}") for number in range(count)}
        self.lines_down: set[str] = set()
        self.now = 0.0

    def meet_by_chain(self) -> None:
        """Each knows the address of the one before it."""
        ids = list(self.nodes)
        for earlier, later in itertools.pairwise(ids):
            self.nodes[later].sighted(earlier, "192.0.2.1", 4000, self.now)

    def round(self) -> None:
        ids = list(self.nodes)
        self.chance.shuffle(ids)
        for id in ids:
            self.now += 0.2
            for partner in self.nodes[id].partners(self.chance.random):
                self.ask(id, partner.id)

    def ask(self, asker: str, asked: str, depth: int = 0) -> None:
        here, there = self.nodes[asker], self.nodes.get(asked)
        if there is None or depth > 3:
            here.lost(asked, self.now)
            return
        self._act(asked, there.on_hello(GossipHello("h", 4000, "5", asker), "192.0.2.1", self.now), depth)
        sent = here.request()
        news = there.on_request(GossipRequest(copied(sent.online), copied(sent.offline), "5", asker), self.now)
        for answer in news.answers:
            back = GossipResponse(copied(answer.online), copied(answer.offline), "5", asked)
            self._act(asker, here.on_response(back, self.now), depth)
        self._act(asked, news, depth)

    def _act(self, id: str, news: News, depth: int) -> None:
        for one in news.ask:
            self.ask(id, one.id, depth + 1)

    def views(self) -> list[dict[str, int]]:
        """What each takes for online. Of those that are gone for good, a later comer need not hear."""
        return [
            {one.id: one.seq for one in (gossip.own, *gossip.members.values()) if one.online}
            for gossip in self.nodes.values()
        ]

    def agreed(self) -> bool:
        first, *others = self.views()
        return set(self.nodes) == set(first) and all(view == first for view in others)


def copied(value: Any) -> Any:
    return UNSET if value is UNSET else msgspec.json.decode(msgspec.json.encode(value))


@given(st.integers(2, 7), st.integers(0, 2**32))
@settings(max_examples=150)
def test_all_come_to_know_all(count: int, seed: int) -> None:
    crowd = Crowd(count, random.Random(seed))
    crowd.meet_by_chain()

    for _ in range(60):
        crowd.round()
        if crowd.agreed():
            return
    raise AssertionError(crowd.views())


@given(
    st.integers(3, 6),
    st.integers(0, 2**32),
    st.lists(st.sampled_from(["change", "kill", "restart", "break"]), max_size=5),
)
@settings(max_examples=150)
def test_after_any_troubles_all_agree_again(count: int, seed: int, troubles: list[str]) -> None:
    chance = random.Random(seed)
    crowd = Crowd(count, chance)
    crowd.meet_by_chain()
    for _ in range(10):
        crowd.round()
    for trouble in troubles:
        id = chance.choice(list(crowd.nodes))
        if trouble == "change":
            own = crowd.nodes[id].own
            crowd.nodes[id].announce(info(id), own.seq + 1)
        elif trouble == "break":
            crowd.nodes[id].lost(chance.choice(list(crowd.nodes)), crowd.now)
        elif trouble == "restart":
            crowd.nodes[id] = node(id, 1)
            other = chance.choice([one for one in crowd.nodes if one != id])
            crowd.nodes[id].sighted(other, "192.0.2.1", 4000, crowd.now)
        elif len(crowd.nodes) > 2:
            del crowd.nodes[id]
            for other in crowd.nodes.values():
                other.lost(id, crowd.now)
        crowd.round()

    for _ in range(80):
        crowd.round()
        if crowd.agreed():
            return
    raise AssertionError(crowd.views())
