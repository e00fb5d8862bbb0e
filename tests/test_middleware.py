"""Middlewares: order, what is in the chain, and what a hook may not return."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tautomer.errors import BrokerOptionsError
from tautomer.middleware import HOOKS, Middleware, compose, compose_verb, notify, overridden, resolve
from tautomer.registry.endpoints import Endpoint

from .registry.making import action

ENDPOINT: Endpoint = action("me", "math.add")


async def handler(ctx: Any) -> list[str]:
    return ["handler"]


class Layer(Middleware):
    """Puts its name around whatever comes back."""

    def __init__(self, name: str) -> None:
        self.name = name

    def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
        async def handle(ctx: Any) -> list[str]:
            return [self.name, *await next_handler(ctx), self.name]

        return handle

    def call(self, next_call: Any) -> Any:
        return lambda *args: [self.name, *next_call(*args), self.name]


class AsyncLayer(Layer):
    async def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
        return super().local_action(next_handler, endpoint)


class Off(Middleware):
    """Overrides a hook and leaves what it is given as it is."""

    def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
        return next_handler


class Returning(Middleware):
    def __init__(self, returned: Any) -> None:
        self.returned = returned

    def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
        return self.returned

    def emit(self, next_emit: Any) -> Any:
        return self.returned


class TestCompose:
    async def test_the_first_is_the_outermost(self) -> None:
        chain = await compose([Layer("a"), Layer("b"), Layer("c")], "local_action", handler, ENDPOINT)

        assert ["a", "b", "c", "handler", "c", "b", "a"] == await chain(cast(Any, None))

    async def test_a_hook_may_be_async(self) -> None:
        chain = await compose([Layer("a"), AsyncLayer("b")], "local_action", handler, ENDPOINT)

        assert ["a", "b", "handler", "b", "a"] == await chain(cast(Any, None))

    async def test_what_is_not_overridden_is_not_in_the_chain(self) -> None:
        middlewares = [Middleware(), Layer("a"), Off()]

        assert handler is await compose(middlewares, "remote_action", handler, ENDPOINT)
        assert handler is await compose([Middleware(), Off()], "local_action", handler, ENDPOINT)
        assert handler is await compose([], "local_action", handler, ENDPOINT)

    async def test_a_hook_is_told_the_endpoint(self) -> None:
        told: list[Endpoint] = []

        class Told(Middleware):
            def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
                told.append(endpoint)
                return next_handler

        await compose([Told()], "local_action", handler, ENDPOINT)

        assert [ENDPOINT] == told

    @pytest.mark.parametrize("nonsense", [None, 5, "handler", [handler], {}])
    async def test_what_is_no_handler_is_refused_and_says_whose_it_is(self, nonsense: Any) -> None:
        with pytest.raises(BrokerOptionsError, match=r"Returning\.local_action returned .* for 'math\.add'; it must"):
            await compose([Returning(nonsense)], "local_action", handler, ENDPOINT)

    async def test_what_an_async_hook_returns_is_looked_at_too(self) -> None:
        class Forgetful(Middleware):
            async def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
                """Returns nothing."""

        with pytest.raises(BrokerOptionsError, match="Forgetful.local_action returned None"):  # noqa: RUF043
            await compose([Forgetful()], "local_action", handler, ENDPOINT)

    async def test_a_hook_that_fails_is_not_hidden(self) -> None:
        class Broken(Middleware):
            def local_action(self, next_handler: Any, endpoint: Endpoint) -> Any:
                raise ValueError("broken")

        with pytest.raises(ValueError, match="broken"):
            await compose([Broken()], "local_action", handler, ENDPOINT)


class TestComposeVerb:
    def test_the_first_is_the_outermost(self) -> None:
        verb = compose_verb([Layer("a"), Middleware(), Layer("b")], "call", lambda name: [name])

        assert ["a", "b", "math.add", "b", "a"] == verb("math.add")

    def test_a_verb_that_nobody_wraps_stays_what_it_is(self) -> None:
        def verb() -> None: ...

        assert verb is compose_verb([Middleware(), Layer("a")], "broadcast", verb)

    @pytest.mark.parametrize("nonsense", [None, 5, "emit"])
    def test_what_cannot_be_called_is_refused(self, nonsense: Any) -> None:
        with pytest.raises(BrokerOptionsError, match=r"Returning\.emit returned"):
            compose_verb([Returning(nonsense)], "emit", handler)

    def test_an_async_hook_is_refused_as_nobody_could_await_it(self) -> None:
        class Late(Middleware):
            async def call(self, next_call: Any) -> Any:  # type: ignore[override]  # That is the point.
                return next_call

        with pytest.raises(BrokerOptionsError, match=r"Late\.call is `async`"):
            compose_verb([Late()], "call", handler)


class Notes(Middleware):
    def __init__(self, name: str, notes: list[Any]) -> None:
        self.name = name
        self.notes = notes

    async def broker_starting(self, broker: Any) -> None:
        self.notes.append((self.name, broker))

    def broker_stopping(self, broker: Any) -> Any:
        self.notes.append((self.name, broker))


class TestNotify:
    async def test_tells_each_in_order(self) -> None:
        notes: list[Any] = []
        await notify([Notes("a", notes), Middleware(), Notes("b", notes)], "broker_starting", 5)

        assert [("a", 5), ("b", 5)] == notes

    async def test_and_backwards_at_the_end_async_or_not(self) -> None:
        notes: list[Any] = []
        await notify([Notes("a", notes), Notes("b", notes)], "broker_stopping", 5, backwards=True)

        assert [("b", 5), ("a", 5)] == notes


class TestResolve:
    def test_makes_one_of_a_class(self) -> None:
        layer = Layer("a")
        made = resolve([Off, layer, Middleware])

        assert [Off, Layer, Middleware] == [type(one) for one in made]
        assert layer is made[1]

    def test_takes_anything_that_has_a_hook(self) -> None:
        class Duck:
            def local_action(self, next_handler: Any, endpoint: Any) -> Any:
                return next_handler

        (duck,) = resolve([cast(Any, Duck)])

        assert isinstance(duck, Duck)

    @pytest.mark.parametrize("odd", [object(), 5, "Layer", None, {"localAction": handler}, [Off]], ids=range(6))
    def test_refuses_what_has_none(self, odd: Any) -> None:
        with pytest.raises(BrokerOptionsError, match="has none of the hooks"):
            resolve([odd])

    def test_refuses_what_has_something_else_under_a_hooks_name(self) -> None:
        class Odd:
            call = None
            emit = 5

        with pytest.raises(BrokerOptionsError):
            resolve([cast(Any, Odd)])


class TestOverridden:
    def test_tells_what_a_class_has_of_its_own(self) -> None:
        assert {"local_action", "call"} == {hook for hook in HOOKS if overridden(Layer("a"), hook)}
        assert set() == {hook for hook in HOOKS if overridden(Middleware(), hook)}

    def test_sees_what_a_parent_overrides_and_what_an_instance_was_given(self) -> None:
        class Child(Layer): ...

        child = Child("a")
        cast(Any, child).emit = lambda next_emit: next_emit

        assert {"local_action", "call", "emit"} == {hook for hook in HOOKS if overridden(child, hook)}


class TestTheBaseClass:
    """A hook that calls its parent's gets back what it gave."""

    @pytest.mark.parametrize("hook", ["local_action", "remote_action", "local_event"])
    def test_leaves_handlers_as_they_are(self, hook: str) -> None:
        assert handler is getattr(Middleware(), hook)(handler, ENDPOINT)

    @pytest.mark.parametrize(
        "hook",
        [
            "call",
            "emit",
            "broadcast",
            "broadcast_local",
            "transit_publish",
            "transit_received",
            "transporter_send",
            "transporter_receive",
        ],
    )
    def test_leaves_verbs_as_they_are(self, hook: str) -> None:
        assert handler is getattr(Middleware(), hook)(handler)

    @pytest.mark.parametrize("hook", [name for name in HOOKS if name.startswith(("broker_", "service_"))])
    async def test_does_nothing_in_the_life_cycle(self, hook: str) -> None:
        told = getattr(Middleware(), hook)(None)

        assert None is (told if told is None else await told)
