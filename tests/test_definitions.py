"""What INFO shows of actions and events, and how a marked method is called."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from tautomer.context import Context
from tautomer.definitions import ActionDef, EventDef, by_context, plain, takes_context
from tautomer.stream import Stream


async def handler(_ctx: Any) -> None:
    """Stands for any method."""


class TestAnActionOnTheWire:
    def test_has_its_two_names(self) -> None:
        assert {"rawName": "add", "name": "v2.math.add"} == ActionDef(name="add", method=handler).wire(
            "v2.math.add", None
        )

    def test_has_what_was_said_of_it(self) -> None:
        definition = ActionDef(
            name="add",
            method=handler,
            params={"never": "looked at"},
            visibility="public",
            timeout=5.0,
            rest="POST /add",
            extra={"cache": {"keys": ["a"], "ttl": 5}, "openapi": {"summary": "Adds"}},
        )

        assert {
            "cache": {"keys": ["a"], "ttl": 5},
            "openapi": {"summary": "Adds"},
            "params": {"a": "number"},
            "rest": "POST /add",
            "visibility": "public",
            "timeout": 5000,
            "rawName": "add",
            "name": "math.add",
        } == definition.wire("math.add", {"a": "number"})

    def test_does_not_say_that_it_is_published(self) -> None:
        """Node leaves out what is the default."""
        assert "visibility" not in ActionDef(name="add", method=handler, visibility="published").wire("m.add", None)

    @pytest.mark.parametrize(
        ("seconds", "wire"), [(0.0, 0), (0.0004, 1), (0.0015, 2), (0.25, 250), (1.0, 1000), (2.9999, 3000)]
    )
    def test_has_its_timeout_in_whole_milliseconds_and_none_becomes_no_timeout(self, seconds: float, wire: int) -> None:
        assert wire == ActionDef(name="add", method=handler, timeout=seconds).wire("m.add", None)["timeout"]

    def test_leaves_out_what_cannot_be_told(self) -> None:
        definition = ActionDef(
            name="add", method=handler, rest=handler, extra={"hooks": {"before": handler, "after": ["log", handler]}}
        )

        assert {"hooks": {"after": ["log"]}, "rawName": "add", "name": "m.add"} == definition.wire("m.add", None)

    def test_cannot_be_given_another_name_by_what_was_added(self) -> None:
        wire = ActionDef(name="add", method=handler, extra={"name": "x", "rawName": "y"}).wire("m.add", None)

        assert {"rawName": "add", "name": "m.add"} == wire


class TestAnEventOnTheWire:
    def test_has_its_name_and_a_group_only_if_one_was_set(self) -> None:
        assert {"name": "user.*"} == EventDef(name="user.*", methods=(handler,)).wire(None)
        assert {"group": "mail", "name": "user.*"} == EventDef(name="user.*", methods=(handler,), group="mail").wire(
            None
        )

    def test_has_what_was_said_of_it(self) -> None:
        definition = EventDef(name="x", methods=(handler,), extra={"debounce": 5000, "f": handler})

        assert {"debounce": 5000, "params": {"id": "number"}, "name": "x"} == definition.wire({"id": "number"})


class TestPlain:
    @pytest.mark.parametrize("value", [None, True, 5, 1.5, "text", [], {}, [1, [2]], {"a": {"b": [None]}}])
    def test_values_of_json_stay(self, value: Any) -> None:
        assert value == plain(value)

    def test_other_values_are_left_out_wherever_they_stand(self) -> None:
        assert {"a": [1], "c": {}} == plain({"a": [1, object(), b"x"], "b": {1, 2}, "c": {"d": handler}})

    def test_keys_become_texts_and_tuples_lists(self) -> None:
        assert {"1": [1, 2]} == plain({1: (1, 2)})

    def test_it_is_a_copy(self) -> None:
        inner: dict[str, Any] = {"a": [1]}
        plain({"inner": inner})["inner"]["a"].append(2)

        assert {"a": [1]} == inner


class Methods:
    """One of each kind."""

    def sync(self, ctx: Any) -> str:
        return f"sync {ctx}"

    async def coroutine(self, ctx: Any) -> str:
        return f"async {ctx}"

    def without(self) -> str:
        return "without"

    async def coroutine_without(self) -> str:
        return "async without"

    def only_keywords(self, *, a: int = 1) -> str:
        return f"keywords {a}"

    def any_keywords(self, **more: Any) -> str:
        return f"more {more}"

    def any_number(self, *args: Any) -> str:
        return f"args {args}"

    def with_default(self, ctx: Any = None) -> str:
        return f"default {ctx}"

    def coroutine_behind(self, ctx: Any) -> Any:
        return self.coroutine(ctx)


METHODS = Methods()
CALLS: list[tuple[Callable[..., Any], bool, str]] = [
    (METHODS.sync, True, "sync 5"),
    (METHODS.coroutine, True, "async 5"),
    (METHODS.without, False, "without"),
    (METHODS.coroutine_without, False, "async without"),
    (METHODS.only_keywords, False, "keywords 1"),
    (METHODS.any_keywords, False, "more {}"),
    (METHODS.any_number, True, "args (5,)"),
    (METHODS.with_default, True, "default 5"),
    (METHODS.coroutine_behind, True, "async 5"),
    (functools.partial(METHODS.sync), True, "sync 5"),
]


@pytest.mark.parametrize(("method", "wants_context", "result"), CALLS)
async def test_a_method_is_called_with_the_context_if_it_has_a_place_for_it(
    method: Callable[..., Any], wants_context: bool, result: str
) -> None:
    assert wants_context is takes_context(method)
    assert result == await by_context(method)(5)


async def test_what_has_no_signature_is_called_with_the_context() -> None:
    assert takes_context(dict)
    assert {"a": 1} == await by_context(dict)({"a": 1})


def test_an_async_method_is_its_own_handler() -> None:
    """Nothing stands between the chain and it."""
    assert METHODS.coroutine == by_context(METHODS.coroutine)


async def test_what_a_plain_method_returns_is_awaited_if_it_can_be() -> None:
    class Later:
        def __await__(self) -> Any:
            yield from ()
            return "later"

    assert "later" == await by_context(lambda _ctx: Later())(5)
    assert Later is await by_context(lambda _ctx: Later)(5)


async def test_what_answers_to_any_name_is_not_awaited_for_that() -> None:
    class Proxy:
        def __getattr__(self, name: str) -> str:
            return name

    assert isinstance(await by_context(lambda _ctx: Proxy())(5), Proxy)


async def test_an_async_generator_gives_a_stream_once_its_first_item_is_there() -> None:
    """And the time of the call ends there: what the stream calls itself has time of its own."""
    ran: list[int] = []

    async def chunks(_ctx: Any) -> Any:
        for number in (1, 2):
            ran.append(number)
            yield number

    ctx: Context[Any] = Context(None, {}, deadline=5.0)
    stream = await by_context(chunks)(ctx)

    assert isinstance(stream, Stream)
    assert ([1], None) == (ran, ctx.deadline)
    assert [1, 2] == [chunk async for chunk in stream]
