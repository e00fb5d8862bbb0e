"""Calls that run beside the caller's thread, as gemstone's clients have them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tautomer import MicroService, RemoteClient, public_method
from tautomer.client import (
    InvalidParams,
    MethodCall,
    RequestTimeout,
    ServiceUnreachable,
    as_completed,
    first_completed,
    make_callbacks,
)
from tests.web.door import open_door


class Slow(MicroService):
    name = "slow"

    def __init__(self) -> None:
        super().__init__()
        self.gates = {name: asyncio.Event() for name in "abc"}

    @public_method
    async def wait(self, name: str) -> str:
        await self.gates[name].wait()
        return name

    @public_method
    async def open(self, name: str) -> None:
        self.gates[name].set()


Run = Callable[[Callable[[RemoteClient], Any]], Awaitable[Any]]


@pytest.fixture(params=["http", "ws"])
async def run(request: pytest.FixtureRequest) -> AsyncIterator[Run]:
    """Runs what blocks in a thread, with a client."""
    door = await open_door(Slow(), routes=[{"path": "/api", "jsonrpc": True}])

    async def go(step: Callable[[RemoteClient], Any], **settings: Any) -> Any:
        def blocking() -> Any:
            with RemoteClient(f"{request.param}://127.0.0.1:{door.port}/api", **settings) as client:
                return step(client)

        return await asyncio.to_thread(blocking)

    yield go
    await door.broker.stop()


async def test_a_handle_of_call_method_async(run: Run) -> None:
    def step(client: RemoteClient) -> None:
        call = MethodCall("wait", ["a"], id=0)
        handle = client.call_method_async(call)

        assert (False, False) == (handle.finished(), handle.successful())
        with pytest.raises(RuntimeError, match="Result is not ready yet"):
            handle.result()
        client.methods.open("a")
        assert ("a", None, 0) == (handle.result(wait=True).result, handle.result().error, handle.result().id)
        assert (True, True, call) == (handle.finished(), handle.successful(), handle.method_call)

        failed = client.call_method_async("wait", {"nam": "a"})
        assert -32602 == failed.result(wait=True).error["code"]
        assert not failed.successful()

    await run(step)


async def test_a_handle_of_an_older_client(run: Run) -> None:
    def step(client: RemoteClient) -> None:
        handle = client.methods.wait("a", __async=True)
        assert (False, None, None) == (handle.finished(), handle.result(), handle.error())
        client.methods.open("a", __async=False)
        assert ("a", "a", None, True) == (handle.wait(), handle.result(), handle.error(), handle.finished())

        failed = client.methods.wait(nam="a", __async=True)
        with pytest.raises(InvalidParams):
            failed.wait()
        assert (None, -32602) == (failed.result(), failed.error()["code"])

    await run(step)


async def test_the_mark_is_found_inside_of_a_class(run: Run) -> None:
    class User:
        def ask(self, client: RemoteClient) -> Any:
            return client.methods.open("a", __async=True).wait()

    assert None is await run(User().ask)


async def test_handles_come_as_they_end(run: Run) -> None:
    def step(client: RemoteClient) -> None:
        handles = [client.call_method_async("wait", [name]) for name in "abc"]
        client.methods.open("b")
        ended = as_completed(*handles)

        assert handles[1] is next(ended)
        assert "b" == first_completed(*handles).result
        for name in "ac":
            client.methods.open(name)
        assert {handles[0], handles[2]} == set(ended)
        with pytest.raises(ValueError):
            first_completed()

    await run(step)


@pytest.mark.parametrize("threads", [False, True])
async def test_callbacks(run: Run, threads: bool) -> None:
    results: list[Any] = []
    errors: list[Any] = []
    where: set[threading.Thread] = set()

    def note(result: Any) -> None:
        results.append(result)
        where.add(threading.current_thread())

    def step(client: RemoteClient) -> threading.Thread:
        for name in "ab":
            client.methods.open(name)
        handles = [client.methods.wait(name, __async=True) for name in ("a", "b", 5)]
        make_callbacks(handles, note, errors.append, run_in_threads=threads)
        return threading.current_thread()

    own = await run(step)

    assert {"a", "b"} == set(results)
    assert [-32602] == [one["code"] for one in errors]
    assert threads == (own not in where)


async def test_what_a_callback_raises_is_raised(run: Run) -> None:
    def boom(_result: Any) -> None:
        raise KeyError("boom")

    def step(client: RemoteClient) -> None:
        make_callbacks([client.call_method_async("open", ["a"])], boom, print, run_in_threads=True)

    with pytest.raises(KeyError, match="boom"):
        await run(step)


@pytest.mark.slow
async def test_what_keeps_a_call_from_an_answer(run: Any) -> None:
    def step(client: RemoteClient) -> Any:
        handle = client.methods.wait("a", __async=True)
        with pytest.raises(RequestTimeout):
            handle.wait()
        return handle.error()

    assert isinstance(await run(step, timeout=0.2), RequestTimeout)


async def test_so_many_run_at_once(run: Any) -> None:
    def step(client: RemoteClient) -> Any:
        waiting = [client.call_method_async("wait", ["a"]), client.call_method_async("wait", ["b"])]
        client.methods.open("b")
        with pytest.raises(RuntimeError):
            waiting[1].result()
        client.methods.open("a")
        return [one.result(wait=True).result for one in waiting]

    assert ["a", "b"] == await run(step, threads=1)
    with pytest.raises(ValueError, match="threads"):
        RemoteClient("http://127.0.0.1/", threads=0)


def test_nobody_there() -> None:
    with RemoteClient("http://127.0.0.1:1/", retries=0) as client:
        handle = client.call_method_async("f")
        with pytest.raises(ServiceUnreachable):
            handle.result(wait=True)

    assert not handle.successful()
