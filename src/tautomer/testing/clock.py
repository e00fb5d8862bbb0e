"""SimLoop: asyncio on a virtual clock. Nothing waits; time is what the next timer says."""

from __future__ import annotations

import asyncio
import heapq
import io
import random
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tautomer.host import Host
from tautomer.testing.sockets import SimServer

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["DeadlockError", "FakeClock", "LivelockError", "Machine", "SimHost", "SimLoop", "SimulationError"]

EPOCH: Final = 1_000.0
"""Seconds on the clock of a new loop. Not 0, which hides mistakes such as an empty stamp taken for a time."""

YEAR_2030: Final = 1_893_456_000.0
"""Wall time of the clock's 0, in seconds since 1970."""

TURNS_MAX: Final = 100_000
"""Turns of the loop without time moving, after which it counts as running in circles."""

KILL_ROUNDS: Final = 50


class SimulationError(Exception):
    """Something cannot be simulated, or was found wrong."""


class DeadlockError(SimulationError):
    """Everybody waits, and nothing is left that could wake anybody."""


class LivelockError(SimulationError):
    """The loop turns and turns, but time does not move."""


class FakeClock:
    """A clock that stands until it is moved, for tests of what takes a `clock` or the time as an argument.

    Attributes:
        now: Seconds.
    """

    def __init__(self, now: float = EPOCH) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Move on; returns the new time.

        Raises:
            ValueError: A monotonic clock does not go back.
        """
        if seconds < 0:
            raise ValueError(f"a monotonic clock does not go back, not even by {-seconds:g} s")
        self.now += seconds
        return self.now


class Machine:
    """What runs as one process: whatever is started in its `context` belongs to it.

    Attributes:
        context: Tasks, timers and deliveries of this machine run in this context, or in copies of it.
        stalled: It stands still, as after SIGSTOP: what is due waits.
        dead: It was killed.
        servers: What listens here.
    """

    __slots__ = ("context", "dead", "held", "name", "servers", "stalled")

    def __init__(self, name: str) -> None:
        self.name = name
        self.stalled = self.dead = False
        self.held: deque[asyncio.Handle] = deque()
        self.servers: list[SimServer] = []
        self.context = copy_context()
        self.context.run(MACHINE.set, self)

    def __repr__(self) -> str:
        return f"<Machine {self.name}>"


MACHINE: Final[ContextVar[Machine | None]] = ContextVar("tautomer.testing.machine", default=None)
"""The machine on which the running code runs, or None for the test itself."""


class SimTask(asyncio.Task[Any]):
    """A task that knows its machine.

    Its hash is a number: asyncio keeps tasks in sets, and their order must not depend on addresses.
    """

    def __init__(self, coro: Coroutine[Any, Any, Any], loop: SimLoop, **options: Any) -> None:
        self.number = next(loop.numbers)
        context: Context | None = options.get("context")
        self.machine = MACHINE.get() if context is None else context.get(MACHINE)
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        return self.number


def _refused(what: str) -> SimulationError:
    return SimulationError(
        f"{what} is outside the simulation, and would make each run another; give the code under test a stand-in"
    )


def _refuse(what: str) -> Callable[..., NoReturn]:
    """A method that refuses what it is asked."""

    def refuse(*_args: Any, **_options: Any) -> NoReturn:
        raise _refused(what)

    return refuse


def _same_thread(loop: SimLoop, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
    """`call_soon_threadsafe`: allowed only where it need not be."""
    if threading.get_ident() != loop.owner:
        raise _refused("a callback from another thread")
    return loop.call_soon(callback, *args, context=context)


class SimLoop(asyncio.BaseEventLoop):
    """An asyncio loop whose time is virtual: when nothing is ready, it is at once the time of the next timer.

    One run of it is the same as the next. Threads, sockets, processes and signals are refused, as they would bring
    the real world in; a server that listens gets connections from the test only (`SimServer`).

    It replaces one private method of `BaseEventLoop`, `_run_once`, as only there can the callbacks of one machine be
    held back; with it goes the trap of a selector that adds waits to a clock: rounding leaves a timer a
    hair in the future, and the loop spins.
    """

    # Of `BaseEventLoop`; the type stubs do not show them.
    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = EPOCH
        self._turns = 0
        self.owner = threading.get_ident()
        self.numbers: Iterator[int] = count(1)
        self.set_task_factory(_sim_task)

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)
        if not ready and not self._stopping:
            if not scheduled:
                raise DeadlockError(f"every task waits, and no timer is set\n{self.stacks()}")
            if scheduled[0].when() > self._now:
                self._now = scheduled[0].when()
                self._turns = 0
        while scheduled and scheduled[0].when() <= self._now:
            ready.append(heapq.heappop(scheduled))
        self._turns += 1
        if self._turns > TURNS_MAX:
            self._turns = 0
            raise LivelockError(f"{TURNS_MAX} turns of the loop and no time has passed\n{self.stacks()}")
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            machine = machine_of(handle)
            if machine is not None and machine.stalled:
                machine.held.append(handle)
            else:
                handle._run()

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # It is passed over when its time comes.

    # --- machines ---

    def stall(self, machine: Machine) -> None:
        """The machine stands still until `wake`."""
        machine.stalled = True

    def wake(self, machine: Machine) -> None:
        """It goes on: what was due meanwhile runs now, in the order in which it was due."""
        machine.stalled = False
        self._ready.extend(machine.held)
        machine.held.clear()

    def kill(self, machine: Machine) -> None:
        """Everything of it ends. Its tasks are cancelled, so that what they hold is let go of in a known order."""
        machine.dead = True
        for handle in machine.held:
            if isinstance(handle, asyncio.TimerHandle):
                handle.cancel()
        self.wake(machine)
        for server in machine.servers:
            server.reset()
        self._bury(machine, KILL_ROUNDS)

    def _bury(self, machine: Machine, rounds: int) -> None:
        for timer in self.timers(machine):
            timer.cancel()
        tasks = self.tasks(machine)
        for task in tasks:
            task.cancel()
        if tasks and rounds:
            self.call_soon(self._bury, machine, rounds - 1, context=Context())

    def tasks(self, machine: Machine | None = None) -> list[SimTask]:
        """Tasks that are not done, oldest first: of one machine, or all."""
        found = [task for task in asyncio.all_tasks(self) if isinstance(task, SimTask)]
        found.sort(key=lambda task: task.number)
        return [task for task in found if machine is None or task.machine is machine]

    def timers(self, machine: Machine) -> list[asyncio.TimerHandle]:
        """Timers that this machine has set and that are still to come, the next one first."""
        return sorted(timer for timer in self._scheduled if not timer.cancelled() and machine_of(timer) is machine)

    def stacks(self) -> str:
        """Where every task waits."""
        text = io.StringIO()
        for task in self.tasks():
            where = "the test" if task.machine is None else task.machine.name
            text.write(f"--- {task.get_name()} of {where}\n")
            task.print_stack(file=text)
        return text.getvalue()

    # --- the world outside ---

    async def create_server(self, *args: Any, **options: Any) -> SimServer:  # type: ignore[override]
        """Listen. Nobody can connect but the test (`Simulation.socket`).

        Raises:
            OSError: The port is taken at this machine.
            SimulationError: No machine is there to listen at.
        """
        machine = MACHINE.get()
        if machine is None:
            raise SimulationError("only a node of a simulation can listen")
        if options.get("ssl") is not None:
            raise SimulationError("TLS cannot be simulated: it draws its chance from the system")
        factory, host, port = (*args, None, None)[:3]
        server = SimServer(self, machine, factory, str(host or ""), int(port or 0))
        machine.servers.append(server)
        return server

    # `Any`, since what refuses everything has no use for signatures.
    call_soon_threadsafe: Any = _same_thread
    run_in_executor: Any = _refuse("a thread (run_in_executor, to_thread)")
    getaddrinfo: Any = _refuse("a name server")
    create_connection: Any = _refuse("a real socket (create_connection)")
    create_datagram_endpoint: Any = _refuse("a real socket (create_datagram_endpoint)")
    create_unix_connection: Any = _refuse("a real socket (create_unix_connection)")
    create_unix_server: Any = _refuse("a real socket (create_unix_server)")
    connect_accepted_socket: Any = _refuse("a real socket (connect_accepted_socket)")
    sock_connect: Any = _refuse("a real socket (sock_connect)")
    add_reader: Any = _refuse("a real socket (add_reader)")
    add_writer: Any = _refuse("a real socket (add_writer)")
    subprocess_exec: Any = _refuse("another process")
    subprocess_shell: Any = _refuse("another process")
    add_signal_handler: Any = _refuse("a signal")


def machine_of(handle: asyncio.Handle) -> Machine | None:
    """The machine that a callback belongs to."""
    context: Context = handle._context  # type: ignore[attr-defined]  # Public as `Handle.get_context` from 3.12 on.
    return context.get(MACHINE)


def _sim_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> SimTask:
    assert isinstance(loop, SimLoop)
    return SimTask(coro, loop, **options)  # type: ignore[arg-type]  # No generator is a task any more.


class SimHost(Host):
    """A machine of the simulation: virtual clock, drawn chance, counted ids. Made by `SimHost.at`.

    Attributes:
        jumped: Seconds by which its wall clock was set.
    """

    jumped: float = 0.0

    @classmethod
    def at(cls, loop: asyncio.AbstractEventLoop, name: str, seed: str | int) -> SimHost:
        """A new one.

        Args:
            loop: Whose clock it reads.
            name: Its hostname; a part of its ids.
            seed: Of its chance.
        """
        numbers = count(1)
        host = cls(
            clock=loop.time,
            random=random.Random(f"{seed}/{name}"),
            new_id=lambda: f"{name}-{next(numbers)}",
            hostname=name,
            ip_list=("10.0.0.1",),
            pid=1,
            beside=False,
        )
        host.wall_ms, host.cpu_percent = host._stamp, host._load
        return host

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward, or back if it is negative. The monotonic clock goes on as ever."""
        self.jumped += seconds

    def _stamp(self) -> int:
        return round((YEAR_2030 + self.clock() + self.jumped) * 1000)

    def _load(self) -> int:
        return self.random.randrange(100)
