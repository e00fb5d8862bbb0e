"""Context: what is made when it is asked for, and what a child has of its parent (protocol reference, section 7)."""

from __future__ import annotations

import copy
import weakref
from itertools import count
from typing import Any

import pytest

from tautomer.context import Context, RawResult

from .registry.making import action, service


class FakeBroker:
    """Gives ids and a time, and writes down what a context asks of it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ids = count(1)
        self.asked: list[Any] = []

    def new_id(self) -> str:
        return f"id-{next(self.ids)}"

    def clock(self) -> float:
        return self.now

    def call_nested(self, *args: Any) -> str:
        self.asked.append(("call_nested", *args))
        return "called"

    def mcall(self, calls: Any, **options: Any) -> str:
        self.asked.append(("mcall", calls, options))
        return "called many"

    def publish(self, *args: Any) -> str:
        self.asked.append(args)
        return "published"


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
def ctx(broker: FakeBroker) -> Context[Any]:
    return Context(broker, {"a": 5})


class TestTheFirstOfAChain:
    def test_has_no_parent_and_is_on_level_one(self, ctx: Context[Any]) -> None:
        assert (1, None, None, None, None) == (ctx.level, ctx.parent, ctx.parent_id, ctx.caller, ctx.node_id)

    def test_has_one_id_which_is_that_of_the_chain(self, ctx: Context[Any]) -> None:
        assert ("id-1", "id-1", "id-1") == (ctx.request_id, ctx.id, ctx.request_id)

    def test_makes_no_id_until_somebody_asks(self, ctx: Context[Any], broker: FakeBroker) -> None:
        _ = ctx.params, ctx.meta, ctx.user, ctx.level

        assert 1 == next(broker.ids)

    def test_may_be_given_the_id_of_the_chain(self, broker: FakeBroker) -> None:
        ctx: Context[Any] = Context(broker, None, _request_id="r-1")

        assert ("r-1", "id-1") == (ctx.request_id, ctx.id)


class TestAChild:
    def child(self, parent: Context[Any]) -> Context[Any]:
        return Context(parent.broker, None, parent=parent, level=parent.level + 1)

    def test_has_an_id_of_its_own_and_that_of_the_chain(self, ctx: Context[Any]) -> None:
        child = self.child(self.child(ctx))

        assert child.request_id == ctx.id == ctx.request_id
        assert child.parent_id == child.parent.id
        assert 3 == len({child.id, child.parent.id, ctx.id})

    def test_knows_the_service_that_called(self, ctx: Context[Any]) -> None:
        assert None is self.child(ctx).caller
        ctx.endpoint = action("me", "math.add")
        assert "math" == self.child(ctx).caller

    def test_has_a_copy_of_the_meta(self, ctx: Context[Any]) -> None:
        assert None is ctx.copy_meta()
        ctx.meta["user"] = 1
        copied = ctx.copy_meta()

        assert {"user": 1} == copied
        assert copied is not ctx.meta


class TestFromAnotherNode:
    def test_it_says_what_the_packet_said(self, broker: FakeBroker) -> None:
        ctx: Context[Any] = Context(
            broker, None, node_id="node-2", _id="i", _request_id="r", _parent_id="p", _caller="client"
        )

        assert ("node-2", "i", "r", "p", "client") == (
            ctx.node_id,
            ctx.id,
            ctx.request_id,
            ctx.parent_id,
            ctx.caller,
        )
        assert 1 == next(broker.ids)


class TestWhatIsMadeWhenItIsAskedFor:
    @pytest.mark.parametrize("name", ["meta", "headers", "response_headers", "locals"])
    def test_is_one_dict_of_its_own(self, ctx: Context[Any], broker: FakeBroker, name: str) -> None:
        getattr(ctx, name)["a"] = 1

        assert {"a": 1} == getattr(ctx, name)
        assert {} == getattr(Context(broker, None), name)

    def test_meta_may_be_set(self, ctx: Context[Any]) -> None:
        ctx.meta = {"a": 1}

        assert {"a": 1} == ctx.meta

    def test_the_user_is_what_the_gateway_left_in_meta(self, ctx: Context[Any]) -> None:
        assert None is ctx.user
        ctx.meta["user"] = {"id": 5}
        assert {"id": 5} == ctx.user

    def test_meta_that_comes_back_is_merged(self, ctx: Context[Any]) -> None:
        ctx.meta.update(a=1, b=2)
        for came_back in (None, {}, {"b": 3, "c": 4}):
            ctx.merge_meta(came_back)

        assert {"a": 1, "b": 3, "c": 4} == ctx.meta


class TestWhatRuns:
    def test_is_an_action_or_nothing(self, ctx: Context[Any]) -> None:
        assert (None, None) == (ctx.action, ctx.service)
        ctx.endpoint = action("me", "math.add")

        assert "math.add" == ctx.action.name  # type: ignore[union-attr]  # It is there.
        assert "math" == ctx.service.full_name  # type: ignore[union-attr]  # As above.

    def test_is_no_action_when_it_hears_an_event(self, ctx: Context[Any]) -> None:
        ctx.endpoint, ctx.event_name = action("me", "user.*"), "user.created"

        assert None is ctx.action
        assert service().full_name == ctx.service.full_name  # type: ignore[union-attr]  # It is there.


def test_the_time_left_shrinks_and_never_goes_below_zero(ctx: Context[Any], broker: FakeBroker) -> None:
    left = [ctx.request_timeout]
    ctx.deadline = 102.5
    left.append(ctx.request_timeout)
    broker.now = 103.0
    left.append(ctx.request_timeout)

    assert [None, 2.5, 0.0] == left


class TestAskingTheBroker:
    def test_a_call_is_made_as_a_part_of_this_one(self, ctx: Context[Any], broker: FakeBroker) -> None:
        told: object = ctx.call("math.add", {"a": 1}, timeout=2.0)

        assert "called" == told
        assert [("call_nested", ctx, "math.add", {"a": 1}, {"timeout": 2.0})] == broker.asked

    def test_so_are_many(self, ctx: Context[Any], broker: FakeBroker) -> None:
        calls: Any = [{"action": "math.add"}]

        told: object = ctx.mcall(calls, settled=True, timeout=2.0)

        assert "called many" == told
        assert [("mcall", calls, {"settled": True, "timeout": 2.0, "parent": ctx})] == broker.asked

    @pytest.mark.parametrize(
        ("method", "kind"),
        [("emit", "emit"), ("broadcast", "broadcast"), ("broadcast_local", "broadcastLocal")],
    )
    def test_so_are_events(self, ctx: Context[Any], broker: FakeBroker, method: str, kind: str) -> None:
        told = getattr(ctx, method)("user.created", {"id": 1}, ["mail"], meta={"m": 1}, headers={"h": 1})

        assert "published" == told
        assert [(kind, "user.created", {"id": 1}, ["mail"], {"m": 1}, {"h": 1}, ctx)] == broker.asked


def test_a_context_is_one_of_its_kind(ctx: Context[Any], broker: FakeBroker) -> None:
    """Two calls alike are two calls; tables may hold them weakly, as keys."""
    assert ctx != Context(broker, {"a": 5})
    assert 1 == len({ctx, ctx})
    assert ctx is weakref.ref(ctx)()
    assert {"a": 5} == copy.copy(ctx).params


def test_what_was_never_set_is_nothing_and_makes_nothing(ctx: Context[Any]) -> None:
    assert [ctx.timeout, ctx.event_groups, ctx.stream, ctx._headers, ctx._tried] == [None] * 5
    assert ctx.fallback_result is False
    assert ctx._extras is None


def test_what_is_set_at_a_copy_is_not_seen_at_the_other(ctx: Context[Any]) -> None:
    ctx.timeout = 5.0
    ctx.meta["user"] = "Ada"

    other = ctx.copy()
    other.timeout, other.params = 7.0, {"id": 2}

    assert (ctx.timeout, other.timeout) == (5.0, 7.0)
    assert ctx.params != other.params
    assert other.meta is ctx.meta


def test_a_copy_of_one_without_extras_has_its_own(ctx: Context[Any]) -> None:
    other = ctx.copy()

    other.stream = object()

    assert ctx.stream is None


def test_a_raw_result_holds_bytes() -> None:
    assert b"[1]" == RawResult(b"[1]").data
