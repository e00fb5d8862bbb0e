"""Shift: requests that do not wait share a task, and no handler can tell."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextvars import ContextVar
from types import SimpleNamespace

from tautomer.context import Context
from tautomer.protocol.packets import Request
from tautomer.transit.shift import Shift, Taken

told: ContextVar[str] = ContextVar("told", default="nothing")


class Requests:
    """A shift whose requests are functions; notes the task of each by its name, which is that of its first request."""

    def __init__(self) -> None:
        self.shift = Shift(self._serve)
        self.done: list[str] = []
        self.tasks: dict[str, str] = {}
        self.endpoints: dict[str, SimpleNamespace] = {}

    def add(self, name: str, handler: Callable[[], Awaitable[None]]) -> None:
        endpoint = self.endpoints[name] = SimpleNamespace(handler=handler, own_tasks=0)
        shift = self.shift
        shift.leave()
        shift.queue.append((Request(name, name), Context(None, {}, endpoint)))
        if len(shift.queue) <= 2:
            shift.wake()

    async def _serve(self, requests: Iterable[Taken]) -> None:
        for packet, ctx in requests:
            task = asyncio.current_task()
            assert task is not None
            assert ctx is self.shift.at_work or task is self.shift.running[ctx]
            self.tasks[packet.action] = task.get_name()
            del task
            try:
                await ctx.endpoint.handler()
                self.done.append(packet.action)
            finally:
                self.shift.running.pop(ctx, None)

    async def end(self) -> None:
        while len(self.shift):
            await asyncio.sleep(0)

    def own(self) -> list[str]:
        """Those who are known to need a task each."""
        return [name for name, endpoint in self.endpoints.items() if endpoint.own_tasks]


async def nothing() -> None:
    pass


async def test_requests_that_do_not_wait_share_a_task_and_keep_their_order() -> None:
    requests = Requests()
    for name in "abc":
        requests.add(name, nothing)
    await requests.end()

    assert ["a", "b", "c"] == requests.done
    assert {"a": "a", "b": "a", "c": "a"} == requests.tasks
    assert [] == requests.own()


async def test_who_waits_keeps_the_task_and_the_others_do_not_wait_for_it() -> None:
    requests = Requests()
    gate = asyncio.Event()
    requests.add("a", nothing)
    requests.add("slow", lambda: gate.wait())  # type: ignore[arg-type, return-value]
    requests.add("b", nothing)
    requests.add("c", nothing)
    for _ in range(4):
        await asyncio.sleep(0)
    assert ["a", "b", "c"] == requests.done
    gate.set()
    await requests.end()

    assert ["a", "b", "c", "slow"] == requests.done
    assert {"a": "a", "slow": "a", "b": "b", "c": "c"} == requests.tasks
    assert ["slow"] == requests.own()


async def test_who_waits_alone_is_found_out_by_the_next() -> None:
    requests = Requests()
    gate = asyncio.Event()
    requests.add("slow", lambda: gate.wait())  # type: ignore[arg-type, return-value]
    for _ in range(3):
        await asyncio.sleep(0)
    requests.add("b", nothing)
    assert ["slow"] == requests.own()
    for _ in range(3):
        await asyncio.sleep(0)
    assert ["b"] == requests.done
    gate.set()
    await requests.end()

    assert {"slow": "slow", "b": "b"} == requests.tasks


async def test_a_context_variable_does_not_reach_the_next_request() -> None:
    requests = Requests()
    seen: list[str] = []

    async def tell() -> None:
        told.set("a secret")

    async def look() -> None:
        seen.append(told.get())

    requests.add("tell", tell)
    requests.add("look", look)
    await requests.end()

    assert ["nothing"] == seen
    assert ["tell"] == requests.own()


async def test_who_cancels_itself_cancels_no_other_request() -> None:
    requests = Requests()

    async def cancel_me() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    requests.add("cancel", cancel_me)
    requests.add("pause", lambda: asyncio.sleep(0))
    await requests.end()

    assert ["cancel", "pause"] == requests.done


async def test_a_task_that_a_handler_kept_is_no_later_requests() -> None:
    requests = Requests()
    kept: list[object] = []

    async def keep() -> None:
        kept.append(asyncio.current_task())

    requests.add("keep", keep)
    requests.add("next", nothing)
    await requests.end()

    assert {"keep": "keep", "next": "next"} == requests.tasks
    assert ["keep"] == requests.own()


async def test_a_task_cancelled_before_its_turn_holds_up_nobody() -> None:
    requests = Requests()
    requests.add("a", nothing)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    assert [] == requests.done
    requests.shift.look()
    await requests.end()

    assert ["a"] == requests.done
