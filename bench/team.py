"""One contender's processes in one stage: started together, measured as one."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bench import load
from bench.contenders import Ready
from bench.nats import NatsServer
from bench.processes import ContenderFailed, Program, stop_all
from bench.scenarios import Ask, Crowd, Load, Scenario, Stage

START_SECONDS = 20.0
ANSWER_SECONDS = 10.0

# What a gateway must answer before it is measured: a fast wrong answer is worth nothing.
_EXPECTED: dict[str, tuple[int, object]] = {
    "/api/hello": (200, {"hello": "world"}),
    "/api/users/5?x=1": (200, {"id": "5", "x": "1"}),
    "/api/r777/5?x=1": (200, {"id": "5", "x": "1"}),
    "/api/nowhere": (404, None),
    "/api/open/no/where": (404, None),
    "/plain/hello": (200, "hello world"),
    "/api": (200, {"jsonrpc": "2.0", "result": "hello world", "id": 1}),
}


# What a gateway is asked first, where it is not the usual one.
_FIRST: dict[Stage, str] = {Stage.ALIASES: "/api/r777/5?x=1"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What one window gave.

    Attributes:
        cost: In the scenario's unit.
        rate: Operations a second, or None where nothing is repeated.
    """

    cost: float
    rate: float | None = None


class Team:
    """The processes of one contender in one stage, with a NATS server of their own if they need one.

    `start` returns at once, so that several teams can come up side by side; `await_ready` waits.

    Attributes:
        failed: Keys of the scenarios that it is not to be asked again.
    """

    def __init__(self, ready: Ready, stage: Stage, nats_executable: str | None, tools: Mapping[str, str]) -> None:
        self.name = ready.name
        self.failed: set[str] = set()
        self._ready = ready
        self._stage = stage
        self._tools = tools
        self._nats_executable = nats_executable
        self._programs: dict[str, Program] = {}
        self._owned = contextlib.ExitStack()
        self._port = 0
        self._right: set[str] = set()
        self._crowds: dict[Crowd, Program] = {}

    def start(self) -> None:
        """Start the processes.

        Raises:
            ContenderFailed: The interpreter cannot be run.
        """
        url: str | None = None
        if self._stage.needs_nats or self._ready.contender.always_nats:
            assert self._nats_executable is not None
            url = self._owned.enter_context(NatsServer(self._nats_executable)).url()
        self._port = _free_port()
        for role in self._stage.roles:
            try:
                program = Program(self._ready.command(role, url, self._port), self._ready.env)
            except OSError as exc:
                raise ContenderFailed(f"cannot be started: {exc}") from exc
            self._programs[role] = program

    def await_ready(self) -> str:
        """Wait until all of them serve, and serve rightly. Returns the name of their runtime.

        Raises:
            ContenderFailed: One of them does not come up or answers wrongly.
        """
        runtime = ""
        for program in self._programs.values():
            runtime = program.answer(START_SECONDS).get("runtime", "")
        if self._stage.has_gateway and self._stage is not Stage.JSON_RPC:  # There, each is asked for what it has.
            self._await_right_answer(_FIRST.get(self._stage, "/api/hello"))
        return runtime

    def has(self, scenario: Scenario) -> bool:
        """Whether there is something to measure."""
        return self._ready.contender.has(scenario)

    @property
    def usable(self) -> bool:
        """Whether another scenario can be tried after one that failed."""
        return all(program.usable for program in self._programs.values())

    def measure(self, scenario: Scenario, seconds: float) -> Sample:
        """Let it work for `seconds`.

        Raises:
            ContenderFailed: It broke, hung, or answered wrongly.
        """
        if isinstance(scenario.work, Ask):
            ask = scenario.work
            command = {"operation": ask.operation, "payload": ask.payload, "seconds": seconds}
            if ask.in_flight is not None:
                command["in_flight"] = ask.in_flight
            before = self._cpu_seconds()
            reply = self._asked.ask(command, seconds + 20)
            spent = self._cpu_seconds() - before
            return Sample(cost=spent / reply["ops"] * 1e6, rate=reply["ops"] / reply["seconds"])
        if isinstance(scenario.work, Load):
            work = scenario.work
            self._await_right_answer(work.path, work.body)
            url = f"http://127.0.0.1:{self._port}{work.path}"
            before = self._cpu_seconds()
            try:
                loaded = load.apply(work, url, seconds, self._tools)
            except ContenderFailed as failed:
                raise self._asked.failure(str(failed)) from failed
            spent = self._cpu_seconds() - before
            if work.pace is not None and loaded.p99 is not None:
                return Sample(cost=loaded.p99 * 1e3, rate=loaded.rate)
            return Sample(cost=spent / loaded.requests * 1e6, rate=loaded.rate)
        if isinstance(scenario.work, Crowd):
            crowd = self._crowd(scenario.work)
            before = self._cpu_seconds()
            reply = crowd.ask({"seconds": seconds}, seconds + 20)
            spent = self._cpu_seconds() - before
            return Sample(cost=spent / reply["ops"] * 1e6, rate=reply["ops"] / reply["seconds"])
        return Sample(cost=sum(program.rss_bytes() for program in self._programs.values()) / 1e6)

    def stop(self) -> None:
        """Stop everything it started. Twice is harmless."""
        stop_all(self._crowds.values())
        stop_all(self._programs.values())
        self._owned.close()

    def _crowd(self, crowd: Crowd) -> Program:
        """The clients, connected."""
        if crowd not in self._crowds:
            options = json.dumps({"port": self._port, "kind": crowd.kind, "sockets": crowd.sockets})
            # Our own interpreter, whoever is asked: all are to be asked alike.
            made = self._crowds[crowd] = Program([sys.executable, str(load.SCRIPTS / "sockets.py"), options], {})
            made.answer(START_SECONDS)
        return self._crowds[crowd]

    @property
    def _asked(self) -> Program:
        return self._programs[self._stage.roles[-1]]

    def _cpu_seconds(self) -> float:
        return sum(program.cpu_seconds() for program in self._programs.values())

    def _await_right_answer(self, path: str, body: str | None = None) -> None:
        if path + (body or "") in self._right:
            return
        status, right = _EXPECTED[path]
        end = time.monotonic() + ANSWER_SECONDS
        while True:
            found = _ask(self._port, path, body)
            if found is not None and found[0] == status and (right is None or _said(found[1]) == right):
                self._right.add(path + (body or ""))
                return
            if time.monotonic() > end:
                raise self._asked.failure(f"{path} gives {found}, not {status} {right or ''}")
            time.sleep(0.05)


def _said(body: object) -> object:
    """A body without what it says to be nothing: older JSON-RPC has an `error` of null beside each result."""
    return {key: value for key, value in body.items() if value is not None} if isinstance(body, dict) else body


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _ask(port: int, path: str, body: str | None) -> tuple[int, object] | None:
    """Status and JSON body, or None if nobody answers yet."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        if body is None:
            connection.request("GET", path, headers=load.SIGNED)
        else:
            connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text
