"""Services whose handlers run in threads and processes. A process imports this module to find them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

from tautomer import Context, Service, action, event
from tautomer.errors import MoleculerClientError, MoleculerError, ServiceNotFoundError


class TeapotError(MoleculerClientError):
    """With a constructor that wants other arguments than it keeps."""

    def __init__(self, spout: str) -> None:
        super().__init__("short and stout", 418, "TEAPOT", {"spout": spout})
        self.spout = spout


class Unpicklable(Exception):
    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.function = lambda: None


ERRORS: dict[str, Any] = {
    "key": lambda: KeyError("x"),
    "os": lambda: FileNotFoundError(2, "No such file", "a.txt"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "teapot": lambda: TeapotError("left"),
    "not found": lambda: ServiceNotFoundError("x.y", "n9"),
    "unpicklable": lambda: Unpicklable("words"),
    "exit": lambda: SystemExit(3),
}


class Verbs(Service):
    """What the handlers in threads and processes ask for."""

    name = "verbs"

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[Any, str | None]] = []

    @action
    async def echo(self, ctx: Context) -> Any:
        ctx.meta["echoed"] = True
        return {"params": ctx.params, "caller": ctx.caller, "level": ctx.level, "request_id": ctx.request_id}

    @action
    async def fail(self, ctx: Context) -> None:
        raise TeapotError("right")

    @action
    async def hang(self, ctx: Context) -> None:
        await self.broker.ending.wait()

    @event("computed")
    def on_computed(self, ctx: Context) -> None:
        self.told.append((ctx.params, ctx.caller))


def what_it_is_given(service: Service, ctx: Context) -> dict[str, Any]:
    ctx.meta["seen"] = [*ctx.meta.get("seen", []), "handler"]
    echoed = ctx.call("verbs.echo", {"n": 1}, timeout=5.0)
    both = ctx.mcall([{"action": "verbs.echo", "params": n} for n in (1, 2)])
    ctx.emit("computed", {"n": 1})
    try:
        ctx.call("verbs.fail")
    except MoleculerError as error:
        failure = (error.code, error.data)
    return {
        "place": (os.getpid(), threading.current_thread() is threading.main_thread()),
        "params": ctx.params,
        "user": ctx.user,
        "ids": (ctx.id, ctx.request_id),
        "action": ctx.action and ctx.action.name,
        "service": service.full_name,
        "settings": dict(service.settings),
        "left": ctx.request_timeout,
        "echoed": echoed,
        "both": [one["params"] for one in both],
        "failure": failure,
    }


def burn(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def summed(ctx: Context) -> int:
    return sum(len(chunk) for chunk in ctx.stream)


class Threaded(Service):
    name = "work"
    version = 2
    settings = {"color": "red"}

    @action(blocking=True)
    def given(self, ctx: Context) -> Any:
        return what_it_is_given(self, ctx)

    @action(blocking=True)
    def fail(self, ctx: Context) -> None:
        raise ERRORS[ctx.params["kind"]]()

    @action(blocking=True)
    def plain(self) -> int:
        return 5

    @action(blocking=True)
    def burn(self, ctx: Context) -> None:
        burn(ctx.params["seconds"])

    @action(blocking=True)
    def count(self, ctx: Context) -> int:
        return summed(ctx)

    @action(blocking=True)
    def later(self, ctx: Context) -> Any:
        """Hands on something to be awaited, as a plain method on the loop may."""
        return self.broker.call("verbs.echo", 7)


class Processed(Service):
    name = "work"
    version = 2
    settings = {"color": "red"}

    @action(process=True)
    def given(self, ctx: Context) -> Any:
        return what_it_is_given(self, ctx)

    @action(process=True)
    def fail(self, ctx: Context) -> None:
        raise ERRORS[ctx.params["kind"]]()

    @action(process=True)
    def plain(self) -> int:
        return 5

    @action(process=True)
    def burn(self, ctx: Context) -> int:
        burn(ctx.params["seconds"])
        return os.getpid()

    @action(process=True)
    def count(self, ctx: Context) -> int:
        return summed(ctx)

    @action(process=True)
    def die(self, ctx: Context) -> None:
        os._exit(3)

    @action(process=True)
    def odd(self, ctx: Context) -> Any:
        return lambda: None

    @action(process=True)
    def broker_of(self, ctx: Context) -> Any:
        return self.broker.call("verbs.echo")

    @action(process=True)
    def waits(self, ctx: Context) -> Any:
        return ctx.call("verbs.hang")


class Listening(Service):
    name = "listening"

    @event("crowd", blocking=True)
    def heard(self, ctx: Context) -> None:
        ctx.call("tally.add", {"n": ctx.params["n"], "main": threading.current_thread() is threading.main_thread()})

    @event("crowd.far", process=True)
    def heard_far(self, ctx: Context) -> None:
        ctx.call("tally.add", {"n": ctx.params["n"], "pid": os.getpid()})


class Tally(Service):
    name = "tally"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    @action
    async def add(self, ctx: Context) -> None:
        self.heard.append(ctx.params)


async def chunks() -> AsyncIterator[bytes]:
    for size in (3, 4, 5):
        yield b"x" * size
