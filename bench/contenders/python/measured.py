"""What the Python contenders share: their options, their event loop, and the answering of commands.

A contender is started as ``python <framework>_program.py ROLE OPTIONS`` with OPTIONS as JSON
(``{"nats": URL or null, "port": NUMBER or null}``) and reads one command a line on standard input, until
that ends. The Node contender keeps the same terms; bench/README.md states them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import platform
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

PAYLOADS: dict[str, dict[str, object]] = {"tiny": {"n": 1}, "10kB": {"text": "x" * 10_000}}

# Operations between two looks at the clock: a look costs as much as a tenth of the cheapest call.
BATCH = 500

Operation = Callable[[int], Awaitable[None]]
"""Does the measured thing as often as it is told, one after the other."""


class Caller(Protocol):
    """As much of a broker as is measured; all three have it alike."""

    def call(self, action_name: str, params: dict[str, Any] = ..., /) -> Awaitable[Any]: ...

    def emit(self, event_name: str, params: dict[str, Any] = ..., /) -> Awaitable[Any]: ...


@dataclass(frozen=True, slots=True)
class Options:
    """What the driver wants of this process.

    Attributes:
        role: ``local``, ``caller``, ``callee``; ``gateway``, ``guarded``, ``aliases``, ``sockets`` and ``jsonrpc`` (with
            the actions); or ``edge`` (gateway without them).
        nats: URL of the message broker, or None where the role needs none.
        port: Of the gateway, on 127.0.0.1.
    """

    role: str
    nats: str | None
    port: int

    @property
    def has_actions(self) -> bool:
        return self.role not in ("caller", "edge")

    @property
    def has_gateway(self) -> bool:
        return self.role in ("gateway", "guarded", "aliases", "sockets", "jsonrpc", "edge")

    @property
    def gateway_settings(self) -> dict[str, Any]:
        aliases = {"GET /hello": "bench.hello", "GET /users/:id": "bench.user"}
        routes: list[dict[str, Any]] = [{"path": "/", "aliases": aliases}, {"path": "/open", "mappingPolicy": "all"}]
        if self.role == "guarded":
            routes = [{"path": "/", "aliases": aliases, **GUARDS}]
        elif self.role == "aliases":
            routes = [{"path": "/", "aliases": {f"GET /r{number}/:id": "bench.user" for number in range(1000)}}]
        return {"port": self.port, "ip": "127.0.0.1", "path": "/api", "routes": routes}


async def authenticate(ctx: Any, route: Any, request: Any) -> dict[str, int] | None:
    return {"id": 1} if request.headers.get("authorization") == "Bearer letmein" else None


async def authorize(ctx: Any, route: Any, request: Any) -> None:
    if not ctx.user:
        raise RuntimeError("who are you?")


GUARDS: dict[str, Any] = {
    "cors": {"origin": ["http://app.test"], "credentials": True},
    "rateLimit": {"window": 60, "limit": 1_000_000_000, "headers": True},
    "authentication": authenticate,
    "authorization": authorize,
}


def read_options() -> Options:
    given = json.loads(sys.argv[2])
    return Options(role=sys.argv[1], nats=given.get("nats"), port=given.get("port") or 0)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on uvloop if the driver asks for it and it is there, else on asyncio."""
    if os.environ.get("BENCH_LOOP") == "uvloop":
        try:
            uvloop = importlib.import_module("uvloop")
        except ImportError:
            print("uvloop is not installed; running on asyncio", file=sys.stderr)
        else:
            uvloop.run(main())
            return
    asyncio.run(main())


def answer(record: Mapping[str, object]) -> None:
    print(json.dumps({"bench": record}), flush=True)


def _operation(broker: Caller, command: Mapping[str, Any]) -> Operation:
    params = PAYLOADS[command.get("payload", "tiny")]

    async def local(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.empty")

    async def nested(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.nested")

    async def emit(count: int) -> None:
        for _ in range(count):
            await broker.emit("bench.happened", params)

    async def remote(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.echo", params)

    async def cached(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.cached", {"id": 5})

    async def validated(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.validated", {"id": 5, "name": "Anna"})

    async def held(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.held", {"id": 5, "name": "Anna"})

    known: dict[str, Operation] = {
        "local": local,
        "nested": nested,
        "cached": cached,
        "validated": validated,
        "held": held,
        "emit": emit,
        "remote": remote,
    }
    return known[command["operation"]]


async def answer_commands(broker: Caller) -> None:
    """Say that we are ready, then answer command by command until standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    loop_name = type(loop).__module__.partition(".")[0]
    answer({"ready": True, "runtime": f"CPython {platform.python_version()}, {loop_name}"})
    while line := await reader.readline():
        command = json.loads(line)
        try:
            record = await _measure(_operation(broker, command), command["seconds"], command.get("in_flight"))
        except Exception:
            # The driver reports it and goes on with the next scenario.
            record = {"error": traceback.format_exc()}
        answer(record)
    transport.close()


async def _measure(operation: Operation, seconds: float, in_flight: int | None) -> dict[str, object]:
    """Keep `in_flight` loops busy until the time is over; None is one loop that looks seldom at the clock."""
    batch = BATCH if in_flight is None else 1
    ops = 0
    start = perf_counter()
    end = start + seconds

    async def busy() -> None:
        nonlocal ops
        while True:
            await operation(batch)
            ops += batch
            if perf_counter() >= end:
                return

    await asyncio.gather(*(busy() for _ in range(in_flight or 1)))
    return {"ops": ops, "seconds": perf_counter() - start}
