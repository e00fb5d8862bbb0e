"""What runs in a process of a `ProcessPool`: one handler at a time, with a context that asks the parent for the rest.

Messages are pickled; both ends are ours, and nothing that came from another node is ever unpickled (promise S7). From
the parent: an `Errand`, and the answer to each `Ask`. From here: any number of `Ask`, then `Done`.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from tautomer import logs
from tautomer.context import Context
from tautomer.definitions import takes_context
from tautomer.errors import MoleculerError, RemoteError, SerializationError
from tautomer.loader import import_file
from tautomer.service import Service

READY: Final = b"ready"


@dataclass(frozen=True, slots=True)
class Target:
    """A handler, by names: a method of a service that is made anew.

    Attributes:
        module: Of the service's class.
        file: Where that is no module that can be imported by its name, but a file that was loaded.
        class_name: Qualified.
        method: Name of the attribute.
        state: Pickled: name, version, settings and metadata of the service.
    """

    module: str
    file: str | None
    class_name: str
    method: str
    state: bytes


@dataclass(frozen=True, slots=True)
class Errand:
    """One run of a handler. `target` is unpickled first, as the rest may hold classes of its module.

    Attributes:
        left: Seconds until nobody waits any more, None for no end.
        context: Pickled: fields of the context, by name.
    """

    target: Target
    left: float | None
    context: bytes


@dataclass(frozen=True, slots=True)
class Ask:
    """The handler wants something of the parent, and waits. `meta` is the context's as it is now."""

    verb: str
    arguments: tuple[Any, ...]
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Done:
    """The handler has ended. Pickled: its result, or what `packed` makes of its exception."""

    succeeded: bool
    result: bytes
    after: bytes


def main(connection: Connection, log_level: str | None, log_format: str) -> None:
    """Run errands until the parent hangs up, or is gone."""
    # A signal from the terminal or the system goes to all processes at once. The parent decides when this one ends.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    if log_level is not None:
        logs.configure(log_level, log_format)
    made: dict[Target, Service] = {}
    connection.send_bytes(READY)
    while True:
        try:
            errand: Errand = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        done = _run(errand, made, connection)
        try:
            connection.send_bytes(pickle.dumps(done))
        except OSError:
            return


def _leave_with_parent() -> None:
    """A process that computes does not look whether anybody still waits for it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(errand: Errand, made: dict[Target, Service], connection: Connection) -> Done:
    ctx: Context[Any] | None = None
    try:
        service = made.get(errand.target)
        if service is None:
            service = made[errand.target] = _make(errand.target)
        ctx = _context(errand, connection)
        method = getattr(service, errand.target.method)
        result = method(ctx) if takes_context(method) else method()
    except BaseException as error:  # SystemExit of a handler, too, is an error of this call only.
        return Done(False, packed(error), _after(ctx))
    try:
        return Done(True, pickle.dumps(result), _after(ctx))
    except Exception as error:
        name = errand.target.method
        failure = SerializationError(f"the result of '{name}' cannot leave its process: it cannot be pickled ({error})")
        return Done(False, packed(failure), _after(None))


def _make(target: Target) -> Service:
    """The service, as far as a handler may need it: nothing of its life begins here."""
    if target.file is not None and target.module not in sys.modules:
        import_file(Path(target.file))
    found: Any = importlib.import_module(target.module)
    for name in target.class_name.split("."):
        found = getattr(found, name)
    service: Service = found()
    for name, value in pickle.loads(target.state).items():
        setattr(service, name, value)
    service.attach(_NoBroker())  # type: ignore[arg-type]  # It stands in the place of one.
    return service


def _context(errand: Errand, connection: Connection) -> Context[Any]:
    fields = pickle.loads(errand.context)
    endpoint, has_stream = fields.pop("endpoint"), fields.pop("stream")
    ctx: Context[Any] = Context(None, fields.pop("params"))
    for name, value in fields.items():
        setattr(ctx, name, value)
    ctx.broker = broker = ChildBroker(connection, ctx)
    ctx.endpoint = SimpleNamespace(**{**endpoint, "service": SimpleNamespace(**endpoint["service"])})
    ctx.deadline = None if errand.left is None else broker.clock() + errand.left
    if has_stream:
        ctx.stream = _ChildStream(broker)
    return ctx


def _after(ctx: Context[Any] | None) -> bytes:
    """What the caller sees of the context: meta and headers of the answer, or nothing if they cannot be pickled."""
    if ctx is None:
        return pickle.dumps(None)
    try:
        return pickle.dumps((ctx.meta, ctx._response_headers))
    except Exception as error:
        log = logging.getLogger("tautomer.pools")
        log.warning("meta that cannot be pickled stays in its process", extra={"reason": str(error)})
        return pickle.dumps(None)


class ChildBroker:
    """The broker, as a handler in a process sees it through its context: the parent does what is asked, and it waits."""

    clock = staticmethod(time.monotonic)

    def __init__(self, connection: Connection, ctx: Context[Any]) -> None:
        self._connection = connection
        self._ctx = ctx

    def call(self, action: str, params: Any = None, **options: Any) -> Any:
        return self.ask("broker_call", action, params, options)

    def call_nested(self, parent: Any, action: str, params: Any, options: Any, raw: bool = False) -> Any:
        return self.ask("call", action, params, dict(options))

    def mcall(self, calls: Any, *, settled: bool = False, **options: Any) -> Any:
        options.pop("parent", None)
        return self.ask("mcall", calls, settled, options)

    def publish(self, verb: str, event: str, data: Any, groups: Any, meta: Any, headers: Any, parent: Any) -> None:
        self.ask("publish", verb, event, data, groups, meta, headers)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"a handler in a process has no broker, only call, mcall and events of its context; '{name}' is not there"
        )

    def ask(self, verb: str, *arguments: Any) -> Any:
        """Have the parent do something, and wait for its end."""
        ctx = self._ctx
        try:
            message = pickle.dumps(Ask(verb, arguments, ctx.meta))
        except Exception as error:
            raise SerializationError(f"'{verb}' cannot leave its process: it cannot be pickled ({error})") from error
        self._connection.send_bytes(message)
        done: Done = pickle.loads(self._connection.recv_bytes())
        ctx.meta = pickle.loads(done.after)
        value = pickle.loads(done.result)
        if done.succeeded:
            return value
        raise unpacked(value)


class _NoBroker:
    """Stands in the place of a service's broker."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"a service has no broker in a process of its own ('{name}'): call and tell through `ctx`")


class _ChildStream:
    def __init__(self, broker: ChildBroker) -> None:
        self._broker = broker

    def __iter__(self) -> Iterator[Any]:
        while (found := self._broker.ask("next"))[0]:
            yield found[1]

    def __aiter__(self) -> Any:
        raise TypeError("a handler that runs in a thread or process reads ctx.stream with `for`, not `async for`")


# --- exceptions on their way through a pipe ---


def packed(error: BaseException) -> bytes:
    """An exception in pickled form, or what is left of it where that cannot be had: its name and its words."""
    stack = "".join(traceback.format_exception(error))
    forms: list[Any] = [_form(error)]
    if isinstance(error, MoleculerError):
        forms.append((type(error), error.args, {**vars(error), "data": None}))
    forms.append(_form(RemoteError(type(error).__name__, _words(error))))
    for form in forms:
        try:
            data = pickle.dumps((form, stack))
            unpacked(pickle.loads(data))
            return data
        except Exception:
            continue  # The next one says less.
    raise AssertionError("plain texts can be pickled")


def _form(error: BaseException) -> Any:
    """Python's own know how to be pickled. Others are made past their constructors, which may want more than they keep."""
    return error if type(error).__module__ == "builtins" else (type(error), error.args, vars(error))


def unpacked(packed: tuple[Any, str]) -> BaseException:
    """The exception again, with the stack of the process as its cause."""
    form, stack = packed
    if isinstance(form, BaseException):
        error = form
    else:
        kind, arguments, state = form
        error = kind.__new__(kind, *arguments)
        error.args = arguments
        vars(error).update(state)
    error.__cause__ = StackThere(stack)
    return error


class StackThere(Exception):
    """Not an error: the stack of one in another process, to be shown above it."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__} cannot tell what happened: its __str__ failed"
