"""The checkers find what is broken: each test breaks one promise of the kernel on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tautomer.delivery import Delivery
from tautomer.errors import ServiceNotAvailableError
from tautomer.protocol.duplicates import SeenRequests
from tautomer.protocol.losses import Losses
from tautomer.protocol.membership import Membership
from tautomer.protocol.pending import PendingRequests
from tautomer.protocol.streams import Incoming
from tautomer.registry.events import EventTable
from tautomer.registry.registry import Registry
from tautomer.testing.faults import crash, doubling, lose_line, lossy, reordering
from tautomer.testing.sim import run_seed
from tautomer.testing.workload import Profile
from tautomer.transit import presence, requesting, serving, transit
from tautomer.transit.offline import Offline
from tautomer.transit.streaming import Streaming

Break = Callable[[pytest.MonkeyPatch], None]

SEEDS = range(10)

BUSY = Profile(
    nodes=3,
    seconds=12.0,
    pause=0.03,
    heartbeat=(1.0, 3.5),
    tells_undelivered=False,
    prefer_local=False,
    protocols=("auto",),
    gateway=False,
    busy_end=False,
    delay=0.005,
    line_order=False,
    faults=(),
)


def calls_never_time_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PendingRequests, "take_overdue", lambda _self, _now: [])


def calls_time_out_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requesting, "SWEEP", 0.4)


def a_lost_node_leaves_its_calls_waiting(patch: pytest.MonkeyPatch) -> None:
    """Such a call still ends by its deadline: what is left is that its node is asked although it is gone."""
    patch.setattr(Registry, "forget", lambda _self, _node_id, _now: False)


def overdue_handlers_run_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(serving.Serving, "_look", lambda _self: False)


def requests_run_twice(patch: pytest.MonkeyPatch) -> None:
    whole = serving.Serving.on_request

    def twice(self: serving.Serving, packet: Any) -> None:
        whole(self, packet)
        self._seen.newer.clear()
        whole(self, packet)

    patch.setattr(serving.Serving, "on_request", twice)


def requests_that_the_network_doubles_run_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SeenRequests, "newer", property(lambda _self: set(), lambda _self, _new: None), raising=False)


def events_that_the_network_doubles_are_heard_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SeenRequests, "came_before", lambda _self, _key, _now: False)


def what_ran_is_said_not_to_have_run(patch: pytest.MonkeyPatch) -> None:
    """As when a node is taken for gone, and its calls for surely not run."""
    patch.setattr(requesting, "RequestRejectedError", lambda action, node_id: ServiceNotAvailableError(action, node_id))


def a_call_is_not_tried_elsewhere(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(requesting, "may_go_elsewhere", lambda _error: False)


def word_that_comes_late_does_not_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Losses, "asked", lambda _self, _node_id, _token, _now: None)


def packets_are_sent_while_the_line_is_away(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(transit.Transit, "down", lambda _self, _reason: None)


def what_waits_for_the_line_is_kept_as_bytes(patch: pytest.MonkeyPatch) -> None:
    """So it leaves when the line is back, whatever became of its call."""
    kept: list[Any] = []

    def away(self: Any, *message: Any) -> None:
        kept.append((self, message))

    def back(self: Any, send: Any) -> None:
        for node, message in [one for one in kept if one[0].offline is self]:
            node._send_out(*message)
        whole(self, send)

    whole = Offline.back
    patch.setattr(transit.Transit, "_send_away", away)
    patch.setattr(Offline, "back", back)


def streams_that_miss_a_packet_wait_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Streaming, "_look", lambda _self: True)


def streams_come_out_of_order(patch: pytest.MonkeyPatch) -> None:
    whole = Incoming.push

    def push(self: Incoming, seq: int, *others: Any) -> None:
        whole(self, {2: 3, 3: 2}.get(seq, seq), *others)

    patch.setattr(Incoming, "push", push)


def a_stream_that_is_cut_seems_to_be_whole(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Incoming, "fail", lambda self, _error: setattr(self, "over", True))


def a_predecessor_is_taken_for_a_namesake(patch: pytest.MonkeyPatch) -> None:
    async def is_there(_self: Any) -> bool:
        return True

    patch.setattr(transit.Transit, "is_namesake_there", is_there)


def nobody_is_ever_lost(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Membership, "expire", lambda _self, _now: ())
    patch.setattr(presence.Presence, "lost", lambda _self, _node_id, unexpected: False)


def everybody_is_lost_soon(patch: pytest.MonkeyPatch) -> None:
    whole = Membership.expire
    patch.setattr(Membership, "expire", lambda self, now: whole(self, now + self.timeout * 0.7))


def a_changed_node_is_not_asked(patch: pytest.MonkeyPatch) -> None:
    whole = Membership.heartbeat
    patch.setattr(
        Membership, "heartbeat", lambda self, node_id, version, now, *_others: whole(self, node_id, version, now)
    )


def each_event_is_told_to_all(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        EventTable,
        "balanced",
        lambda self, event, groups, _ctx: [(endpoint, endpoint.group) for endpoint in self.everyone(event, groups)],
    )


def events_are_told_twice(patch: pytest.MonkeyPatch) -> None:
    whole = Delivery.tell

    def twice(self: Delivery, endpoint: Any, ctx: Any) -> asyncio.Task[Any] | None:
        whole(self, endpoint, ctx)
        return whole(self, endpoint, ctx)

    patch.setattr(Delivery, "tell", twice)


def refused_requests_run_all_the_same(patch: pytest.MonkeyPatch) -> None:
    """As when a token that was used before is taken for that of another request."""
    whole = requesting.Requesting.request

    async def request(self: Any, ctx: Any, endpoint: Any) -> Any:
        self._loop.call_later(0.002, self.undelivered, str(self._tokens_made + 1))
        return await whole(self, ctx, endpoint)

    patch.setattr(requesting.Requesting, "request", request)


def a_heartbeat_loop_outlives_its_node(patch: pytest.MonkeyPatch) -> None:
    async def close(self: Any, say_goodbye: bool) -> None:
        return

    patch.setattr(presence.Presence, "close", close)


def calls_stay_in_the_table(patch: pytest.MonkeyPatch) -> None:
    whole = requesting.Requesting._fail

    def fail(self: Any, pending: Any, error: Any) -> None:
        whole(self, pending, error)
        self._pending.by_id[f"left {len(self._pending)}"] = pending

    patch.setattr(requesting.Requesting, "_fail", fail)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "promise", "changes"),
    [
        (calls_never_time_out, "C1", {}),
        (calls_time_out_late, "C1", {}),
        (a_lost_node_leaves_its_calls_waiting, "M", {"faults": (crash,)}),
        (overdue_handlers_run_on, "C4", {}),
        (requests_run_twice, "C2", {}),
        (requests_that_the_network_doubles_run_twice, "C2", {"faults": (doubling,)}),
        (events_that_the_network_doubles_are_heard_twice, "E1", {"faults": (doubling,)}),
        (what_ran_is_said_not_to_have_run, "C3", {"faults": (crash,)}),
        (a_call_is_not_tried_elsewhere, "C2", {"faults": (crash,), "tells_undelivered": True}),
        (packets_are_sent_while_the_line_is_away, "n", {"faults": (lose_line,)}),
        (what_waits_for_the_line_is_kept_as_bytes, "C4", {"faults": (lose_line,)}),
        (streams_that_miss_a_packet_wait_for_ever, "S1", {"faults": (lossy,)}),
        (streams_come_out_of_order, "S1", {}),
        (a_stream_that_is_cut_seems_to_be_whole, "S1", {"faults": (lossy,)}),
        (nobody_is_ever_lost, "M1", {"faults": (crash,)}),
        (everybody_is_lost_soon, "M2", {"faults": (lossy,)}),
        (a_changed_node_is_not_asked, "M3", {"faults": (lossy,)}),
        (each_event_is_told_to_all, "E1", {}),
        (events_are_told_twice, "E1", {}),
        (refused_requests_run_all_the_same, "C3", {}),
        (a_heartbeat_loop_outlives_its_node, "task left", {}),
        (word_that_comes_late_does_not_count, "M1", {"faults": (crash,), "tells_undelivered": True, "delay": 0.03}),
        (
            a_predecessor_is_taken_for_a_namesake,
            "node",
            {"faults": (crash, reordering), "delay": 0.1, "tells_undelivered": True, "seconds": 40.0},
        ),
        (calls_stay_in_the_table, "C6", {}),
    ],
)
def test_a_broken_promise_is_found(
    broken: Break, promise: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)

    outcomes = (run_seed(seed, profile=replace(BUSY, **changes)) for seed in SEEDS)

    assert any(problem.startswith(promise) for outcome in outcomes for problem in outcome.problems)
