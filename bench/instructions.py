"""Instructions per operation, counted by valgrind: what a busy machine cannot blur.

    .venv/bin/python -m bench.instructions                     # all, each against a run of no operations
    .venv/bin/python -m bench.instructions --only http-get --loop asyncio
    .venv/bin/python -m bench.instructions --cpu --source ../other/src   # CPU time instead, taking turns with other code

Everything runs in one process without a socket: requests are fed into the server's connections, 50 at a turn of the
loop as wrk would have it, and remote calls go over ``memory://``. ``caller-…`` and ``callee-…`` are one end of a call over
NATS each, beside a server that knows every answer beforehand. System calls are therefore not in it. Counts repeat
to a few per mille; they are not time, but what lowers one lowers the other.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

HOME = Path(__file__).resolve().parent.parent
CONNECTIONS = 50
# Before counting: enough for what is made once, and for CPython to have specialised what is hot.
WARM_UP = 10 * CONNECTIONS
COUNTED = 40 * CONNECTIONS
TIMED = 400 * CONNECTIONS

_HEADERS = b"Host: 127.0.0.1:3000\r\n"
REQUESTS = {
    "http-get": b"GET /api/hello HTTP/1.1\r\n" + _HEADERS + b"\r\n",
    "http-param": b"GET /api/users/5?x=1 HTTP/1.1\r\n" + _HEADERS + b"\r\n",
    "http-query": b"GET /api/users/5?x=1&page=2&sort=name HTTP/1.1\r\n" + _HEADERS + b"\r\n",
    "http-post": b"POST /api/hello HTTP/1.1\r\n"
    + _HEADERS
    + b'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n{"name":"Anna"}',
    "http-guarded": b"GET /api/guarded/hello HTTP/1.1\r\n"
    + _HEADERS
    + b"Authorization: Bearer letmein\r\nOrigin: http://app.test\r\n\r\n",
    "http-404": b"GET /api/nowhere HTTP/1.1\r\n" + _HEADERS + b"\r\n",
    "http-404-open": b"GET /api/open/no/where HTTP/1.1\r\n" + _HEADERS + b"\r\n",
    "http-cookie": b"GET /api/hello HTTP/1.1\r\n" + _HEADERS + b"Cookie: session=0123456789abcdef\r\n\r\n",
    "ab-get": b"GET /api/hello HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: 127.0.0.1:3000\r\n"
    b"User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
    "http-remote": b"GET /api/far HTTP/1.1\r\n" + _HEADERS + b"\r\n",
}
# What a client says on a WebSocket, masked as a client must: a method of this node is called.
SAID = b'{"method":"bench.echo","data":{"n":1},"correlation_id":"c1"}'
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\n" + _HEADERS + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# `ws-slow`: the same by a method that waits for one turn of the loop.
SOCKETS = {name: SAID.replace(b"echo", method) for name, method in (("ws-rpc", b"echo"), ("ws-slow", b"slow"))}
# One end of a remote call over NATS, with the whole client below it; the payload is that of `measured.py`.
ENDS = ("caller-tiny", "callee-tiny", "caller-10kb", "callee-10kb")
SCENARIOS = (*REQUESTS, *SOCKETS, "local", "nested", "emit", "remote", *ENDS)

Run = Callable[[int], Awaitable[None]]
"""Does the operation so often."""

Ready = Callable[[int], None]
"""Makes what so many operations need beforehand."""


class Wire:
    """A transport that leads nowhere."""

    def __init__(self) -> None:
        self.answers = 0
        self.last = b""
        self.protocol: Any = None

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.answers += 1
        self.last = data

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 4000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        raise AssertionError(f"closed after {self.last!r}")

    abort = close


async def _feed(connect: Callable[[], Any], request: bytes, first: bytes = b"") -> Run:
    """
    Args:
        first: What is sent once, and answered by more than one write: a handshake.
    """
    wires = [Wire() for _ in range(CONNECTIONS)]
    for wire in wires:
        wire.protocol = connect()
        wire.protocol.connection_made(wire)
        if first:
            wire.protocol.data_received(first)
            while wire.answers < 2:
                await asyncio.sleep(0)
    connections = [wire.protocol for wire in wires]
    loop = asyncio.get_running_loop()

    def say() -> None:
        for connection in connections:
            connection.data_received(request)

    async def run(count: int) -> None:
        due = wires[-1].answers
        for _ in range(count // CONNECTIONS):
            loop.call_soon(say)  # As the loop does it: no task runs then.
            due += 1
            while wires[-1].answers < due:
                await asyncio.sleep(0)

    await run(CONNECTIONS)
    print(wires[-1].last.partition(b"\r\n")[0].decode(errors="replace"), file=sys.stderr)
    return run


def _masked(text: bytes, mask: bytes = b"\x37\xfa\x21\x3d") -> bytes:
    """The frame of a client."""
    assert len(text) < 126
    return bytes((0x81, 0x80 | len(text))) + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(text))


class NatsServer(Wire):
    """The server behind one client: signs it in, then answers its requests with what was made ready.

    Attributes:
        ready: Messages for the client, in the order in which they are said.
        at_once: Answers in one reading; 0 for none by itself, None until the client is signed in.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self.hear = connection.data_received
        self.ready: deque[bytes] = deque()
        self.at_once: int | None = None
        self._sids: dict[bytes, bytes] = {}

    def is_closing(self) -> bool:
        return False

    def say(self, count: int) -> None:
        self.hear(b"".join([self.ready.popleft() for _ in range(count)]))

    def write(self, data: bytes) -> None:
        if self.at_once is None:
            for line in data.split(b"\r\n"):
                self._sign_in(line.split(b" "))
            return
        count = data.count(b"PUB MOL.RE")
        self.answers += count
        while count and self.at_once:
            asyncio.get_running_loop().call_soon(self.say, min(count, self.at_once))
            count -= min(count, self.at_once)

    def _sign_in(self, words: list[bytes]) -> None:
        said = b""
        if words[0] == b"SUB":
            self._sids[words[1]] = words[-1]
        elif words[0] == b"PING":
            said = b"PONG\r\n"
        elif words[0] == b"PUB" and len(words) == 4:  # Who has our id? Nobody.
            said = b"HMSG %b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % words[2]
        if said:
            asyncio.get_running_loop().call_soon(self.hear, said)

    def message(self, topic: bytes, payload: bytes, reply: bytes = b"") -> bytes:
        return b"MSG %b %b %b%d\r\n%b\r\n" % (topic, self._sids[topic], reply, len(payload), payload)


async def _one_end(scenario: str) -> tuple[Run, Ready]:
    from tautomer import Broker, Service, Settings, action
    from tautomer._tasks import Sweep
    from tautomer.host import Host, id_source
    from tautomer.protocol.codec import Codec
    from tautomer.protocol.packets import Info, Request, Response, ServiceInfo
    from tautomer.serializers import JSONSerializer
    from tautomer.transporters.nats.connection import Connection

    class Bench(Service):
        name = "bench"

        @action
        async def echo(self, ctx: Any) -> Any:
            return ctx.params

    servers = []

    async def open_without_socket(self: Any, _fields: object) -> None:
        servers.append(NatsServer(self))
        self.connection_made(servers[-1])

    Connection.open = open_without_socket  # type: ignore[method-assign]
    end, _, size = scenario.partition("-")
    params, at_once = ({"n": 1}, CONNECTIONS) if size == "tiny" else ({"text": "x" * 10_000}, 20)
    encode = Codec(JSONSerializer()).encode
    # Valgrind is slow: by the time on the wall the node would be behind and let requests stand in line, and it would
    # look at its deadlines thirty times as often.
    Sweep.wake = lambda self: setattr(self, "running", True)  # type: ignore[method-assign]
    host = Host(new_id=id_source(1), clock=itertools.count(1.0, 1e-6).__next__)
    broker = Broker(end, settings=Settings(transporter="nats://nowhere", log_level="WARNING"), host=host)
    if end == "callee":
        broker.create_service(Bench)
    await broker.start()
    server = servers[0]
    ids = id_source(1)
    begun = host.new_id()
    while ids() != begun:
        pass

    def ready(count: int) -> None:
        """Make the messages of so many operations."""
        for number in range(count):
            if end == "callee":
                id = ids()
                request = Request(id, "bench.echo", params, {}, {}, 30000, request_id=id, ver="5", sender="caller")
                reply = b"_INBOX.0123456789abcdef0123456789ab.%d " % (number % CONNECTIONS)
                server.ready.append(server.message(b"MOL.REQ.callee", encode(request), reply))
            else:
                response = Response(ids(), {}, {}, data=params, ver="5", sender="callee")
                server.ready.append(server.message(b"MOL.RES.caller", encode(response)))

    async def busy(count: int) -> None:
        for _ in range(count):
            await broker.call("bench.echo", params)

    async def call(count: int) -> None:
        await asyncio.gather(*(busy(count // CONNECTIONS) for _ in range(CONNECTIONS)))

    async def serve(count: int) -> None:
        due = server.answers
        for _ in range(count // at_once):
            due += at_once
            server.say(at_once)
            while server.answers < due:
                await asyncio.sleep(0)

    if end == "callee":
        server.at_once = 0
        return serve, ready
    echo = {"bench.echo": {"name": "bench.echo", "rawName": "echo"}}
    info = Info([ServiceInfo("bench", full_name="bench", actions=echo)], instance_id="1", ver="5", sender="callee")
    server.hear(server.message(b"MOL.INFO", encode(info)))
    await asyncio.sleep(0)
    server.at_once = at_once
    return call, ready


async def _prepare(scenario: str) -> tuple[Run, Ready]:
    if scenario in ENDS:
        return await _one_end(scenario)
    from tautomer import ApiGatewayService, Broker, Service, Settings, action, event, websocket_rpc

    class Bench(Service):
        name = "bench"

        @action
        async def empty(self, ctx: Any) -> None:
            pass

        @action
        async def nested(self, ctx: Any) -> Any:
            return await ctx.call("bench.empty")

        @action
        async def hello(self, ctx: Any) -> dict[str, str]:
            return {"hello": "world"}

        @action
        async def user(self, ctx: Any) -> dict[str, Any]:
            return {"id": ctx.params["id"], "x": ctx.params["x"]}

        @websocket_rpc
        async def echo(self, socket_id: str, **data: Any) -> Any:
            return data

        @websocket_rpc
        async def slow(self, socket_id: str, **data: Any) -> Any:
            await asyncio.sleep(0)
            return data

        @event("bench.happened")
        def on_happened(self, ctx: Any) -> None:
            pass

    class Far(Service):
        name = "far"

        @action
        async def hello(self, ctx: Any) -> dict[str, str]:
            return {"hello": "world"}

        @action
        async def echo(self, ctx: Any) -> Any:
            return ctx.params

    class Gateway(ApiGatewayService):
        settings = {
            "port": 0,
            "ip": "127.0.0.1",
            "path": "/api",
            "limits": {"keep_alive_requests_max": 0},
            "websocket": {"path": "/ws", "messages_per_second": 0} if scenario in SOCKETS else False,
            "routes": [
                {
                    "path": "/",
                    "aliases": {"* /hello": "bench.hello", "GET /users/:id": "bench.user", "GET /far": "far.hello"},
                },
                {"path": "/open", "mappingPolicy": "all"},
                {
                    "path": "/guarded",
                    "aliases": {"GET /hello": "bench.hello"},
                    "cors": {"origin": ["http://app.test"], "credentials": True},
                    "rateLimit": {"windowSeconds": 60, "limit": 1_000_000_000, "headers": True},
                    "authentication": True,
                    "authorization": True,
                },
            ],
        }

        async def authenticate(self, ctx: Any, route: Any, request: Any) -> dict[str, int] | None:
            return {"id": 1} if request.headers.get("authorization") == "Bearer letmein" else None

        async def authorize(self, ctx: Any, route: Any, request: Any) -> None:
            if ctx.meta["user"] is None:
                raise PermissionError("who are you?")

    transporter = "memory://" if "remote" in scenario else None
    settings = Settings(transporter=transporter, log_level="WARNING")
    broker = Broker("one", settings=settings)
    broker.create_service(Bench)
    if transporter:
        other = Broker("other", settings=settings)
        other.create_service(Far)
        await other.start()
    if scenario in REQUESTS or scenario in SOCKETS:
        gateway = Gateway()
        broker.create_service(gateway)
        await broker.start()
        # The one private name: a client would bring system calls along.
        connect = gateway._server._connect  # type: ignore[union-attr]
        if scenario in SOCKETS:
            return await _feed(connect, _masked(SOCKETS[scenario]), HANDSHAKE), _nothing
        return await _feed(connect, REQUESTS[scenario]), _nothing
    await broker.start()
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "local": lambda: broker.call("bench.empty"),
        "nested": lambda: broker.call("bench.nested"),
        "emit": lambda: broker.emit("bench.happened", {"n": 1}),
        "remote": lambda: broker.call("far.echo", {"n": 1}),
    }
    call = calls[scenario]

    async def run(count: int) -> None:
        if scenario == "remote":
            for _ in range(count // CONNECTIONS):
                await asyncio.gather(*[call() for _ in range(CONNECTIONS)])
            return
        for _ in range(count):
            await call()

    return run, _nothing


def _nothing(_count: int) -> None:
    """Nothing is to be made ready."""


async def _work(scenario: str, counted: int) -> None:
    """Under valgrind: do it, and be gone before anything is torn down."""
    run, ready = await _prepare(scenario)
    ready(WARM_UP + COUNTED)  # As many for each run: what it costs is in none of the differences.
    await run(WARM_UP + counted)
    sys.stderr.flush()
    os._exit(0)


async def _serve(scenario: str) -> None:
    """Answer each line with the CPU seconds of a batch."""
    run, ready = await _prepare(scenario)
    ready(WARM_UP)
    await run(WARM_UP)
    for _ in sys.stdin:
        ready(TIMED)
        began = process_time()
        await run(TIMED)
        print(process_time() - began, flush=True)
    os._exit(0)


def _run(main: Awaitable[None], loop: str) -> None:
    if loop == "uvloop":
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)  # type: ignore[arg-type]  # Both are coroutines.


def _environment(source: str) -> dict[str, str]:
    # Hashes decide on collisions in dicts.
    return {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": os.pathsep.join([source, str(HOME)])}


def _counted(scenario: str, loop: str, source: str, counted: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={folder}/out"]
        command += [sys.executable, "-m", "bench.instructions", "--work", scenario, str(counted), "--loop", loop]
        done = subprocess.run(command, env=_environment(source), capture_output=True, text=True, check=False)
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(done.stderr)
    return int(found[1].replace(",", ""))


def _count(scenarios: list[str], loop: str, source: str) -> None:
    if shutil.which("valgrind") is None:
        raise SystemExit("valgrind is not installed: apt-get install valgrind, or measure with --cpu")
    print(f"instructions per operation, {loop}")
    for scenario in scenarios:
        few = _counted(scenario, loop, source, 0)
        many = _counted(scenario, loop, source, COUNTED)
        print(f"{scenario:14} {(many - few) / COUNTED:9.0f}", flush=True)


def _time(scenarios: list[str], loop: str, sources: list[str], rounds: int) -> None:
    """CPU time of batches, each source in turn; the ratio is the median of those of neighbours."""
    print(f"CPU-µs per operation, {loop}: " + ", ".join(sources))
    for scenario in scenarios:
        command = [sys.executable, "-m", "bench.instructions", "--serve", scenario, "--loop", loop]
        programs = [
            subprocess.Popen(
                command,
                env=_environment(source),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for source in sources
        ]
        times: list[list[float]] = [[] for _ in programs]
        for _ in range(rounds):
            for program, seconds in zip(programs, times, strict=True):
                assert program.stdin is not None
                assert program.stdout is not None
                print(file=program.stdin, flush=True)
                seconds.append(float(program.stdout.readline()))
        for program in programs:
            program.communicate()
        told = "  ".join(f"{median(seconds) / TIMED * 1e6:7.3f}" for seconds in times)
        if len(times) > 1:
            told += f"  ratio {median(b / a for a, b in zip(*times[:2], strict=True)):.3f}"
        print(f"{scenario:14} {told}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="A,B", help="these: " + ", ".join(SCENARIOS))
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument(
        "--source", default=[], action="append", help="folder with another tautomer; with --cpu beside this"
    )
    parser.add_argument("--cpu", action="store_true", help="CPU time instead of instructions")
    parser.add_argument("--rounds", type=int, default=15, help="batches, with --cpu")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        _run(_work(options.work[0], int(options.work[1])), options.loop)
    if options.serve:
        _run(_serve(options.serve), options.loop)
    scenarios = options.only.split(",") if options.only else list(SCENARIOS)
    if unknown := [one for one in scenarios if one not in SCENARIOS]:
        parser.error(f"no scenario '{unknown[0]}'; there are {', '.join(SCENARIOS)}")
    own = str(HOME / "src")
    if options.cpu:
        _time(scenarios, options.loop, [own, *options.source], options.rounds)
    else:
        _count(scenarios, options.loop, options.source[0] if options.source else own)


if __name__ == "__main__":
    main()
