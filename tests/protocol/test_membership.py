"""Membership against a naive model, and both sides of every edge in time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tautomer.protocol.membership import Change, Membership

NODES = st.sampled_from(["a", "b", "c", "d"])
INSTANCES = st.sampled_from(["i-1", "i-2", None])
SPOKEN = st.sampled_from(["4", "5"])
SEQS = st.integers(1, 4)


@dataclass
class Known:
    """What the model remembers of a node: everything that was heard since it last (re)joined."""

    instance: str | None
    seq: int
    versions: set[str]
    heard_at: float
    offline_since: float | None = None


@dataclass
class Model:
    """Membership as one would write it down without a thought for cost."""

    timeout: float = 3.0
    forget_after: float = 5.0
    nodes_max: int = 3
    asks: int = 2
    nodes: dict[str, Known] = field(default_factory=dict)
    asked: list[tuple[float, str]] = field(default_factory=list)

    def may_ask(self, node: str, now: float) -> bool:
        lately = [who for at, who in self.asked if now - at < 1.0]
        has_place = node in self.nodes or len(self.nodes) < self.nodes_max
        if has_place and node not in lately and len(lately) < self.asks:
            self.asked.append((now, node))
            return True
        return False

    def online(self, node: str) -> bool:
        return node in self.nodes and self.nodes[node].offline_since is None


class MembershipMachine(RuleBasedStateMachine):
    """Times are quarters of a second, which floats hold exactly, so that edges are hit."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.model = Model()
        self.real = Membership(3.0, 5.0, 3, 2)

    @rule(quarters=st.integers(1, 14))
    def time_passes(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule(node=NODES, instance=INSTANCES, seq=SEQS, version=SPOKEN)
    def info(self, node: str, instance: str | None, seq: int, version: str) -> None:
        known = self.model.nodes.get(node)
        expected = self.expected_change(known, instance, seq)
        if expected is not Change.REFUSED:
            is_back = expected is Change.RECONNECTED
            if known is None or known.instance != instance or (is_back and not instance):
                self.model.nodes[node] = known = Known(instance, seq, set(), self.now)
            elif is_back:
                known.seq, known.offline_since = seq, None
            if expected is Change.UPDATED:
                known.seq = seq
            known.versions.add(version)
            known.heard_at = self.now

        assert expected is self.real.info(node, instance, seq, version, self.now)

    def expected_change(self, known: Known | None, instance: str | None, seq: int) -> Change:
        if known is None:
            return Change.JOINED if len(self.model.nodes) < self.model.nodes_max else Change.REFUSED
        if known.offline_since is not None:
            return Change.RECONNECTED
        return Change.UPDATED if instance != known.instance or seq > known.seq else Change.NONE

    @rule(node=NODES, version=SPOKEN, seq=st.none() | SEQS, instance=st.sampled_from([None, "i", "i-1", "i-2"]))
    def heartbeat(self, node: str, version: str, seq: int | None, instance: str | None) -> None:
        if self.model.online(node):
            known = self.model.nodes[node]
            strange = seq not in (None, known.seq) or not (known.instance or "").startswith(instance or "")
            self.hear(node, version)
            expected = strange and self.model.may_ask(node, self.now)
        else:
            expected = self.model.may_ask(node, self.now)

        assert expected is self.real.heartbeat(node, version, self.now, seq, instance)

    @rule(node=NODES, version=SPOKEN)
    def another_packet(self, node: str, version: str) -> None:
        if self.model.online(node):
            self.hear(node, version)
            expected = False
        else:
            expected = self.model.may_ask(node, self.now)

        assert expected is self.real.heard(node, version, self.now)

    @rule(node=NODES)
    def leave(self, node: str) -> None:
        expected = self.model.online(node)
        if expected:
            self.model.nodes[node].offline_since = self.now

        assert expected is self.real.leave(node, self.now)

    @rule()
    def sweep(self) -> None:
        lost = [n for n, k in self.model.nodes.items() if self.model.online(n) and k.heard_at < self.now - 3.0]
        for node in lost:
            self.model.nodes[node].offline_since = self.now

        assert lost == sorted(self.real.expire(self.now), key=list(self.model.nodes).index)

    @rule()
    def forget(self) -> None:
        gone = [
            n for n, k in self.model.nodes.items() if k.offline_since is not None and k.offline_since < self.now - 5
        ]
        for node in gone:
            del self.model.nodes[node]

        assert set(gone) == set(self.real.forget(self.now))

    def hear(self, node: str, version: str) -> None:
        self.model.nodes[node].versions.add(version)
        self.model.nodes[node].heard_at = self.now

    @invariant()
    def both_know_the_same_nodes(self) -> None:
        assert set(self.model.nodes) == set(self.real.peers)
        for node, known in self.model.nodes.items():
            peer = self.real.peers[node]
            assert (known.instance, known.seq, known.offline_since) == (peer.instance_id, peer.seq, peer.offline_since)
            assert self.model.online(node) is peer.online

    @invariant()
    def each_is_answered_in_the_newest_version_it_spoke(self) -> None:
        for node in ("a", "b", "c", "d", "never heard"):
            known = self.model.nodes.get(node)
            assert (max(known.versions) if known else None) == self.real.version_of(node)

    @invariant()
    def broadcasts_go_out_in_the_versions_of_those_online(self) -> None:
        spoken = {max(k.versions) for n, k in self.model.nodes.items() if self.model.online(n)}
        assert (tuple(sorted(spoken)) or ("4", "5")) == self.real.versions()

    @invariant()
    def nothing_grows_beyond_its_bound(self) -> None:
        assert len(self.real.peers) <= 3
        assert len(self.real._asked_at) <= 2


@pytest.mark.slow
def test_whatever_happens_membership_does_what_its_model_does() -> None:
    run_state_machine_as_test(MembershipMachine, settings=settings(max_examples=150, stateful_step_count=40))


def joined(node_id: str = "b", now: float = 0.0, version: str = "5") -> Membership:
    membership = Membership(timeout=30.0)
    assert Change.JOINED is membership.info(node_id, "i-1", 2, version, now)
    return membership


class TestEdgesInTime:
    def test_a_silent_node_is_lost_after_the_timeout_and_not_before(self) -> None:
        membership = joined()

        assert () == membership.expire(30.0)
        assert ("b",) == membership.expire(30.1)
        assert () == membership.expire(99.0)

    @pytest.mark.parametrize("sign", ["heartbeat", "heard", "info"])
    def test_any_sign_of_life_puts_that_off(self, sign: str) -> None:
        membership = joined()
        match sign:
            case "heartbeat":
                membership.heartbeat("b", "5", 10.0)
            case "heard":
                membership.heard("b", "5", 10.0)
            case "info":
                assert Change.NONE is membership.info("b", "i-1", 1, "5", 10.0)

        assert () == membership.expire(40.0)
        assert ("b",) == membership.expire(40.1)

    def test_a_node_that_left_is_forgotten_after_ten_minutes_and_not_before(self) -> None:
        membership = joined()
        membership.leave("b", 5.0)

        assert () == membership.forget(605.0)
        assert ("b",) == membership.forget(605.1)
        assert () == membership.forget(9_999.0)

    def test_a_node_that_is_online_is_never_forgotten(self) -> None:
        assert () == joined().forget(1e9)

    def test_one_node_is_asked_once_a_second(self) -> None:
        membership = Membership(timeout=30.0)

        assert membership.heartbeat("new", "5", 0.0)
        assert not membership.heartbeat("new", "5", 0.99)
        assert membership.heartbeat("new", "5", 1.0)

    def test_fifty_asks_leave_in_a_second_whoever_beats(self) -> None:
        membership = Membership(timeout=30.0)

        asked = [membership.heartbeat(f"n-{number}", "5", 0.0) for number in range(2_000)]

        assert 50 == sum(asked)
        assert not membership.heartbeat("late", "5", 0.99)
        assert membership.heartbeat("late", "5", 1.0)

    def test_a_clock_that_starts_anywhere_will_do(self) -> None:
        for start in (-1_000.0, 0.0, 1e9):
            membership = Membership(timeout=30.0)

            assert membership.heartbeat("new", "5", start)
            assert not membership.heartbeat("new", "5", start + 0.5)


class TestRestart:
    def test_a_lower_seq_of_a_new_instance_is_news(self) -> None:
        membership = joined()

        assert Change.UPDATED is membership.info("b", "i-2", 1, "5", 1.0)
        assert Change.NONE is membership.info("b", "i-2", 1, "5", 1.0)

    def test_an_older_seq_of_the_same_instance_is_not(self) -> None:
        membership = joined()

        assert Change.NONE is membership.info("b", "i-1", 1, "5", 1.0)
        assert 2 == membership.peers["b"].seq

    def test_a_node_thought_lost_comes_back_with_the_seq_it_had(self) -> None:
        membership = joined()
        membership.expire(31.0)

        assert membership.heartbeat("b", "5", 32.0)
        assert Change.RECONNECTED is membership.info("b", "i-1", 2, "5", 32.1)

    def test_a_node_that_speaks_though_it_was_said_to_be_gone_is_asked(self) -> None:
        """One false DISCONNECT in its name must not keep it away for long (reliability reference, section 1)."""
        membership = joined()
        membership.leave("b", 1.0)

        assert membership.heard("b", "5", 1.1)

    def test_a_heartbeat_with_the_head_of_the_instance_id_is_no_change(self) -> None:
        membership = joined()

        assert not membership.heartbeat("b", "5", 1.0, 2, "i")
        assert not membership.heartbeat("b", "5", 1.0, 2, "i-1")
        assert membership.heartbeat("b", "5", 1.0, 2, "i-2")

    def test_a_heartbeat_with_another_seq_is_one(self) -> None:
        assert joined().heartbeat("b", "5", 1.0, 3)


class TestVersions:
    def test_broadcasts_go_out_in_both_until_somebody_was_heard(self) -> None:
        assert ("4", "5") == Membership(timeout=30.0).versions()

    def test_then_in_those_that_are_spoken_and_in_one_more_when_it_appears(self) -> None:
        membership = joined(version="4")

        assert ("4",) == membership.versions()
        membership.info("c", "i-9", 1, "5", 1.0)
        assert ("4", "5") == membership.versions()

    def test_in_both_again_when_everybody_has_left(self) -> None:
        membership = joined(version="4")
        membership.leave("b", 1.0)

        assert ("4", "5") == membership.versions()

    @pytest.mark.parametrize("order", [("4", "5"), ("5", "4")])
    def test_a_node_that_speaks_both_is_answered_in_the_newer(self, order: tuple[str, str]) -> None:
        membership = Membership(timeout=30.0)

        first = membership.info("b", "i-1", 2, order[0], 0.0)
        second = membership.info("b", "i-1", 2, order[1], 0.0)

        assert (Change.JOINED, Change.NONE) == (first, second)
        assert ("5", ("5",)) == (membership.version_of("b"), membership.versions())

    def test_a_node_that_comes_back_as_an_older_release_is_answered_in_the_older(self) -> None:
        for instance in ("i-2", None):
            membership = joined(version="5")
            membership.leave("b", 1.0)
            membership.info("b", instance, 1, "4", 2.0)

            assert "4" == membership.version_of("b")

    def test_the_same_instance_speaks_what_it_spoke_before_it_was_away(self) -> None:
        """A release is not changed while it runs: of its first words after a split the older ones may come alone."""
        membership = joined(version="5")
        membership.leave("b", 1.0)
        membership.info("b", "i-1", 1, "4", 2.0)

        assert "5" == membership.version_of("b")
        assert ("5", "4") == membership.peers["b"].spoken

    def test_so_is_one_that_was_replaced_without_a_goodbye(self) -> None:
        membership = joined(version="5")
        membership.info("b", "i-2", 1, "4", 2.0)

        assert "4" == membership.version_of("b")

    def test_who_was_never_heard_has_none(self) -> None:
        assert None is Membership(timeout=30.0).version_of("b")


class TestTooManyNodes:
    def test_those_over_the_limit_are_refused_counted_and_not_asked(self) -> None:
        membership = Membership(timeout=30.0, nodes_max=1)
        membership.info("a", "i-1", 1, "5", 0.0)

        assert Change.REFUSED is membership.info("b", "i-1", 1, "5", 0.0)
        assert 1 == membership.refused
        assert not membership.heartbeat("b", "5", 0.0)
        assert Change.UPDATED is membership.info("a", "i-1", 2, "5", 0.0)

    def test_a_place_that_becomes_free_is_given_away(self) -> None:
        membership = Membership(timeout=30.0, nodes_max=1)
        membership.info("a", "i-1", 1, "5", 0.0)
        membership.leave("a", 1.0)
        membership.forget(602.0)

        assert membership.heartbeat("b", "5", 602.0)
        assert Change.JOINED is membership.info("b", "i-1", 1, "5", 602.0)


def test_who_is_unknown_or_gone_cannot_leave() -> None:
    membership = joined()

    assert not membership.leave("stranger", 1.0)
    assert membership.leave("b", 1.0)
    assert not membership.leave("b", 2.0)
    assert 1.0 == membership.peers["b"].offline_since


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["info", "heartbeat", "leave", "expire", "forget"]),
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(["4", "5"]),
            st.sampled_from(["i-1", "i-2"]),
        ),
        max_size=25,
    )
)
def test_the_versions_present_are_those_of_the_nodes_online(steps: list[tuple[str, str, str, str]]) -> None:
    """They are counted along, as they are asked for with every packet sent to all."""
    membership = Membership(timeout=3.0, forget_after=5.0)
    for now, (step, node, version, instance) in enumerate(steps):
        match step:
            case "info":
                membership.info(node, instance, 1, version, float(now))
            case "heartbeat":
                membership.heartbeat(node, version, float(now))
            case "leave":
                membership.leave(node, float(now))
            case "expire":
                membership.expire(float(now))
            case "forget":
                membership.forget(float(now))

        online = {peer.version for peer in membership.peers.values() if peer.online}
        assert (tuple(sorted(online)) or ("4", "5")) == membership.versions()
        assert all(peer.version == max(peer.spoken) for peer in membership.peers.values())
