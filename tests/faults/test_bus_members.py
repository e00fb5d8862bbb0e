"""What a member of the bus could do to the others (reliability reference, section 1), said by a client that is not ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, event
from tautomer.errors import MoleculerError
from tautomer.settings import RegistrySettings

from .crew import Crew, Worker, offering, until
from .gauges import tables
from .intruder import Intruder, info, request, service
from .load import Load, tell

pytestmark = pytest.mark.slow

MIB = 1024 * 1024


class Guarded(Service):
    name = "guarded"

    def __init__(self) -> None:
        super().__init__()
        self.conflicts: list[Any] = []

    @action(visibility="protected")
    async def inside(self, ctx: Context) -> str:
        return "secret"

    @event("$node.conflict")
    def on_conflict(self, ctx: Context) -> None:
        self.conflicts.append(ctx.params)


@pytest.fixture
async def worker(crew: Crew) -> Worker:
    return await crew.worker("w1")


@pytest.fixture
def guarded() -> Guarded:
    return Guarded()


@pytest.fixture
async def caller(crew: Crew, worker: Worker, guarded: Guarded) -> Broker:
    return await crew.caller("caller", guarded, sees=["w1"])


@pytest.fixture
async def intruder(crew: Crew, caller: Broker) -> AsyncIterator[Intruder]:
    async with Intruder(crew.server.url) as made:
        yield made


async def test_an_answer_from_another_node_than_was_asked_is_dropped(caller: Broker, intruder: Intruder) -> None:
    """Node takes it, with a status of the sender's choice."""
    call = asyncio.create_task(caller.call("work.rest", {"seconds": 0.3, "right": True}, timeout=5.0))
    await until(lambda: intruder.packets("MOL.REQ.w1"))
    asked = intruder.packets("MOL.REQ.w1")[0]
    for sender in ("intruder", "caller", "w2"):
        await intruder.say("RES", "caller", id=asked["id"], success=True, data="wrong", meta={}, sender=sender)

    answer = await call
    dropped = caller.statistics()["transit"]["dropped"]["orphan"]
    tell(
        "answer by a node that was not asked",
        forged=3,
        dropped=dropped,
        answer="the right one" if answer["right"] else "forged",
    )
    assert {"seconds": 0.3, "right": True} == answer
    assert 3 == dropped


async def test_an_info_in_a_running_nodes_name_ends_nobody(
    worker: Worker, caller: Broker, guarded: Guarded, intruder: Intruder
) -> None:
    """Node: the process that has the name exits with code 1."""
    await intruder.say("INFO", **info(sender="caller"))
    await intruder.say("INFO", **info(sender="w1", services=[service("work", "echo")]))
    await until(lambda: guarded.conflicts)
    answer = await intruder.ask("w1", "work.echo", {"n": 1})

    tell(
        "INFO in a running node's name", processes_ended=int(not worker.running), conflicts_told=len(guarded.conflicts)
    )
    assert worker.running
    assert answer["success"]
    assert "caller" == guarded.conflicts[0]["nodeID"]
    assert {"n": 2} == await caller.call("work.echo", {"n": 2}, timeout=2.0)


async def test_a_node_is_back_within_a_second_of_a_forged_disconnect(caller: Broker, intruder: Intruder) -> None:
    """Node: 4 s of 404."""
    away = []
    for _ in range(3):
        await intruder.say("DISCONNECT", sender="w1")
        await until(lambda: [] == offering(caller))
        gone = time.monotonic()
        await until(lambda: ["w1"] == offering(caller))
        away.append(time.monotonic() - gone)

    tell("DISCONNECT in another's name", back_after=max(away))
    assert max(away) <= 1.0 + 0.2
    assert {"n": 1} == await caller.call("work.echo", {"n": 1}, timeout=2.0)


async def test_a_protected_action_is_not_found_over_the_wire(caller: Broker, intruder: Intruder) -> None:
    """Node answers it."""
    answer = await intruder.ask("caller", "guarded.inside")

    tell("protected action called over the wire", answer=f"{answer['error']['name']} {answer['error']['code']}")
    assert (False, "ServiceNotFoundError", 404) == (answer["success"], answer["error"]["name"], answer["error"]["code"])
    assert "secret" == await caller.call("guarded.inside")


async def test_a_sender_that_is_no_part_of_a_subject_costs_nobody_the_line(
    worker: Worker, caller: Broker, intruder: Intruder
) -> None:
    """Node's reply breaks its own connection to the message broker."""
    senders = ("a b", "a\r\nPUB x 1\r\n1", "a\tb", "*", ">", "a.>", "", " ", "a\x00b", "x" * 5000)
    for sender in senders:
        for target in ("w1", "caller"):
            await intruder.say("REQ", target, sender=sender, **request("r", "work.echo"))
            await intruder.say("DISCOVER", target, sender=sender)
            await intruder.say("PING", target, sender=sender, time=1, id="p")
        await intruder.say("INFO", **info(sender=sender))
        await intruder.say("HEARTBEAT", sender=sender, cpu=1)
    answer = await intruder.ask("w1", "work.gauges")
    await intruder.ask("caller", "$node.options")

    dropped = answer["data"]["statistics"]["dropped"]
    tell("sender with blanks and line ends", said=5 * len(senders), dropped_by_each=dropped["sender"], lines_lost=0)
    assert 5 * len(senders) == dropped["sender"] == caller.statistics()["transit"]["dropped"]["sender"]
    assert caller.connected
    assert {"n": 1} == await caller.call("work.echo", {"n": 1}, timeout=2.0)


async def test_a_malformed_info_is_refused_whole_and_the_last_good_one_stays(
    caller: Broker, intruder: Intruder
) -> None:
    """Node: the gateway's process ends, as it rebuilds its aliases of it."""
    await intruder.say("INFO", **info(service("theirs", "do")))
    await until(lambda: ["intruder"] == offering(caller, "theirs.do"))
    bad: tuple[Any, ...] = (
        None,
        "x",
        {"name": "x"},
        [None],
        [{"name": None}],
        [{"name": "a b"}],
        [{"name": "x", "actions": 5}],
        [{"name": "x", "actions": {"x.y": None}}],
        [{"name": "x", "actions": {"x.y": {"name": "x.y\r\n"}}}],
        [{"name": "n" * 300}],
    )
    for seq, services in enumerate(bad, 10**7):
        await intruder.say("INFO", **{**info(), "services": services, "seq": seq})
    await intruder.ask("caller", "$node.options")

    offered = sorted(name for name in caller.registry.actions if "intruder" in offering(caller, name))
    tell("INFO with malformed services", said=len(bad), offered_afterwards=" ".join(offered))
    assert ["theirs.do"] == offered
    assert {"n": 1} == await caller.call("work.echo", {"n": 1}, timeout=2.0)


async def test_a_failure_without_an_error_ends_the_call(caller: Broker, intruder: Intruder) -> None:
    """Node: the HTTP request that waits for it hangs for ever."""
    await intruder.say("INFO", **info(service("theirs", "do")))
    await until(lambda: ["intruder"] == offering(caller, "theirs.do"))
    errors: tuple[Any, ...] = (None, 0, "", [], {}, {"name": 5, "code": "x", "message": None})
    ended = []
    for error in errors:
        call = asyncio.create_task(caller.call("theirs.do", timeout=5.0))
        seen = len(ended)
        await until(lambda seen=seen: len(intruder.packets("MOL.REQ.intruder", action="theirs.do")) > seen)  # type: ignore[misc]
        asked = intruder.packets("MOL.REQ.intruder", action="theirs.do")[-1]
        began = time.monotonic()
        await intruder.say("RES", "caller", id=asked["id"], success=False, error=error, meta={})
        with pytest.raises(MoleculerError) as caught:
            await call
        assert caught.value.code == "x" or 400 <= int(caught.value.code) < 600
        ended.append(time.monotonic() - began)

    tell("failure without an error", said=len(errors), calls_ended=len(ended), slowest=max(ended))
    assert max(ended) < 1.0


async def test_a_request_that_comes_five_times_runs_once(crew: Crew, caller: Broker, intruder: Intruder) -> None:
    """Node runs it five times."""
    for _ in range(5):
        await intruder.say("REQ", "w1", **request("the-same", "work.echo", {"n": 4711}))
    await intruder.ask("w1", "work.echo", {"n": 1})

    runs = [run for run in crew.ledger.runs() if run.number == 4711]
    tell("same request five times", ran=len(runs))
    assert 1 == len(runs)


@pytest.mark.parametrize(
    ("flood", "bound", "patience"),
    [(600, 500, 2.0), pytest.param(2_500, 2_000, 3.7, marks=pytest.mark.full)],
)
async def test_a_flood_of_unknown_nodes_is_bounded_and_calls_go_on(
    crew: Crew, flood: int, bound: int, patience: float
) -> None:
    """Node: +130 MB, and deaf for 3.7 s, after 2,000 of them."""
    services = [service(f"s{number}", *(f"a{n}" for n in range(10))) for number in range(5)]
    worker = await crew.worker("w1", registry={"nodes_max": bound})
    caller = await crew.caller(sees=["w1"], registry=RegistrySettings(nodes_max=bound))
    held = worker.memory
    async with (
        Intruder(crew.server.url) as intruder,
        Load(lambda n: caller.call("work.echo", {"n": n}, timeout=10.0), rate=50, timeout=10.0) as load,
    ):
        await asyncio.sleep(0.2)
        for number in range(flood):
            await intruder.say("INFO", **info(*services, sender=f"unknown-{number}", instanceID=f"i-{number}"))
            if number % 100 == 0:
                await intruder.flush()
        answer = await intruder.ask("w1", "work.gauges", seconds=30.0)

    known = [answer["data"]["tables"]["Membership.peers"], tables(caller)["Membership.peers"]]
    slowest = max(outcome.latency for outcome in load.outcomes)
    tell(
        f"{flood} INFO of unknown nodes, 50 actions each",
        nodes_known=max(known),
        refused=answer["data"]["statistics"]["dropped"]["nodes"],
        memory_grown_MiB=(worker.memory - held) / MIB,
        calls=len(load.outcomes),
        failed=load.failures,
        slowest_call=slowest,
    )
    assert max(known) <= bound
    assert 0 == sum(load.failures.values())
    assert slowest < patience


async def test_heartbeats_of_unknown_nodes_lead_to_few_questions(
    worker: Worker, caller: Broker, intruder: Intruder
) -> None:
    """Node: 2,000 DISCOVER from every node."""
    began = time.monotonic()
    for number in range(2_000):
        await intruder.say("HEARTBEAT", sender=f"unknown-{number}", cpu=1)
    await intruder.ask("w1", "work.echo")
    await intruder.ask("caller", "$node.options")
    seconds = time.monotonic() - began
    asked = {
        sender: sum(
            packet["sender"] == sender and subject.startswith("MOL.DISCOVER.unknown-")
            for subject, packet in intruder.heard
        )
        for sender in ("w1", "caller")
    }

    tell("2,000 heartbeats of unknown nodes", **{f"DISCOVER_by_{node}": number for node, number in asked.items()})
    assert max(asked.values()) <= 50 * (1 + seconds)
