"""What is measured: the list of scenarios, grouped by the processes that they need."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Stage(Enum):
    """Scenarios of one stage share their running processes."""

    CALLS = "calls"
    CACHED = "cached calls"
    CHECKED = "checked calls"
    REMOTE = "remote"
    GATEWAY = "gateway"
    GUARDED = "guarded gateway"
    ALIASES = "gateway with 1,000 aliases"
    EDGE = "gateway and service"
    SOCKETS = "sockets"
    JSON_RPC = "JSON-RPC"
    MEMORY = "memory"
    IMPORT = "import"

    @property
    def roles(self) -> tuple[str, ...]:
        """Of the processes that run, in the order of their start; the last one is asked."""
        return _ROLES[self]

    @property
    def needs_nats(self) -> bool:
        return self in (Stage.REMOTE, Stage.EDGE)

    @property
    def has_gateway(self) -> bool:
        return self not in (Stage.CALLS, Stage.CACHED, Stage.CHECKED, Stage.REMOTE, Stage.IMPORT)


_ROLES = {
    Stage.CALLS: ("local",),
    Stage.CACHED: ("local",),
    Stage.CHECKED: ("local",),
    Stage.REMOTE: ("callee", "caller"),
    Stage.GATEWAY: ("gateway",),
    Stage.GUARDED: ("guarded",),
    Stage.ALIASES: ("aliases",),
    Stage.EDGE: ("callee", "edge"),
    Stage.SOCKETS: ("sockets",),
    Stage.JSON_RPC: ("jsonrpc",),
    Stage.MEMORY: ("gateway",),
    Stage.IMPORT: (),
}


@dataclass(frozen=True, slots=True)
class Ask:
    """The contender does it itself, for as long as it is told, and says how often.

    Attributes:
        operation: ``local``, ``nested``, ``cached``, ``validated``, ``held``, ``emit`` or ``remote``.
        payload: ``tiny`` or ``10kB``; echoed by a remote call, so it crosses the wire twice.
        in_flight: Calls at the same time, or None for one after the other with few looks at the clock.
    """

    operation: str
    payload: str = "tiny"
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Load:
    """A load generator asks the contender's gateway, over 50 connections.

    Attributes:
        tool: ``wrk`` (HTTP/1.1) or ``ab`` (HTTP/1.0 with keep-alive).
        path: Path and query.
        status: What every answer must have.
        pace: Seconds that each connection pauses between two requests, so that it is not the work but the wait that is
            measured: the time in which 99 of 100 answers come. None: as fast as it goes.
        signed: Whether requests come as a browser of another origin sends them, with a token.
        body: JSON text of a POST; None for a GET.
    """

    tool: str
    path: str
    status: int = 200
    pace: float | None = None
    signed: bool = False
    body: str | None = None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Clients of WebSockets, in a process of their own, that stay as long as the stage lasts.

    Attributes:
        kind: ``rpc``: each calls a method, again and again, one call in flight; ``broadcast``: they are in one room,
            and an operation is an event that has reached one of them.
        sockets: How many there are.
    """

    kind: str
    sockets: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table.

    Attributes:
        key: As ``--only`` takes it.
        work: None where the stage says it all (memory, import).
        unit: Of the cost; the lower, the better, in each.
        goal: Ratio to the better Node which a release is to reach, or None if there is no such goal.
        beside: Key of another row of the stage; who does both is also shown by how much more this one costs.
    """

    key: str
    title: str
    stage: Stage
    work: Ask | Load | Crowd | None = None
    unit: str = "CPU-µs/op"
    goal: float | None = None
    beside: str | None = None


_NAME = '{"name":"world"}'
_CALL = '{"jsonrpc":"2.0","method":"%s","params":' + _NAME + ',"id":1}'

SCENARIOS = (
    Scenario("local", "local call, empty handler", Stage.CALLS, Ask("local"), goal=0.75),
    Scenario("nested", "nested call (ctx.call in an action)", Stage.CALLS, Ask("nested"), goal=0.85),
    Scenario("cached", "local call answered from memory", Stage.CACHED, Ask("cached"), goal=0.7),
    Scenario("validated", "local call with validated params", Stage.CHECKED, Ask("validated"), goal=0.6),
    Scenario("held", "the same with timeout, circuit breaker and bulkhead", Stage.CHECKED, Ask("held"), goal=0.5),
    Scenario("emit", "emit, one local listener", Stage.CALLS, Ask("emit"), goal=2.0),
    Scenario("remote-tiny-1", "remote call, tiny, 1 in flight", Stage.REMOTE, Ask("remote", "tiny", 1), goal=1.2),
    Scenario("remote-tiny-64", "remote call, tiny, 64 in flight", Stage.REMOTE, Ask("remote", "tiny", 64), goal=1.2),
    Scenario("remote-10kb-1", "remote call, 10 kB, 1 in flight", Stage.REMOTE, Ask("remote", "10kB", 1), goal=1.2),
    Scenario("remote-10kb-64", "remote call, 10 kB, 64 in flight", Stage.REMOTE, Ask("remote", "10kB", 64), goal=2.5),
    Scenario("http-get", "GET, local action", Stage.GATEWAY, Load("wrk", "/api/hello"), goal=1.8),
    Scenario("http-param", "GET /users/:id?x=1", Stage.GATEWAY, Load("wrk", "/api/users/5?x=1"), goal=1.7),
    Scenario("http-404", "GET, 404 (aliases only)", Stage.GATEWAY, Load("wrk", "/api/nowhere", 404), goal=5.0),
    Scenario(
        "http-404-open",
        "GET, 404 (mapping policy all)",
        Stage.GATEWAY,
        Load("wrk", "/api/open/no/where", 404),
        goal=5.0,
    ),
    Scenario(
        "http-guarded",
        "GET, with CORS, rate limit, authentication and authorization",
        Stage.GUARDED,
        Load("wrk", "/api/hello", signed=True),
        goal=2.0,
    ),
    Scenario("http-aliases", "GET /r777/:id of 1,000 aliases", Stage.ALIASES, Load("wrk", "/api/r777/5?x=1")),
    # Some 10,000 requests a second: about half of what the better Node can do on one core of the machines seen so far.
    Scenario(
        "http-p99",
        "GET at half load, 99 of 100 within",
        Stage.GATEWAY,
        Load("wrk", "/api/hello", pace=0.004),
        "ms",
        1.0,
    ),
    Scenario("ab-get", "ab -k (HTTP/1.0) GET, local action", Stage.GATEWAY, Load("ab", "/api/hello"), goal=5.0),
    Scenario("http-remote", "GET, action on another node", Stage.EDGE, Load("wrk", "/api/hello"), goal=2.7),
    Scenario("ws-rpc-64", "WebSocket call, 64 sockets", Stage.SOCKETS, Crowd("rpc", 64), goal=1.0),
    Scenario("ws-rpc-1", "WebSocket call, 1 socket", Stage.SOCKETS, Crowd("rpc", 1), goal=1.0),
    Scenario("ws-broadcast", "event to each of 1,000 sockets", Stage.SOCKETS, Crowd("broadcast", 1000), goal=1.0),
    Scenario(
        "jsonrpc-alias", "POST, local action by an alias", Stage.JSON_RPC, Load("wrk", "/plain/hello", body=_NAME)
    ),
    Scenario(
        "jsonrpc-call",
        "POST, the same by JSON-RPC",
        Stage.JSON_RPC,
        Load("wrk", "/api", body=_CALL % "hello"),
        beside="jsonrpc-alias",
    ),
    Scenario(
        "jsonrpc-thread",
        "POST, by JSON-RPC in a thread",
        Stage.JSON_RPC,
        Load("wrk", "/api", body=_CALL % "blocking"),
        beside="jsonrpc-alias",
    ),
    Scenario("memory", "memory of an idle node with gateway", Stage.MEMORY, unit="MB RSS", goal=2.0),
    Scenario("import", "import, over a bare interpreter", Stage.IMPORT, unit="CPU-ms"),
)


def select(names: str | None) -> tuple[Scenario, ...]:
    """The scenarios of a comma-separated list; ``remote`` stands for all whose key begins with ``remote-``.

    Raises:
        ValueError: A name fits none; says which there are.
    """
    if names is None:
        return SCENARIOS
    chosen: set[str] = set()
    for name in names.split(","):
        fitting = {s.key for s in SCENARIOS if s.key == name or s.key.startswith(f"{name}-")}
        if not fitting:
            raise ValueError(f"no scenario '{name}'; there are {', '.join(s.key for s in SCENARIOS)}")
        chosen |= fitting
    return tuple(s for s in SCENARIOS if s.key in chosen)
