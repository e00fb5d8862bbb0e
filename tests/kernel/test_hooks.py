"""Hooks around actions: their order is Node's, measured there (protocol section 6.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import Broker, Context, Service, action
from tautomer.errors import MoleculerClientError, ServiceSchemaError


def note(name: str) -> Any:
    return lambda ctx, *rest: ctx.params["seen"].append(name)


def passed(name: str) -> Any:
    def hook(ctx: Context, result: Any) -> Any:
        ctx.params["seen"].append(name)
        return result

    return hook


class Mixin:
    hooks = {
        "before": {"*": note("mixin * before"), "make": note("mixin make before")},
        "after": {"*": passed("mixin * after"), "make": passed("mixin make after")},
    }

    @action(hooks={"before": note("mixin own before"), "after": passed("mixin own after")})
    async def make(self, ctx: Context) -> str: ...


class Things(Service):
    name = "things"
    mixins = [Mixin]
    hooks = {
        "before": {"*": ["_all", note("* before")], "make|other": note("make|other before"), "ma*": note("ma* before")},
        "after": {"*": passed("* after"), "make": passed("make after")},
    }

    async def _all(self, ctx: Context) -> None:
        ctx.params["seen"].append(f"method of {self.name}")

    @action(hooks={"before": note("own before"), "after": passed("own after")})
    async def make(self, ctx: Context) -> str:
        ctx.params["seen"].append("handler")
        return "made"

    @action
    def plain(self, ctx: Context) -> str:
        return "plain"


async def test_they_run_in_nodes_order():
    async with Broker("node") as broker:
        await broker.register(Things)
        seen: list[str] = []

        assert "made" == await broker.call("things.make", {"seen": seen})

    assert [
        "mixin * before",
        "method of things",
        "* before",
        "mixin make before",
        "make|other before",
        "ma* before",
        "mixin own before",
        "own before",
        "handler",
        "own after",
        "mixin own after",
        "make after",
        "mixin make after",
        "* after",
        "mixin * after",
    ] == seen


class Failing(Service):
    name = "failing"

    def _translated(self, ctx: Context, error: Exception) -> Any:
        raise MoleculerClientError(f"translated {error}", 409)

    @action(hooks={"error": "_translated"})
    def translated(self, ctx: Context) -> None:
        raise ValueError("no")

    @action(hooks={"error": ["_translated", lambda ctx, error: f"instead of {error}"]})
    def replaced(self, ctx: Context) -> None:
        raise ValueError("no")

    @action(hooks={"before": lambda ctx: 1 / 0, "error": lambda ctx, error: type(error).__name__})
    def before(self, ctx: Context) -> None: ...

    @action(hooks={"after": lambda ctx, result: result + 1})
    def after(self, ctx: Context) -> int:
        return 1


async def test_an_error_hook_raises_or_gives_what_takes_the_errors_place():
    async with Broker("node") as broker:
        await broker.register(Failing)

        with pytest.raises(MoleculerClientError, match="translated no"):
            await broker.call("failing.translated")
        assert "instead of translated no" == await broker.call("failing.replaced")
        assert "ZeroDivisionError" == await broker.call("failing.before")
        assert 2 == await broker.call("failing.after")


async def test_an_action_without_hooks_has_nothing_around_it():
    class Bare(Service):
        name = "bare"

        @action
        async def act(self, ctx: Context) -> None: ...

    async with Broker("node") as broker:
        await broker.register(Bare)

        endpoint = broker.registry.actions["bare.act"].all[0]
        assert endpoint.definition is not None
        assert endpoint.definition.method == endpoint.handler


@pytest.mark.parametrize(
    ("hooks", "told"),
    [
        ({"befor": {"*": print}}, "did you mean 'before'"),
        ({"before": {"*": "no_such_method"}}, "a hook is a function, or the name of a method"),
        (5, "are a mapping"),
    ],
)
async def test_hooks_that_are_written_wrong_are_told_at_start(hooks, told):
    wrong = type("Wrong", (Service,), {"name": "wrong", "hooks": hooks, "act": action(lambda self, ctx: None)})
    broker = Broker("node")
    await broker.register(wrong)

    with pytest.raises(ServiceSchemaError, match=told):
        await broker.start()
