"""Kinds: what a workload asks, one function each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tautomer.errors import MoleculerError
from tautomer.stream import Stream
from tautomer.testing.nodes import SimNode
from tautomer.testing.workers import STREAM_IDLE, items

if TYPE_CHECKING:
    from tautomer.testing.workload import Workload

__all__ = ["KINDS", "Kind"]

STALLED: Final = 6.0 + 2 * STREAM_IDLE + 2.0
"""Seconds in which a stream has broken, though a node stood still."""

Kind: TypeAlias = "Callable[[Workload, SimNode], Awaitable[None]]"
"""One thing to ask: runs on the given node, raises nothing."""


async def call(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    params = {"number": number, "delay": load.delay()}
    result = await load.expect(
        node, lambda: node.broker.call(f"{name}.echo", params, timeout=timeout), timeout, number, action=f"{name}.echo"
    )
    load.right(number, result)


async def call_one_node(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    target = load.random.choice(sorted(load.sim.nodes))
    params = {"number": number, "delay": load.delay()}
    result = await load.expect(
        node,
        lambda: node.broker.call(f"{name}.echo", params, timeout=timeout, node_id=target),
        timeout,
        number,
        direct=True,
    )
    load.right(number, result)
    if not isinstance(result, BaseException) and result["node"] != target:
        load.checkers.others.append(f"call {number} was meant for {target}, and {result['node']} answered")


async def call_nested(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    params = {"number": number, "depth": load.random.randint(0, 3), "delay": load.delay()}
    result = await load.expect(
        node, lambda: node.broker.call(f"{name}.nest", params, timeout=timeout), timeout, number, action=f"{name}.nest"
    )
    load.right(number, result)


async def call_cancelled(load: Workload, node: SimNode) -> None:
    """The caller goes away before the end."""
    number, name = load.number(), load.name()
    params = {"number": number, "delay": load.delay()}
    try:
        async with asyncio.timeout(load.random.uniform(0.0, 0.1)):
            await load.expect(
                node, lambda: node.broker.call(f"{name}.echo", params, timeout=1.0), 1.0, number, action=f"{name}.echo"
            )
    except TimeoutError:
        pass


async def call_failing(load: Workload, node: SimNode) -> None:
    number, timeout, name = load.number(), load.timeout(), load.name()
    result = await load.expect(
        node,
        lambda: node.broker.call(f"{name}.fail", {"number": number}, timeout=timeout),
        timeout,
        number,
        action=f"{name}.fail",
    )
    if not isinstance(result, MoleculerError):
        load.checkers.others.append(f"call {number} of an action that fails gave {result!r}")
    elif result.type == "ON_PURPOSE" and result.data.get("number") != number:
        load.checkers.others.append(f"call {number} got the error {result!r} of {result.data}")


async def call_many(load: Workload, node: SimNode) -> None:
    number, timeout = load.number(), load.timeout()
    names = [load.name() for _ in range(load.random.randint(1, 4))]
    numbers = [load.number() for _ in names]
    calls: Any = [
        {"action": f"{name}.echo", "params": {"number": its, "delay": load.delay()}}
        for name, its in zip(names, numbers, strict=True)
    ]
    settled = load.random.random() < 0.7
    result = await load.expect(
        node, lambda: node.broker.mcall(calls, settled=settled, timeout=timeout), timeout, number
    )
    if not isinstance(result, list):
        return
    if len(result) != len(names):
        load.checkers.others.append(f"mcall {number} of {len(names)} gave {len(result)} results")
    for its, one in zip(numbers, result, strict=False):
        if not settled or one["status"] == "fulfilled":
            load.right(its, one["value"] if settled else one)
        elif isinstance(one["reason"], MoleculerError):
            load.checkers.calls.inner(its, node.id, one["reason"])


async def read_stream(load: Workload, node: SimNode) -> None:
    """A stream is whole and in order, or its reader is told; what is not read to its end is closed."""
    params = _stream_params(load)
    params["breaks"] = load.random.random() < 0.2
    await _read(load, node, f"{load.name()}.read", params, None)


async def pass_on_stream(load: Workload, node: SimNode) -> None:
    """A stream that goes out and comes back."""
    params = _stream_params(load)
    await _read(load, node, f"{load.name()}.pass_on", params, _source(params))


async def write_stream(load: Workload, node: SimNode) -> None:
    """A handler reads the stream of its caller whole, or the call fails."""
    params = _stream_params(load)
    number, timeout, action = params["number"], load.timeout(), f"{load.name()}.write"
    source = _source(params)
    result = await load.expect(
        node, lambda: node.broker.call(action, params, timeout=timeout, stream=source), timeout, number, direct=True
    )
    load.right(number, result)
    load.streams += isinstance(result, dict)
    if isinstance(result, dict) and not result["whole"]:
        load.checkers.others.append(f"S1: stream {number} of {node.id} to {result['node']} did not come as it was sent")


def _stream_params(load: Workload) -> dict[str, Any]:
    chance = load.random
    return {
        "number": load.number(),
        "count": chance.choice((0, 1, 5, 20)),
        "size": chance.choice((0, 0, 10, 3_000)),
        "pause": chance.choice((0.0, 0.0, 0.01, 0.2)),
        "breaks": False,
    }


async def _source(params: dict[str, Any]) -> AsyncIterator[Any]:
    for item in items(params["number"], params["count"], params["size"]):
        yield item
        if params["pause"]:
            await asyncio.sleep(params["pause"])


async def _read(load: Workload, node: SimNode, action: str, params: dict[str, Any], source: Any) -> None:
    number, timeout = params["number"], load.timeout()
    leaves_early, slow = load.random.random() < 0.2, load.random.random() < 0.2
    stream = await load.expect(
        node,
        lambda: node.broker.call(action, params, timeout=timeout, **({} if source is None else {"stream": source})),
        timeout,
        number,
        direct=True,
    )
    if not isinstance(stream, Stream):
        if not isinstance(stream, BaseException):
            load.checkers.others.append(f"S1: call {number} for a stream gave {stream!r}")
        return
    async with aclosing(stream):
        read, error = await _items_of(load, stream, params["count"] // 2 if leaves_early else None, slow)
    fault = _fault(params, read, error, leaves_early)
    if fault:
        load.checkers.others.append(f"S1: stream {number} read by {node.id} {fault}")
    load.streams += error is None


async def _items_of(
    load: Workload, stream: Stream, most: int | None, slow: bool
) -> tuple[list[Any], BaseException | None]:
    """What can be read, and how it ended if not well."""
    read: list[Any] = []
    limit = asyncio.timeout(None)
    try:
        async with limit:
            while most is None or len(read) < most:
                limit.reschedule(load.sim.now + STALLED)
                read.append(await anext(stream))
                if slow:
                    await asyncio.sleep(0.1)
    except StopAsyncIteration:
        pass
    except MoleculerError as error:
        return read, error
    except TimeoutError as error:
        return read, error
    return read, None


def _fault(params: dict[str, Any], read: list[Any], error: BaseException | None, left_early: bool) -> str:
    """What is wrong with what was read, or nothing."""
    wanted: Any = list(items(params["number"], params["count"], params["size"]))
    got: Any = read
    if params["size"]:
        wanted, got = b"".join(wanted), b"".join(read)
    if isinstance(error, TimeoutError):
        return "neither goes on nor breaks"
    if got != wanted[: len(got)]:
        return f"gave other items than were sent: {got!r:.200}"
    if error is None and not left_early and (len(got) < len(wanted) or params["breaks"]):
        return f"ended well after {len(read)} of {params['count']} items"
    return ""


async def emit(load: Workload, node: SimNode) -> None:
    await _tell(load, node, "emit")


async def broadcast(load: Workload, node: SimNode) -> None:
    await _tell(load, node, "broadcast")


async def _tell(load: Workload, node: SimNode, verb: str) -> None:
    name = load.random.choice(("thing.plain", "thing.some", "thing.some.more"))
    groups = load.random.choice((None, None, ["listeners"], [load.name()]))
    try:
        await getattr(node.broker, verb)(name, {"number": load.number()}, groups)
    except MoleculerError:
        pass  # The line is away, and its buffer full.


async def ping(load: Workload, node: SimNode) -> None:
    await node.broker.ping(load.random.choice(sorted(load.sim.nodes)), timeout=0.5)


async def ask_gateway(load: Workload, node: SimNode) -> None:
    """An HTTP request from outside: it is answered, or its connection is cut with the node."""
    gateway = load.sim.nodes["n0"]
    if not load.profile.gateway or not gateway.alive:
        return
    number, name = load.number(), load.name()
    try:
        answer = await load.sim.http("n0", "GET", f"/{name}?number={number}")
    except ConnectionError:
        return
    # 502: the line is away, and stays so.
    if answer.status not in (200, 404, 502, 503, 504):
        load.checkers.others.append(f"HTTP request {number} was answered {answer.status} {answer.body!r}")
    elif answer.status == 404 and str(number) in load.checkers.runs.numbers:
        load.checkers.others.append(f"C3: HTTP request {number} was answered 404, and it did run")
    elif answer.status == 200 and answer.json["number"] != str(number):
        load.checkers.others.append(f"HTTP request {number} got the answer {answer.json}")


async def change_services(load: Workload, node: SimNode) -> None:
    """A service is withdrawn, or offered."""
    name = load.name()
    found = node.broker.get_local_service(name)
    if found is None:
        await node.broker.register(load.worker(name))
    elif found.load is not None:  # type: ignore[attr-defined]  # A worker.
        await node.broker.destroy_service(found)


KINDS: Final[tuple[Kind, ...]] = (
    call,
    call,
    call,
    call_one_node,
    call_nested,
    call_nested,
    call_cancelled,
    call_failing,
    call_many,
    read_stream,
    pass_on_stream,
    write_stream,
    emit,
    emit,
    broadcast,
    ping,
    ask_gateway,
    change_services,
)
