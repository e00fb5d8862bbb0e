"""SimNetwork: what its lines do, and what goes wrong there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tautomer.errors import BrokerDisconnectedError, BrokerOptionsError
from tautomer.ports import Transporter
from tautomer.testing import Conditions, SimLoop, SimNetwork, SimTransporter
from tautomer.testing.network import PENDING_MAX
from tests.transporters.suite import RecordingLink, TransporterSuite


class TestSuite(TransporterSuite):
    """The same suite as every transporter passes, on a real loop."""

    @pytest.fixture(autouse=True)
    def network(self) -> None:
        self._network = SimNetwork(1, Conditions(delay=0.0001, delay_least=0.0))

    def make(self) -> Transporter:
        return self._network.transporter(f"n{len(self._open)}")


class Bench:
    """Lines to one network on a virtual clock."""

    def __init__(self) -> None:
        self.loop = SimLoop()
        self.network = SimNetwork(1)

    def line(self, node_id: str, *topics: str) -> tuple[SimTransporter, RecordingLink]:
        transporter, link = self.network.transporter(node_id), RecordingLink()

        async def connect() -> None:
            await transporter.connect(link)
            await transporter.subscribe(topics)

        self.loop.run_until_complete(connect())
        return transporter, link

    def send(self, transporter: SimTransporter, *data: bytes, topic: str = "t") -> None:
        for one in data:
            transporter.send(topic, one, "token")

    def run(self, seconds: float = 1.0) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.loop.close()


def heard(link: RecordingLink) -> list[bytes]:
    return [data for _topic, data in link.messages]


NUMBERS = [b"%03d" % number for number in range(300)]


def test_one_sender_and_topic_keep_their_order(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")

    bench.send(a, *NUMBERS)
    bench.run()

    assert NUMBERS == heard(link)


@pytest.mark.parametrize("line_order", [False, True])
def test_topics_overtake_each_other_unless_the_line_keeps_order(bench: Bench, line_order: bool) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t", "u")
    bench.network.conditions = Conditions(line_order=line_order)

    for number, data in enumerate(NUMBERS):
        bench.send(a, data, topic="tu"[number % 2])
    bench.run()

    assert line_order == (NUMBERS == heard(link))


def test_reordering_breaks_the_order_and_loses_nothing(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.conditions = Conditions(reorder=0.3)

    bench.send(a, *NUMBERS)
    bench.run()

    assert NUMBERS != heard(link)
    assert NUMBERS == sorted(heard(link))


def test_loss_loses_some(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.conditions = Conditions(loss=0.5)

    bench.send(a, *NUMBERS)
    bench.run()

    assert 100 < len(link.messages) < 200


def test_duplication_doubles_some(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.conditions = Conditions(duplication=0.5)

    bench.send(a, *NUMBERS)
    bench.run()

    assert 400 < len(link.messages) < 500
    assert NUMBERS == sorted(set(heard(link)))


def test_a_split_parts_both_ways_until_it_heals(bench: Bench) -> None:
    a, at_a = bench.line("a", "t")
    b, at_b = bench.line("b", "t")
    bench.network.split("a")

    bench.send(a, b"from a")
    bench.send(b, b"from b")
    bench.run()
    assert ([b"from a"], [b"from b"]) == (heard(at_a), heard(at_b))

    bench.network.heal()
    bench.send(a, b"healed")
    bench.run()
    assert b"healed" in heard(at_b)


def test_a_one_way_split_parts_one_way(bench: Bench) -> None:
    a, at_a = bench.line("a", "t")
    b, at_b = bench.line("b", "t")
    bench.network.split("a", "b", one_way=True)

    bench.send(a, b"from a")
    bench.send(b, b"from b")
    bench.run()

    assert [b"from a", b"from b"] == sorted(heard(at_a))
    assert [b"from b"] == heard(at_b)


def test_a_split_leaves_third_nodes_alone(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, at_b = bench.line("b", "t")
    _, at_c = bench.line("c", "t")
    bench.network.split("a", "b")

    bench.send(a, b"x")
    bench.run()

    assert ([], [b"x"]) == (heard(at_b), heard(at_c))


def test_a_clogged_link_holds_back_and_loses_nothing(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.clog("a", "b", bench.loop.time() + 5)

    bench.send(a, *NUMBERS)
    bench.run(4.9)
    assert [] == heard(link)

    bench.run(1.0)
    assert NUMBERS == heard(link)


def test_one_link_may_be_slow(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, at_b = bench.line("b", "t")
    _, at_c = bench.line("c", "t")
    bench.network.between["a", "b"] = Conditions(delay_least=3.0)

    bench.send(a, b"x")
    bench.run(1)
    assert ([], [b"x"]) == (heard(at_b), heard(at_c))

    bench.run(3)
    assert [b"x"] == heard(at_b)


def test_what_is_sent_while_the_line_is_away_leaves_on_return(bench: Bench) -> None:
    a, at_a = bench.line("a", "t")
    _, at_b = bench.line("b", "t")
    bench.network.disconnect("a")
    bench.run()
    assert not a.connected

    bench.send(a, b"1", b"2")
    bench.run()
    assert [] == heard(at_b)

    bench.network.reconnect("a")
    bench.run()
    assert [b"1", b"2"] == heard(at_b) == heard(at_a)
    assert ["down", "up"] == [state[:4].strip() for state in at_a.states]


def test_what_is_sent_before_the_loss_is_noticed_is_lost(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.disconnect("a", noticed_after=1.0)

    bench.send(a, b"lost")
    bench.run(2.0)
    bench.send(a, b"kept")
    bench.network.reconnect("a")
    bench.run()

    assert [b"kept"] == heard(link)


def test_of_what_a_lost_line_had_not_taken_the_last_is_told_of_after_the_loss(bench: Bench) -> None:
    """As much as was not yet in the machine's own buffer, which is drawn."""

    class Noting(RecordingLink):
        def unsent(self, token: str) -> None:
            self.states.append(token)

    tokens = [str(number) for number in range(20)]
    told = []
    for node_id in ("a", "b", "c"):
        transporter, link = bench.network.transporter(node_id), Noting()
        bench.loop.run_until_complete(transporter.connect(link))
        transporter.send("t", b"taken", "taken")
        bench.network.disconnect(node_id, noticed_after=1.0)
        for token in tokens:
            transporter.send("t", b"x", token)
        bench.run(2.0)
        told.append(link.states[1:])
        assert "down" == link.states[0][:4]

    assert all(one == tokens[len(tokens) - len(one) :] for one in told)
    assert 1 < len({len(one) for one in told})


def test_what_is_sent_over_a_line_that_is_known_to_be_away_is_told_to_whoever_watches(bench: Bench) -> None:
    a, _ = bench.line("a")
    kept: list[tuple[str, str]] = []
    bench.network.on_kept.append(lambda node_id, topic: kept.append((node_id, topic)))

    bench.send(a, b"over the line")
    bench.network.disconnect("a")
    bench.run()
    bench.send(a, b"kept")

    assert [("a", "t")] == kept


def test_a_line_that_is_away_hears_nothing(bench: Bench) -> None:
    a, _ = bench.line("a")
    _, link = bench.line("b", "t")
    bench.network.disconnect("b")

    bench.send(a, b"missed")
    bench.run()
    bench.network.reconnect("b")
    bench.run()

    assert [] == heard(link)


def test_the_buffer_of_a_line_that_is_away_has_a_bound(bench: Bench) -> None:
    a, _ = bench.line("a")
    bench.network.disconnect("a")
    bench.run()

    bench.send(a, *[b"x"] * PENDING_MAX)

    with pytest.raises(BrokerDisconnectedError, match="buffer full"):
        a.send("t", b"one more")


def test_connecting_waits_while_there_is_no_broker(bench: Bench) -> None:
    first = bench.network.transporter("a")
    connecting = bench.loop.create_task(first.connect(RecordingLink()))
    bench.loop.call_soon(lambda: bench.loop.call_soon(bench.network.disconnect, "a"))
    bench.run(5)
    assert not connecting.done()

    bench.network.reconnect("a")
    bench.run(0.1)

    assert connecting.done()
    assert first.connected


def test_whether_nobody_listens_is_told_only_where_the_broker_can(bench: Bench) -> None:
    a, link = bench.line("a")
    bench.send(a, b"x", topic="nobody")
    bench.run()
    assert ["token"] == link.tokens

    bench.network.tells_undelivered = False
    bench.send(a, b"x", topic="nobody")
    bench.run()
    assert ["token"] == link.tokens


def test_every_delivery_is_in_the_trace() -> None:
    def trace(data: bytes) -> str:
        bench = Bench()
        a, _ = bench.line("a")
        bench.line("b", "t")
        bench.send(a, data)
        bench.run()
        bench.loop.close()
        return bench.network.trace.hash

    assert trace(b"x") == trace(b"x") != trace(b"y")


@pytest.mark.parametrize("wrong", [{"los": 0.1}])
def test_a_misspelt_condition_is_an_error(wrong: dict[str, Any]) -> None:
    make: Callable[..., Conditions] = Conditions

    with pytest.raises(BrokerOptionsError, match="did you mean 'loss'"):
        make(**wrong)
