"""Dependency providers: their hooks around calls of every kind, and their life with the node."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tautomer import Broker, Context, DependencyProvider, Service, SharedProvider, action, event, public_method
from tautomer.errors import DependencyError, MoleculerClientError, RequestTimeoutError, ServiceSchemaError
from tautomer.settings import Settings

LOG: list[str] = []


@pytest.fixture(autouse=True)
def empty_log() -> None:
    LOG.clear()


def note(what: str) -> None:
    LOG.append(what)


class Plain(DependencyProvider):
    """All hooks as `def`."""

    def __init__(self, name: str, fails_in: str = "") -> None:
        self.name = name
        self.fails_in = fails_in

    def _did(self, hook: str) -> None:
        note(f"{self.name}.{hook}")
        if hook == self.fails_in:
            raise ValueError(f"a secret of {self.name}")

    def setup(self) -> None:
        self._did("setup")

    def start(self) -> None:
        self._did("start")

    def get_dependency(self, ctx: Context[Any]) -> Any:
        self._did("get")
        return f"{self.name} for {ctx.params.get('who', '-')}"

    def worker_setup(self, ctx: Context[Any]) -> None:
        self._did("setup call")

    def worker_result(self, ctx: Context[Any], result: Any, exc_info: Any) -> None:
        note(f"{self.name} told {result!r} {None if exc_info is None else exc_info[0].__name__}")
        self._did("result")

    def worker_teardown(self, ctx: Context[Any]) -> None:
        self._did("teardown")

    def stop(self) -> None:
        self._did("stop")

    def kill(self) -> None:
        self._did("kill")


class Slow(Plain):
    """All hooks as `async def`."""

    async def setup(self) -> None:
        await asyncio.sleep(0)
        self._did("setup")

    async def start(self) -> None:
        await asyncio.sleep(0)
        self._did("start")

    async def get_dependency(self, ctx: Context[Any]) -> Any:
        await asyncio.sleep(0)
        return super().get_dependency(ctx)

    async def worker_setup(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(0)
        self._did("setup call")

    async def worker_result(self, ctx: Context[Any], result: Any, exc_info: Any) -> None:
        await asyncio.sleep(0)
        super().worker_result(ctx, result, exc_info)

    async def worker_teardown(self, ctx: Context[Any]) -> None:
        await asyncio.sleep(0)
        self._did("teardown")

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self._did("stop")


def service_with(**providers: DependencyProvider) -> type[Service]:
    """A service with a handler of each kind, which gives what `one` is."""

    class Kinds(Service):
        name = "kinds"

        @action
        async def on_loop(self, ctx: Context[Any]) -> Any:
            note("handler")
            return self.one  # type: ignore[attr-defined]  # Put there below.

        @action
        def plain(self, ctx: Context[Any]) -> Any:
            note("handler")
            return self.one  # type: ignore[attr-defined]  # As above.

        @action
        def without_context(self) -> Any:
            note("handler")
            return self.one  # type: ignore[attr-defined]  # As above.

        @action(blocking=True)
        def in_thread(self, ctx: Context[Any]) -> Any:
            note("handler" if threading.current_thread() is not threading.main_thread() else "handler on the loop")
            return self.one  # type: ignore[attr-defined]  # As above.

        @action
        def awaited(self, ctx: Context[Any]) -> Any:
            async def later() -> Any:
                await asyncio.sleep(0)
                note("handler")
                return self.one  # type: ignore[attr-defined]  # As above.

            return later()

        @action(blocking=True)
        def awaited_in_thread(self, ctx: Context[Any]) -> Any:
            return self.awaited(ctx)

        @public_method
        async def method(self, who: str = "-") -> Any:
            note("handler")
            return self.one  # type: ignore[attr-defined]  # As above.

        @action
        async def fail(self, ctx: Context[Any]) -> Any:
            note("handler")
            raise MoleculerClientError("no tea", 418)

    for name, provider in providers.items():
        setattr(Kinds, name, provider)
        provider.__set_name__(Kinds, name)
    return Kinds


KINDS = ("on_loop", "plain", "without_context", "in_thread", "awaited", "awaited_in_thread", "method")


def around(*names: str, told: str = "'one for Ann' None") -> list[str]:
    """What is to be seen of a call."""
    return [
        *(f"{name}.get" for name in names),
        *(f"{name}.setup call" for name in names),
        "handler",
        *(line for name in names for line in (f"{name} told {told}", f"{name}.result")),
        *(f"{name}.teardown" for name in reversed(names)),
    ]


@pytest.mark.parametrize("kinds", [(Plain, Plain), (Slow, Slow), (Plain, Slow), (Slow, Plain)])
@pytest.mark.parametrize("handler", KINDS)
async def test_hooks_stand_around_a_call_in_the_order_of_writing_and_leave_in_the_reverse(
    handler: str, kinds: tuple[type[Plain], type[Plain]]
) -> None:
    async with Broker() as broker:
        await broker.register(service_with(one=kinds[0]("one"), two=kinds[1]("two")))
        LOG.clear()

        assert "one for Ann" == await broker.call(f"kinds.{handler}", {"who": "Ann"})
        assert around("one", "two") == LOG


@pytest.mark.parametrize("kind", [Plain, Slow])
async def test_all_are_set_up_before_any_is_started_and_stopped_in_the_reverse(kind: type[Plain]) -> None:
    class Late(Service):
        name = "late"
        three = kind("three")

        async def started(self) -> None:
            note("started")

        async def stopped(self) -> None:
            note("stopped")

    broker = Broker()
    broker.create_service(service_with(one=kind("one"), two=kind("two")))
    broker.create_service(Late)
    async with broker:
        assert [f"{name}.setup" for name in ("one", "two", "three")] == LOG[:3]
        assert [*(f"{name}.start" for name in ("one", "two", "three")), "started"] == LOG[3:]
        LOG.clear()
    assert ["stopped", "three.stop", "two.stop", "one.stop"] == LOG


async def test_a_setup_that_fails_fails_the_start_and_undoes_what_was_set_up() -> None:
    class Never(Service):
        name = "never"

        async def started(self) -> None:
            note("started")

    broker = Broker()
    broker.create_service(Never)
    broker.create_service(service_with(one=Plain("one"), two=Slow("two", "setup"), three=Plain("three")))

    with pytest.raises(ValueError, match="a secret of two"):
        await broker.start()
    assert ["one.setup", "two.setup", "one.stop"] == LOG


async def test_a_start_that_fails_fails_the_start_of_the_node() -> None:
    broker = Broker()
    broker.create_service(service_with(one=Plain("one"), two=Plain("two", "start")))

    with pytest.raises(ValueError, match="a secret of two"):
        await broker.start()
    assert ["one.setup", "two.setup", "one.start", "two.start", "two.stop", "one.stop"] == LOG


async def test_a_service_that_cannot_be_registered_is_not_kept() -> None:
    async with Broker() as broker:
        with pytest.raises(ValueError, match="a secret"):
            await broker.register(service_with(one=Plain("one", "setup")))

        await broker.register(service_with(one=Plain("one")))
        assert "one for -" == await broker.call("kinds.plain")


async def test_a_node_whose_service_does_not_start_stops_the_providers_of_all() -> None:
    class Bad(Service):
        name = "bad"

        async def started(self) -> None:
            raise ValueError("no")

    broker = Broker()
    broker.create_service(service_with(one=Plain("one")))
    broker.create_service(Bad)

    with pytest.raises(ValueError, match="no"):
        await broker.start()
    assert "one.stop" == LOG[-1]


@pytest.mark.parametrize("kind", [Plain, Slow])
@pytest.mark.parametrize("handler", ["on_loop", "plain", "in_thread"])
@pytest.mark.parametrize(
    ("hook", "named", "seen"),
    [
        ("get", "get_dependency", ["one.get", "two.get", "one.teardown"]),
        (
            "setup call",
            "worker_setup",
            ["one.get", "two.get", "one.setup call", "two.setup call", "two.teardown", "one.teardown"],
        ),
    ],
)
async def test_what_fails_before_the_handler_fails_the_call(
    kind: type[Plain], handler: str, hook: str, named: str, seen: list[str]
) -> None:
    async with Broker() as broker:
        await broker.register(service_with(one=kind("one"), two=kind("two", hook)))
        LOG.clear()

        with pytest.raises(DependencyError, match=f"'two' of service 'kinds' failed in {named}") as caught:
            await broker.call(f"kinds.{handler}")
        assert "a secret of two" == str(caught.value.__cause__)
        assert seen == LOG


@pytest.mark.parametrize("handler", ["on_loop", "plain", "in_thread"])
async def test_a_result_that_cannot_be_kept_is_no_success_and_the_others_are_told(handler: str) -> None:
    async with Broker() as broker:
        await broker.register(service_with(one=Plain("one", "result"), two=Slow("two")))
        LOG.clear()

        with pytest.raises(DependencyError, match="worker_result"):
            await broker.call(f"kinds.{handler}")
        assert ["one told 'one for -' None", "one.result", "two told None DependencyError", "two.result"] == LOG[5:9]
        assert ["two.teardown", "one.teardown"] == LOG[9:]


async def test_a_handler_that_fails_is_told_and_raises_what_it_raised() -> None:
    async with Broker() as broker:
        await broker.register(service_with(one=Plain("one"), two=Slow("two")))
        LOG.clear()

        with pytest.raises(MoleculerClientError, match="no tea"):
            await broker.call("kinds.fail")
        assert around("one", "two", told="None MoleculerClientError") == LOG


@pytest.mark.parametrize("handler", ["on_loop", "plain", "in_thread"])
async def test_a_teardown_that_fails_is_logged_and_holds_up_nobody(
    handler: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Broker() as broker:
        await broker.register(service_with(one=Plain("one"), two=Slow("two", "teardown")))

        with caplog.at_level(logging.ERROR, "tautomer.providers"):
            assert "one for -" == await broker.call(f"kinds.{handler}")
        assert ["dependency failed"] == [record.message for record in caplog.records]
        assert ["two.teardown", "one.teardown"] == LOG[-2:]


@pytest.mark.parametrize("kind", [Plain, Slow])
async def test_a_stop_that_fails_is_logged(kind: type[Plain], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "tautomer.providers"):
        async with Broker() as broker:
            await broker.register(service_with(one=Plain("one"), two=kind("two", "stop")))
    assert ["two.stop", "one.stop"] == LOG[-2:]
    assert ["dependency failed"] == [record.message for record in caplog.records]


async def test_each_call_has_its_own_also_when_many_run_at_once() -> None:
    class Whose(DependencyProvider):
        async def get_dependency(self, ctx: Context[Any]) -> Any:
            return ctx.params["number"]

    class Many(Service):
        name = "many"
        number = Whose()
        entered = 0

        @action
        async def get(self, ctx: Context[Any]) -> Any:
            await asyncio.sleep(0)
            before = self.number
            if ctx.params["number"] % 2:
                # A call of the same service within the call.
                inner = ctx.params["number"] + 1
                assert inner == await ctx.call("many.get", {"number": inner})
            return [before, self.number, await asyncio.create_task(self.helper())]

        async def helper(self) -> Any:
            return self.number

        @action(blocking=True)
        def thread(self, ctx: Context[Any]) -> Any:
            barrier.wait(10)
            return [self.number] * 3

    barrier = threading.Barrier(10)
    async with Broker() as broker:
        await broker.register(Many)

        async def checked(number: int) -> Any:
            return await broker.call("many.get", {"number": number})

        # An even number gives itself; the inner call of an odd one is checked in the handler.
        evens = await asyncio.gather(*(checked(2 * number) for number in range(50)))
        threads = await asyncio.gather(*(broker.call("many.thread", {"number": number}) for number in range(10)))

    assert [[2 * number] * 3 for number in range(50)] == evens
    assert [[number] * 3 for number in range(10)] == threads


# --- streams ---


class Streams(Service):
    name = "streams"
    one = Slow("one")

    @action
    async def own(self, ctx: Context[Any]) -> AsyncIterator[Any]:
        for _ in range(2):
            note("item")
            yield self.one
        if ctx.params.get("fails"):
            raise MoleculerClientError("no more", 400)

    @action
    async def returned(self, ctx: Context[Any]) -> Any:
        return self.own(ctx)

    @action(blocking=True)
    def from_thread(self, ctx: Context[Any]) -> Any:
        def items() -> Iterator[Any]:
            for _ in range(2):
                note("item")
                yield self.one
            if ctx.params.get("fails"):
                raise MoleculerClientError("no more", 400)

        return items()

    @action
    def generator(self, ctx: Context[Any]) -> Any:
        yield from self.from_thread(ctx)


STREAMS = ("own", "returned", "from_thread", "generator")


@pytest.mark.parametrize("handler", STREAMS)
async def test_a_call_with_a_stream_ends_with_the_stream(handler: str) -> None:
    async with Broker() as broker:
        await broker.register(Streams)
        LOG.clear()

        items = [item async for item in await broker.call(f"streams.{handler}", {"who": "Ann"})]

    assert ["one for Ann"] * 2 == items
    assert ["item", "item", "one told None None", "one.result", "one.teardown", "one.stop"] == LOG[2:]


@pytest.mark.parametrize("handler", STREAMS)
async def test_a_stream_that_breaks_is_told(handler: str) -> None:
    async with Broker() as broker:
        await broker.register(Streams)
        stream = await broker.call(f"streams.{handler}", {"fails": True})

        with pytest.raises(MoleculerClientError, match="no more"):
            _ = [item async for item in stream]
    assert ["one told None MoleculerClientError", "one.result", "one.teardown", "one.stop"] == LOG[-4:]


@pytest.mark.parametrize("handler", STREAMS)
async def test_a_stream_that_nobody_reads_to_its_end_is_torn_down(handler: str) -> None:
    async with Broker() as broker:
        await broker.register(Streams)
        stream = await broker.call(f"streams.{handler}")
        await stream.aclose()
        assert "one.teardown" == LOG[-1]
        assert not [line for line in LOG if "told" in line]

        # So is one that is just dropped, when that is seen.
        LOG.clear()
        stream = await broker.call(f"streams.{handler}")
        del stream
        await until(lambda: gc.collect() is not None and "one.teardown" in LOG)


async def test_a_stream_whose_end_cannot_be_kept_breaks() -> None:
    class Broken(Streams):
        one = Slow("one", "result")

    async with Broker() as broker:
        await broker.register(Broken)
        stream = await broker.call("streams.own")

        with pytest.raises(DependencyError):
            _ = [item async for item in stream]
    assert "one.teardown" == LOG[-2]


# --- cancellation ---


class Hanging(Service):
    name = "hanging"
    one = Slow("one")
    two = Plain("two")

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = threading.Event(), threading.Event()

    @action
    async def on_loop(self, ctx: Context[Any]) -> None:
        self.begun.set()
        await asyncio.Event().wait()

    @action(blocking=True)
    def in_thread(self, ctx: Context[Any]) -> None:
        self.begun.set()
        self.go_on.wait(20)
        note("handler ended")


async def begun(service: Any) -> None:
    async with asyncio.timeout(20):
        while not service.begun.is_set():
            await asyncio.sleep(0.001)


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_call_that_is_cancelled_is_torn_down() -> None:
    async with Broker() as broker:
        service = await broker.register(Hanging)
        call = asyncio.create_task(broker.call("hanging.on_loop"))
        await begun(service)
        LOG.clear()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert ["two.teardown", "one.teardown"] == LOG


async def test_what_a_thread_uses_is_torn_down_when_the_thread_has_ended() -> None:
    async with Broker() as broker:
        service: Any = await broker.register(Hanging)
        call = asyncio.create_task(broker.call("hanging.in_thread", timeout=0.05))
        await begun(service)
        LOG.clear()
        with pytest.raises(RequestTimeoutError):
            await call
        assert [] == LOG

        service.go_on.set()
        await until(lambda: "one.teardown" in LOG)
    assert "handler ended" == LOG[0]
    assert {"two.teardown", "one.teardown"} <= set(LOG)


async def test_providers_are_killed_where_calls_do_not_end(caplog: pytest.LogCaptureFixture) -> None:
    async with Broker(settings=Settings(shutdown_timeout=0.1)) as broker:
        service: Any = await broker.register(Hanging)
        call = asyncio.create_task(broker.call("hanging.on_loop"))
        await begun(service)
        with caplog.at_level(logging.ERROR, "tautomer.providers"):
            await broker.destroy_service(service)
        assert ["calls go on; their dependencies are ended"] == [record.message for record in caplog.records]
        assert ["two.kill", "one.kill"] == LOG[-2:]
        call.cancel()


async def test_providers_stop_after_the_last_call() -> None:
    async with Broker() as broker:
        service: Any = await broker.register(Hanging)
        call = asyncio.create_task(broker.call("hanging.in_thread"))
        await begun(service)
        gone = asyncio.create_task(broker.destroy_service(service))
        await asyncio.sleep(0.01)
        assert "two.stop" not in LOG
        service.go_on.set()
        await asyncio.gather(call, gone)
    assert LOG.index("two.teardown") < LOG.index("two.stop") < LOG.index("one.stop")


async def test_a_handler_may_stop_its_own_node() -> None:
    class Last(Service):
        name = "last"
        one = Slow("one")

        @action
        async def stop(self, ctx: Context[Any]) -> str:
            await self.broker.stop()
            return "done"

    async with Broker() as broker, asyncio.timeout(5):
        await broker.register(Last)

        assert "done" == await broker.call("last.stop")
    assert "one.kill" not in LOG


# --- events ---


class Listening(Service):
    name = "listening"
    one = Plain("one")

    @event("told.plain")
    def plain(self, ctx: Context[Any]) -> None:
        note(f"heard {self.one}")

    @event("told.async")
    async def on_loop(self, ctx: Context[Any]) -> None:
        note(f"heard {self.one}")

    @event("told.thread", blocking=True)
    def in_thread(self, ctx: Context[Any]) -> None:
        note(f"heard {self.one}")


@pytest.mark.parametrize("name", ["plain", "async", "thread"])
async def test_listeners_are_calls_as_well(name: str) -> None:
    async with Broker() as broker:
        await broker.register(Listening)
        LOG.clear()
        await broker.emit(f"told.{name}", {"who": "Ann"})

        assert [line if line != "handler" else "heard one for Ann" for line in around("one", told="None None")] == LOG


async def test_a_plain_listener_stays_one_unless_a_hook_is_async() -> None:
    class Waiting(Listening):
        one = Slow("one")

    async with Broker() as broker:
        await broker.register(Listening)
        LOG.clear()
        broker.emit("told.plain")
        assert "one.teardown" == LOG[-1]  # At once.

        await broker.destroy_service("listening")
        await broker.register(Waiting)
        await broker.emit("told.plain")
        assert "one.teardown" == LOG[-1]


# --- what there is where ---


async def test_where_nothing_is_done_around_calls_the_handler_is_the_method_itself() -> None:
    class Quiet(DependencyProvider):
        def setup(self) -> None:
            note("setup")

    class Lean(Service):
        name = "lean"
        quiet = Quiet()

        @action
        async def get(self, ctx: Context[Any]) -> Any:
            return self.quiet

        @event("lean.told")
        def told(self, ctx: Context[Any]) -> None: ...

    class Bare(Lean):
        quiet = None  # type: ignore[assignment]  # It has none.

    handlers = []
    for cls in (Lean, Bare):
        async with Broker() as broker:
            service = await broker.register(cls)
            handlers.append(broker.registry.actions["lean.get"].all[0].handler)
            assert service.get == handlers[-1]
            assert service.told == broker.registry.events.audiences["lean.told"].plain.plain
            assert await broker.call("lean.get") is None
    assert ["setup"] == LOG


async def test_two_nodes_with_one_class_have_providers_of_their_own() -> None:
    made: list[Any] = []

    class Own(DependencyProvider):
        def setup(self) -> None:
            made.append((self, self.container.broker.id, self.container.service_name, self.attr_name))

        def get_dependency(self, ctx: Context[Any]) -> Any:
            return self

    cls = service_with(one=Own())
    async with Broker("a") as first, Broker("b") as second:
        await first.register(cls)
        await second.register(cls)

        assert [made[0][0], made[1][0]] == [await one.call("kinds.plain") for one in (first, second)]
        assert made[0][0] is not made[1][0]
        assert [("a", "kinds", "one"), ("b", "kinds", "one")] == [one[1:] for one in made]


async def test_a_provider_may_hold_others_which_are_set_up_before_it() -> None:
    class Holding(Plain):
        inner = Plain("inner")

        def __init__(self, name: str) -> None:
            super().__init__(name)
            self.of_its_own = Slow(f"{name}'s")

        def get_dependency(self, ctx: Context[Any]) -> Any:
            return self.inner.get_dependency(ctx)

    async with Broker() as broker:
        await broker.register(service_with(one=Holding("one")))
        assert ["inner.setup", "one's.setup", "one.setup", "inner.start", "one's.start", "one.start"] == LOG
        assert "inner for Ann" == await broker.call("kinds.plain", {"who": "Ann"})
        LOG.clear()
    assert ["one.stop", "one's.stop", "inner.stop"] == LOG


async def test_a_shared_provider_is_one_for_the_node() -> None:
    class Pool(SharedProvider):
        def setup(self) -> None:
            note("setup")

        def get_dependency(self, ctx: Context[Any]) -> Any:
            return self

        def stop(self) -> None:
            note("stop")

    class Other(Service):
        name = "other"
        also = Pool()

        @action
        async def get(self, ctx: Context[Any]) -> Any:
            return self.also

    async with Broker() as broker:
        await broker.register(service_with(one=Pool()))
        await broker.register(Other)

        assert await broker.call("kinds.plain") is await broker.call("other.get")
        await broker.destroy_service("kinds")
        assert "stop" not in LOG
        assert isinstance(await broker.call("other.get"), Pool)
    assert ["setup", "handler", "stop"] == LOG


async def test_outside_of_a_call_it_is_asked_anew() -> None:
    class Reading(Service):
        name = "reading"
        one = Plain("one")
        two = Slow("two")

        async def started(self) -> None:
            note(f"started with {self.one}")

    async with Broker() as broker:
        service: Any = await broker.register(Reading)

        assert "started with one for -" in LOG
        assert "one for -" == service.one
        with pytest.raises(RuntimeError, match="within its calls only"):
            _ = service.two
    assert isinstance(Reading.one, Plain)


async def test_at_no_node_there_are_none_and_it_is_said() -> None:
    service = service_with(one=Plain("one"))()

    with pytest.raises(RuntimeError, match="once the service is registered"):
        _ = service.one  # type: ignore[attr-defined]  # Put there above.


async def test_a_provider_belongs_into_the_class() -> None:
    service = Service("wrong")
    service.one = Plain("one")  # type: ignore[attr-defined]  # That is the mistake.

    with pytest.raises(ServiceSchemaError, match="belongs into the class"):
        Broker().create_service(service)


async def test_the_container_knows_the_configuration() -> None:
    class Configured(DependencyProvider):
        def setup(self) -> None:
            note(f"{self.container.config['url']} {self.container.config['size']}")

    class Using(Service):
        name = "using"
        settings = {"size": 5}
        one = Configured()

    async with Broker(settings=Settings(config={"url": "db://x", "size": 1})) as broker:
        await broker.register(Using)

        assert ["db://x 5"] == LOG
        assert "db://x" not in repr(broker.settings)
