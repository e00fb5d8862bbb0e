"""`tautomer run --workers N`: one parent, N nodes in processes of their own, and whoever dies is started again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tautomer.errors import BrokerOptionsError
from tautomer.host import Host

log = logging.getLogger("tautomer.workers")

WORKER: Final = "TAUTOMER_WORKER"
"""Variable that tells a worker which node it is. A gateway in one shares its port with the others."""

STABLE: Final = 10.0
"""Seconds that a worker runs before its end counts as a first one again."""

PAUSE: Final = 0.5
"""Seconds before a dead worker is started again; doubles with each quick death."""

PAUSE_MAX: Final = 30.0
QUICK_DEATHS_MAX: Final = 5
"""Quick deaths of one worker in a row after which all is given up: what fails so often does not heal by itself."""

STOP_WAIT: Final = 60.0
"""Seconds that workers have for their clean stop before they are killed."""

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds and counts of a `Supervisor`; tests have shorter ones."""

    stable: float = STABLE
    first: float = PAUSE
    longest: float = PAUSE_MAX
    quick_deaths_max: int = QUICK_DEATHS_MAX
    stop_wait: float = STOP_WAIT

    def before(self, quick_deaths: int) -> float:
        """How long to wait after this many quick deaths in a row."""
        return min(self.longest, self.first * 2.0 ** max(0, quick_deaths - 1))


class Workers:
    """The ids, the addresses and the command lines of N nodes that find each other for sure.

    Args:
        base: Ids are this and ``-1``, ``-2``, …
        count: How many.
        transporter: As chosen by the user; None gives a mesh of these workers only, on 127.0.0.1.

    Attributes:
        ids: Their node ids.
        transporter: What all of them use.
    """

    def __init__(self, base: str, count: int, transporter: str | None) -> None:
        self.ids = [f"{base}-{number}" for number in range(1, count + 1)]
        self._held: list[socket.socket] = []
        chosen = "tcp://?host=127.0.0.1&udp_discovery=false" if transporter is None else transporter
        self.transporter = self._with_peers(chosen) if _is_tcp(chosen) else chosen

    def _with_peers(self, url: str) -> str:
        peers, _, query = url.partition("?")
        head = peers.removeprefix("tcp://") if peers.lower() != "tcp" else ""
        own = [f"127.0.0.1:{self._hold_port()}/{node_id}" for node_id in self.ids]
        listed = ",".join([*filter(None, [head]), *own])
        return f"tcp://{listed}?" + "&".join([*filter(None, [query]), "reuse_port=true"])

    def _hold_port(self) -> int:
        """A port that nobody else is given: bound here, without listening, for as long as the parent lives."""
        if sys.platform == "win32":
            raise BrokerOptionsError("--workers needs SO_REUSEPORT, which this system lacks")
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        self._held.append(held)
        return int(held.getsockname()[1])

    def command(self, node_id: str, targets: Sequence[str], options: Sequence[str]) -> list[str]:
        """The command line of one of them."""
        node = ["-b", node_id, "-t", self.transporter]
        return [sys.executable, "-m", "tautomer", "run", *node, *options, "--", *targets]

    def close(self) -> None:
        """Let go of the ports."""
        for held in self._held:
            held.close()
        self._held.clear()


class Supervisor:
    """Keeps one process for each command running, until it is told to stop.

    Args:
        commands: Name to command line.
        environment: Of all of them; each gets its name in `WORKER`.

    Attributes:
        restarts: How many were started again.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        environment: Mapping[str, str] | None = None,
        pauses: Pauses | None = None,
        host: Host | None = None,
    ) -> None:
        self._commands = commands
        self._environment = dict(os.environ if environment is None else environment)
        self._pauses = pauses or Pauses()
        self._clock = (host or Host()).clock
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stop = asyncio.Event()
        self._signal: int = signal.SIGTERM
        self._code = 0
        self.restarts = 0

    async def run(self) -> int:
        """Return when all have ended after a stop. 0 if all of them ended well, else the first other code."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop, number)
        try:
            async with asyncio.TaskGroup() as group:
                keeping = [group.create_task(self._keep(name), name=f"worker {name}") for name in self._commands]
                await self._stop.wait()
                _ended, late = await asyncio.wait(keeping, timeout=self._pauses.stop_wait)
                if late:
                    self._kill_the_late()
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)
        return self._code

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Pass a signal on. The second one ends the workers at once, as it would end them alone."""
        self._signal = number
        self._stop.set()
        for process in self._running.values():
            _tell(process, number)

    async def _keep(self, name: str) -> None:
        quick_deaths = 0
        while not self._stop.is_set():
            begin = self._clock()
            code = await self._run_once(name)
            if self._stop.is_set():
                self._code = self._code or code
                return
            quick_deaths = quick_deaths + 1 if self._clock() - begin < self._pauses.stable else 1
            if quick_deaths >= self._pauses.quick_deaths_max:
                log.error("worker dies again and again; giving up", extra={"name_of_worker": name, "code": code})
                self._code = code or 1
                self.stop()
                return
            pause = self._pauses.before(quick_deaths)
            log.warning(
                "worker died; it is started again", extra={"name_of_worker": name, "code": code, "pause": pause}
            )
            self.restarts += 1
            try:
                async with asyncio.timeout(pause):
                    await self._stop.wait()
            except TimeoutError:
                pass

    async def _run_once(self, name: str) -> int:
        # In a process group of its own: Ctrl-C in a terminal reaches the parent alone, which passes it on once. Its
        # standard input tells it when the parent is gone without a word.
        process = await asyncio.create_subprocess_exec(
            *self._commands[name],
            stdin=asyncio.subprocess.PIPE,
            env={**self._environment, WORKER: name},
            process_group=0,
        )
        self._running[name] = process
        try:
            if self._stop.is_set():
                _tell(process, self._signal)
            code = await process.wait()
        finally:
            del self._running[name]
            if process.returncode is None:
                process.kill()
        return code if code >= 0 else 128 - code

    def _kill_the_late(self) -> None:
        for name, process in self._running.items():
            log.error("worker does not end; it is killed", extra={"name_of_worker": name})
            _tell(process, signal.SIGKILL)


def _tell(process: asyncio.subprocess.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        pass  # It has just ended.


def _is_tcp(transporter: str) -> bool:
    return transporter.partition("?")[0].partition("://")[0].lower() == "tcp"


def default_base() -> str:
    """Begin of the ids of workers that were given none: host name and process id of the parent."""
    host = Host()
    return f"{host.hostname.lower()}-{host.pid}"


def be_a_worker(environment: Mapping[str, str]) -> None:
    """Where this process is a worker: mark its log lines, and leave when the parent is gone."""
    name = environment.get(WORKER)
    if not name:
        return
    make = logging.getLogRecordFactory()

    def marked(*args: object, **more: object) -> logging.LogRecord:
        record = make(*args, **more)
        record.worker = name
        return record

    logging.setLogRecordFactory(marked)
    threading.Thread(target=_leave_with_the_parent, name="parent watch", daemon=True).start()


def _leave_with_the_parent() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        return  # There is no standard input; somebody started it by hand.
    os.kill(os.getpid(), signal.SIGTERM)
