"""ProcessPool: handlers that compute, in processes of their own.

Its own and not `concurrent.futures`: there, one process that dies fails the calls of all others, and one whose caller
has given up cannot be ended. Here a thread stands by each process that works, so bounds, waiting and giving up are
those of `ThreadPool`. Processes are spawned: to fork a process that has threads is to copy locks that nobody releases.
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.definitions import Method
from tautomer.errors import MoleculerServerError, SerializationError, ServiceSchemaError
from tautomer.loader import FILE_MODULES
from tautomer.places import Asked
from tautomer.pools import child
from tautomer.pools.child import READY, Ask, Done, Errand, Target, packed, unpacked
from tautomer.protocol.streams import EMPTY
from tautomer.service import Service
from tautomer.threads import Job, ThreadPool

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

    from tautomer.host import Host
    from tautomer.settings import Settings

START_SECONDS: Final = 60.0
"""For a process to be ready: it imports the program's main module and tautomer."""

LINGER_SECONDS: Final = 1.0
"""For a handler whose caller has given up: to end its process and start another costs about as much as to wait so long."""

END_SECONDS: Final = 1.0
"""For an idle process to end when it is told to."""


class ProcessPool:
    """Runs handlers in at most so many processes, each one at a time; so many wait, the rest is refused."""

    def __init__(self, node_id: str, host: Host, settings: Settings) -> None:
        chosen = settings.pools
        self._node_id = node_id
        self._log = settings.log_level, settings.log_format
        self._threads = ThreadPool(
            "process", node_id, chosen.processes or _cores(), chosen.process_queue_max, host.clock
        )
        self._all: list[_Child] = []
        self._idle: list[_Child] = []
        self._lock = threading.Lock()  # Threads take processes and give them back.
        self._died = 0
        self._closed = False
        # Where a program ends without a stop of its broker: before `multiprocessing` asks them to end and waits.
        atexit.register(self._kill_all)

    async def run(
        self,
        name: str,
        target: Target,
        ctx: Context[Any],
        own: Context[Any],
        take_along: Callable[[Job], None],
        patient: bool,
    ) -> Any:
        """Run a handler in a process, and return its result.

        Args:
            own: The context's copy for the thread that stands by the process; what the handler does to its own is
                done to this one.
            take_along: Gives the thread's job to `own`.

        Raises:
            SerializationError: What goes there or comes back cannot be pickled.
            MoleculerServerError: The process died, type ``PROCESS_DIED``; or could not start, type ``PROCESS_START``.
            What `ThreadPool.run` and the handler raise.
        """
        clock = ctx.broker.clock
        context = _portable(name, ctx)
        loop = asyncio.get_running_loop()

        def stand_by(job: Job) -> Any:
            take_along(job)
            while True:
                one = self._take() or self._start(name)
                one.job = job
                # On the loop, once nobody waits for it any more.
                job.given_up = lambda one=one: loop.call_later(LINGER_SECONDS, one.kill_during, job)
                try:
                    if job.abandoned:
                        raise asyncio.CancelledError
                    left = None if ctx.deadline is None else ctx.deadline - clock()
                    if one.takes(Errand(target, left, context)):
                        return one.run(name, self._node_id, own)
                finally:
                    self._give_back(one)

        asked = Asked.by(ctx)
        return await self._threads.run(name, stand_by, ctx.deadline, asked=asked, patient=patient)

    def statistics(self) -> dict[str, int]:
        return {**self._threads.statistics(), "processes": len(self._all), "died": self._died}

    async def finish(self, grace: float) -> int:
        return await self._threads.finish(grace)

    async def close(self) -> None:
        """End all processes. Twice is harmless."""
        if self._closed:
            return
        with self._lock:
            self._closed = True
            at_work = [one for one in self._all if one not in self._idle]
        for one in at_work:  # Those that start, too.
            one.kill()
        try:
            async with asyncio.timeout(2 * END_SECONDS):
                await self._threads.run("close", lambda _job: self._end_idle(), patient=True)
        except TimeoutError:
            pass
        await self._threads.close()
        self._kill_all()
        atexit.unregister(self._kill_all)

    # --- in the threads ---

    def _take(self) -> _Child | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                one = self._idle.pop()
            if one.process.is_alive():
                return one
            self._died += 1
            self._forget(one)

    def _start(self, name: str) -> _Child:
        with self._lock:  # `multiprocessing` keeps a list of all processes, which is not made for several threads.
            if self._closed:
                raise asyncio.CancelledError
            one = _Child(self._log)
            self._all.append(one)
        try:
            one.wait_until_ready(name, self._node_id)
        except BaseException:
            self._forget(one)
            raise
        return one

    def _give_back(self, one: _Child) -> None:
        one.free()
        with self._lock:
            kept = one.sound and not self._closed
            if kept:
                self._idle.append(one)
        if not kept:
            self._died += not one.sound
            self._forget(one)

    def _forget(self, one: _Child, seconds: float = 0.0) -> None:
        one.end(seconds)
        with self._lock:
            self._all.remove(one)

    def _end_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.hang_up()
        for one in idle:
            self._forget(one, END_SECONDS)

    def _kill_all(self) -> None:
        for one in list(self._all):
            one.kill()


class _Child:
    """One process, and the line to it.

    Attributes:
        job: What it works for, or None.
        sound: Whether it can be given more.
    """

    def __init__(self, log: tuple[str | None, str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        self.process: SpawnProcess = spawn.Process(
            target=child.main, args=(theirs, *log), name="tautomer process", daemon=True
        )
        self.job: Job | None = None
        self.sound = True
        self._lock = threading.Lock()
        try:
            _start_deaf(self.process)
        finally:
            theirs.close()

    def wait_until_ready(self, name: str, node_id: str) -> None:
        """Raises MoleculerServerError: It is not ready in time, or ended."""
        try:
            ready = self._line.poll(START_SECONDS) and self._line.recv_bytes() == READY
        except (EOFError, OSError):
            ready = False
        if not ready:
            self.process.kill()
            self.process.join()
            raise MoleculerServerError(
                f"The process that was to run '{name}' did not start (exit code {self.process.exitcode}; it says more on"
                " standard error). A program's own module is imported anew in each process: what it does beside defining"
                ' things belongs under `if __name__ == "__main__":`.',
                500,
                "PROCESS_START",
                {"action": name, "nodeID": node_id},
            )

    def takes(self, errand: Errand) -> bool:
        """Send the errand. False: it has ended, so nothing of it was run."""
        try:
            self._line.send_bytes(pickle.dumps(errand))
        except OSError:
            self.sound = False
        return self.sound

    def run(self, name: str, node_id: str, own: Context[Any]) -> Any:
        """Do what the handler asks for, and return its result."""
        try:
            while True:
                message = pickle.loads(self._line.recv_bytes())
                if isinstance(message, Done):
                    break
                self._line.send_bytes(_answer(message, own))
        except (EOFError, OSError) as error:
            self.sound = False
            self.process.join(END_SECONDS)
            raise _died(name, node_id, self.process.exitcode) from error
        except BaseException:
            self.sound = False  # It waits for something that will not come.
            raise
        after = pickle.loads(message.after)
        if after is not None:
            own.meta, own._response_headers = after
        value = pickle.loads(message.result)
        if message.succeeded:
            return value
        raise unpacked(value)

    def kill_during(self, job: Job) -> None:
        """End it if it still works for that job. On the loop."""
        with self._lock:
            if self.job is job:
                self.sound = False
                self.process.kill()

    def kill(self) -> None:
        """End it at once. From any thread."""
        with self._lock, suppress(ValueError):  # It has been ended.
            self.process.kill()

    def free(self) -> None:
        """It works for nobody now."""
        with self._lock:
            self.job = None

    def hang_up(self) -> None:
        """It ends by itself once it finds nobody at the line."""
        with suppress(OSError):
            self._line.close()

    def end(self, seconds: float) -> None:
        """Have it ended, with so much time to do so by itself."""
        self.hang_up()
        if seconds:
            self.process.join(seconds)
        self.process.kill()
        self.process.join()
        with self._lock:
            self.process.close()


def _answer(ask: Ask, own: Context[Any]) -> bytes:
    """Do what a handler asks for, and blocks for meanwhile."""
    own.meta = ask.meta
    try:
        result: Any = _do(ask.verb, ask.arguments, own)
        done = Done(True, pickle.dumps(result), b"")
    except asyncio.CancelledError as error:
        done = Done(False, packed(error), b"")
    except Exception as error:
        done = Done(False, packed(error), b"")
    return pickle.dumps(Done(done.succeeded, done.result, pickle.dumps(own.meta)))


def _do(verb: str, arguments: tuple[Any, ...], own: Context[Any]) -> Any:
    match verb:
        case "call":
            action, params, options = arguments
            return own.call(action, params, **options)
        case "broker_call":
            action, params, options = arguments
            return own.broker.call(action, params, **options)
        case "mcall":
            calls, settled, options = arguments
            return own.mcall(calls, settled=settled, **options)
        case "publish":
            own.broker.publish(*arguments, own)
            return None
        case _:
            item = next(iter(own.stream), EMPTY)
            return item is not EMPTY, None if item is EMPTY else item


def _died(name: str, node_id: str, exit_code: int | None) -> MoleculerServerError:
    """The error of a call whose process ended in the middle of it."""
    how = "was killed" if exit_code is not None and exit_code < 0 else "ended"
    error = MoleculerServerError(
        f"The process that ran '{name}' {how} (exit code {exit_code}).",
        500,
        "PROCESS_DIED",
        {"action": name, "nodeID": node_id, "exitCode": exit_code},
    )
    error.outcome = "unknown"
    return error


def _portable(name: str, ctx: Context[Any]) -> bytes:
    """Of the context, what a handler in another process can have."""
    endpoint = ctx.endpoint
    service = endpoint.service
    fields = {
        "params": ctx.params,
        "event_name": ctx.event_name,
        "event_type": ctx.event_type,
        "event_groups": ctx.event_groups,
        "level": ctx.level,
        "timeout": ctx.timeout,
        "node_id": ctx.node_id,
        "tracing": ctx.tracing,
        "_meta": ctx._meta,
        "_headers": ctx._headers,
        "_id": ctx.id,
        "_request_id": ctx.request_id,
        "_parent_id": ctx.parent_id,
        "_caller": ctx.caller,
        "stream": ctx.stream is not None,
        "endpoint": {
            "name": endpoint.name,
            "node_id": endpoint.node_id,
            "service": {"name": service.name, "version": service.version, "full_name": service.full_name},
        },
    }
    try:
        return pickle.dumps(fields)
    except Exception as error:
        raise SerializationError(f"params or meta of '{name}' cannot go to a process: {error}") from error


def target_of(method: Method, name: str) -> Target:
    """A handler by names.

    Raises:
        ServiceSchemaError: It cannot be found by them in another process; says why, and what to do.
    """
    service: Service = method.__self__  # type: ignore[attr-defined]  # A handler is a method.
    function: Any = method.__func__  # type: ignore[attr-defined]  # As above.
    attribute: str = function.__name__
    cls = type(service)
    where = f"'{name}' is marked process=True, so {cls.__qualname__} is made anew in another process"
    module = sys.modules.get(cls.__module__)
    found: Any = module
    for part in cls.__qualname__.split("."):
        found = getattr(found, part, None)
    if module is None or found is not cls:
        raise ServiceSchemaError(f"{where}: it must stand at the top level of a module, not within a function")
    if getattr(getattr(service, attribute, None), "__func__", None) is not function:
        raise ServiceSchemaError(f"{where}: '{attribute}' is not what the service has under that name")
    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise ServiceSchemaError(f"{where}, without arguments, which its constructor does not take ({error})") from None
    state = {part: getattr(service, part) for part in ("name", "version", "settings", "metadata")}
    try:
        pickled = pickle.dumps(state)
    except Exception as error:
        raise ServiceSchemaError(
            f"{where}: its settings and metadata must go there, and cannot be pickled ({error})"
        ) from error
    # A file that was loaded by its path is found by that.
    spec = module.__spec__ if cls.__module__.startswith(FILE_MODULES) else None
    file = None if spec is None else spec.origin
    return Target(cls.__module__, file, cls.__qualname__, attribute, pickled)


def _start_deaf(process: SpawnProcess) -> None:
    """Start it so that a signal to all, such as that of Ctrl-C, does not reach it before it can do without."""
    if sys.platform == "win32":
        process.start()
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # It would be started on the way, and let the signals in again.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Not everywhere.
        return os.cpu_count() or 1
