"""Keyword style: what a method takes, how it is called, and what callers are told of it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import Broker, Context, Service
from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.keywords import named
from tautomer.web.decorators import exposed_method, private_api_method, public_method


class Talker(Service):
    name = "talker"

    @public_method
    def thread(self) -> str:
        return threading.current_thread().name

    @public_method(blocking=False)
    def on_loop(self) -> str:
        return threading.current_thread().name

    @public_method
    async def mixed(self, first: Any, /, second: Any, *rest: Any, only: Any = 1, **others: Any) -> Any:
        return [first, second, list(rest), only, others]

    @public_method
    async def with_context(self, name: str, ctx: Context[Any]) -> Any:
        return [name, ctx.params]

    @public_method(name="a.b")
    async def renamed(self, name: str | None, count: int = 1, tags: list[str] | None = None) -> str:
        """Say it."""
        return f"{name} {count}"

    @private_api_method
    async def hidden(self) -> str:
        return "hidden"

    @exposed_method("both", private=True, is_coroutine=True)
    async def either(self) -> str:
        return "both"

    @public_method
    async def count(self, most: int) -> AsyncIterator[int]:
        for number in range(most):
            yield number


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    async with Broker() as made:
        await made.register(Talker)
        yield made


async def test_a_def_runs_in_a_thread_unless_its_mark_says_otherwise(broker: Broker) -> None:
    assert threading.current_thread().name != await broker.call("talker.thread")
    assert threading.current_thread().name == await broker.call("talker.on_loop")


@pytest.mark.parametrize(
    ("params", "result"),
    [
        ({"first": 1, "second": 2}, [1, 2, [], 1, {}]),
        ({"first": 1, "second": 2, "rest": [3, 4], "only": 5, "class": 6}, [1, 2, [3, 4], 5, {"class": 6}]),
    ],
)
async def test_every_kind_of_parameter_is_given_by_name(broker: Broker, params: Any, result: Any) -> None:
    assert result == await broker.call("talker.mixed", params)


async def test_the_context_is_no_param(broker: Broker) -> None:
    assert ["x", {"name": "x"}] == await broker.call("talker.with_context", {"name": "x"})
    with pytest.raises(ValidationError):
        await broker.call("talker.with_context", {"name": "x", "ctx": 1})


@pytest.mark.parametrize(
    ("action", "params", "field"),
    [
        ("mixed", {"first": 1}, "second"),
        ("mixed", {"first": 1, "second": 2, "rest": 3}, "rest"),
        ("with_context", {"name": 5}, "name"),
        ("with_context", {}, "name"),
        ("a.b", {"name": "x", "count": 1.5}, "count"),
        ("a.b", {"name": "x", "tags": "y"}, "tags"),
        ("a.b", {"name": "x", "what": 1}, "what"),
    ],
)
async def test_what_does_not_fit_is_told_by_its_name(broker: Broker, action: str, params: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        await broker.call(f"talker.{action}", params)

    assert field in [fault["field"] for fault in caught.value.data]


async def test_none_and_defaults(broker: Broker) -> None:
    assert "None 1" == await broker.call("talker.a.b", {"name": None})
    assert "x 3" == await broker.call("talker.a.b", {"name": "x", "count": 3, "tags": None})


async def test_a_generator_gives_a_stream(broker: Broker) -> None:
    assert [0, 1, 2] == [number async for number in await broker.call("talker.count", {"most": 3})]


async def test_other_nodes_are_told_what_stands_where(broker: Broker) -> None:
    entries = {name: found.all[0].entry for name, found in broker.registry.actions.items() if name[:7] == "talker."}

    assert ["first", "second", "*rest"] == entries["talker.mixed"]["positional"]
    assert ["name"] == entries["talker.with_context"]["positional"]
    assert ("public", "Say it.", "a.b") == tuple(
        entries["talker.a.b"][key] for key in ("rpc", "description", "rawName")
    )
    assert ("private", "public") == tuple(entries["talker.hidden"][key] for key in ("rpc", "visibility"))
    assert "private" == entries["talker.both"]["rpc"]


@pytest.mark.parametrize(
    ("given", "order", "params"),
    [
        ([], [], {}),
        ([1], ["a", "b"], {"a": 1}),
        ([1, 2], ["a", "b"], {"a": 1, "b": 2}),
        ([], ["*r"], {}),
        ([1, 2, 3], ["a", "*r"], {"a": 1, "r": [2, 3]}),
        ([1], ["a", "*r"], {"a": 1}),
    ],
)
def test_params_by_position_get_their_names(given: list[Any], order: list[str], params: dict[str, Any]) -> None:
    assert params == named(given, order)


def test_more_than_there_are_names_for_is_refused() -> None:
    with pytest.raises(ValidationError):
        named([1, 2], ["a"])


@pytest.mark.parametrize(
    "mark",
    [
        lambda: public_method(name="_x"),
        lambda: public_method(name=5),
        lambda: public_method(blocking="yes"),
        lambda: public_method(expected_exceptions="KeyError"),
        lambda: public_method("name"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(mark: Any) -> None:
    with pytest.raises(ServiceSchemaError):
        mark()


async def test_a_method_that_takes_the_request_has_a_parameter_for_it() -> None:
    class Wrong(Service):
        name = "wrong"

        @exposed_method(requires_handler_reference=True)
        async def nothing(self, *, request: Any) -> None: ...

    with pytest.raises(ServiceSchemaError, match="its first parameter takes the request, and there is none"):
        await Broker().register(Wrong)


async def test_two_places_for_the_context_are_refused() -> None:
    class Wrong(Service):
        name = "wrong"

        @public_method
        async def twice(self, one: Context[Any], two: Context[Any]) -> None: ...

    with pytest.raises(ServiceSchemaError):
        Broker().create_service(Wrong)
