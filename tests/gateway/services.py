"""The services behind the gateways, by name: twins of those in node/services.js."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from tautomer import Context, Service, action
from tautomer import errors as known
from tautomer.errors import MoleculerClientError, ValidationError
from tests.gateway.annotated_services import Bags, Books, Boxes, Crates, Shelves, Trunks, said


def published(meta: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in meta.items() if not key.startswith("$")}


class TeapotError(MoleculerClientError):
    """A class that no other node knows."""


def failure(kind: str, message: str = "", fields: dict[str, Any] | None = None, **given: Any) -> Exception:
    """The error of this class, as node/services.js makes it."""
    given.pop("meta", None)
    code, type, data = given.get("code"), given.get("type"), given.get("data")
    error: Exception
    if kind in ("MoleculerError", "MoleculerClientError", "MoleculerServerError", "MoleculerRetryableError"):
        error = getattr(known, kind)(message, code, type, data)
    elif kind == "ValidationError":
        error = ValidationError(message, type, data)
    elif kind == "PayloadTooLarge":
        error = known.PayloadTooLarge(data)
    elif kind == "MaxCallLevelError":
        error = known.MaxCallLevelError(None, data["level"])
    elif kind == "custom":
        error = TeapotError(message, code, type, data)
    elif kind == "Error":
        error = RuntimeError(message)
    elif "action" in (data or {}):
        error = getattr(known, kind)(**data)
    else:
        error = getattr(known, kind)(type, data)
    for name, value in (fields or {}).items():
        setattr(error, name, value)
    return error


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken_stream() -> AsyncIterator[bytes]:
    yield b"begun "
    await asyncio.sleep(0.05)
    raise RuntimeError("broken")


async def consumed(ctx: Context[Any]) -> dict[str, Any]:
    """What an upload brought."""
    incoming = getattr(ctx, "stream", None)
    if incoming is None:
        return {"params": ctx.params, "stream": False}
    data = b"".join([chunk async for chunk in incoming])
    return {"params": ctx.params, "length": len(data), "text": data.decode("latin-1")[:100]}


class Test(Service):
    name = "test"

    @action
    def hello(self, ctx: Context[Any]) -> str:
        return "Hello"

    @action
    def json(self, ctx: Context[Any]) -> dict[str, Any]:
        return {"name": "Ann", "n": 1, "list": [1, None, "ü"]}

    @action
    def echo(self, ctx: Context[Any]) -> Any:
        return ctx.params

    @action
    def length(self, ctx: Context[Any]) -> int:
        return len(json.dumps(ctx.params, separators=(",", ":"), ensure_ascii=False))

    @action
    def meta(self, ctx: Context[Any]) -> dict[str, Any]:
        return published(ctx.meta)

    @action
    def both(self, ctx: Context[Any]) -> dict[str, Any]:
        return {"params": ctx.params, "meta": published(ctx.meta)}

    @action(params={"a": {"type": "number", "convert": True}, "b": {"type": "number", "convert": True}})
    def add(self, ctx: Context[Any]) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action(params={"name": "string"})
    def greet(self, ctx: Context[Any]) -> str:
        return f"Hi {ctx.params['name']}"

    @action
    async def slow(self, ctx: Context[Any]) -> str:
        await asyncio.sleep(1.5)
        return "late"

    @action("camelCase")
    def camel_case(self, ctx: Context[Any]) -> str:
        return "camel"


class Posts(Service):
    name = "posts"

    @action
    def list(self, ctx: Context[Any]) -> Any:
        return said("list", ctx)

    @action
    def get(self, ctx: Context[Any]) -> Any:
        return said("get", ctx)

    @action
    def create(self, ctx: Context[Any]) -> Any:
        return said("create", ctx)

    @action
    def update(self, ctx: Context[Any]) -> Any:
        return said("update", ctx)

    @action
    def patch(self, ctx: Context[Any]) -> Any:
        return said("patch", ctx)

    @action
    def remove(self, ctx: Context[Any]) -> Any:
        return said("remove", ctx)


class Users(Service):
    name = "users"
    version = 2

    @action
    def list(self, ctx: Context[Any]) -> str:
        return "users of version 2"


class Dotted(Service):
    name = "first.second"

    @action
    def third(self, ctx: Context[Any]) -> str:
        return "dotted"

    @action
    def deep(self, ctx: Context[Any]) -> str:
        return "deep"


class Hyphen(Service):
    name = "hy-phen"

    @action("do-it")
    def do_it(self, ctx: Context[Any]) -> str:
        return "hyphens"

    @action("sayHello")
    def say_hello(self, ctx: Context[Any]) -> str:
        return "said"


class Guarded(Service):
    name = "guarded"

    @action
    def open(self, ctx: Context[Any]) -> str:
        return "open"

    @action(visibility="published")
    def published(self, ctx: Context[Any]) -> str:
        return "published"

    @action(visibility="public")
    def public(self, ctx: Context[Any]) -> str:
        return "public"

    @action(visibility="protected")
    def protected(self, ctx: Context[Any]) -> str:
        return "protected"

    @action(visibility="private")
    def private(self, ctx: Context[Any]) -> str:
        return "private"


class Answers(Service):
    name = "answers"

    @action
    def nothing(self, ctx: Context[Any]) -> None:
        return None

    @action
    def undefined(self, ctx: Context[Any]) -> None:
        return None

    @action
    def text(self, ctx: Context[Any]) -> str:
        return "text é"

    @action
    def empty(self, ctx: Context[Any]) -> str:
        return ""

    @action
    def number(self, ctx: Context[Any]) -> int:
        return 42

    @action
    def zero(self, ctx: Context[Any]) -> int:
        return 0

    @action
    def float(self, ctx: Context[Any]) -> Any:
        return 1.5

    @action("true")
    def yes(self, ctx: Context[Any]) -> bool:
        return True

    @action("false")
    def no(self, ctx: Context[Any]) -> bool:
        return False

    @action
    def list(self, ctx: Context[Any]) -> Any:
        return [1, "two", None]

    @action
    def object(self, ctx: Context[Any]) -> Any:
        return {"a": {"b": "é"}}

    @action
    def none(self, ctx: Context[Any]) -> Any:
        return {}

    @action
    def bytes(self, ctx: Context[Any]) -> Any:
        return b"\x00\xffA"

    @action("noBytes")
    def no_bytes(self, ctx: Context[Any]) -> Any:
        return b""

    @action("bufferObject")
    def buffer_object(self, ctx: Context[Any]) -> Any:
        return {"type": "Buffer", "data": [104, 105]}

    @action("badBuffer")
    def bad_buffer(self, ctx: Context[Any]) -> Any:
        return {"type": "Buffer"}

    @action
    def stream(self, ctx: Context[Any]) -> Any:
        return stream(b"one ", b"two")

    @action("emptyStream")
    def empty_stream(self, ctx: Context[Any]) -> Any:
        return stream()

    @action("brokenStream")
    def broken_stream(self, ctx: Context[Any]) -> Any:
        return broken_stream()

    @action(responseType="text/csv")
    def csv(self, ctx: Context[Any]) -> str:
        return "a,b"

    @action("csvNothing", responseType="text/csv")
    def csv_nothing(self, ctx: Context[Any]) -> None:
        return None

    @action(responseHeaders={"Content-Type": "text/xml", "X-Own": "1"})
    def typed(self, ctx: Context[Any]) -> str:
        return "<a/>"

    @action("typedLower", responseHeaders={"content-type": "text/xml"})
    def typed_lower(self, ctx: Context[Any]) -> str:
        return "<a/>"

    @action(responseHeaders={"X-Own": "1", "X-List": ["a", "b"]})
    def many(self, ctx: Context[Any]) -> Any:
        return {"a": 1}

    @action
    def shaped(self, ctx: Context[Any]) -> Any:
        ctx.meta.update(ctx.params["meta"])
        return ctx.params.get("result")

    @action("shapedBytes")
    def shaped_bytes(self, ctx: Context[Any]) -> Any:
        ctx.meta.update(ctx.params["meta"])
        return b"bytes"

    @action("shapedStream")
    def shaped_stream(self, ctx: Context[Any]) -> Any:
        ctx.meta.update(ctx.params["meta"])
        return stream(b"one ", b"two")

    @action("typedShaped", responseType="text/csv", responseHeaders={"X-Own": "action", "X-More": "action"})
    def typed_shaped(self, ctx: Context[Any]) -> str:
        ctx.meta.update(ctx.params["meta"])
        return "a,b"


class Errors(Service):
    name = "errors"

    @action("raise")
    def raise_(self, ctx: Context[Any]) -> None:
        ctx.meta.update(ctx.params.get("meta") or {})
        raise failure(**ctx.params)

    @action
    def plain(self, ctx: Context[Any]) -> None:
        raise RuntimeError("internal details")

    @action
    def type(self, ctx: Context[Any]) -> Any:
        return ctx.params["no"]["such"]


class Files(Service):
    name = "files"

    @action
    async def save(self, ctx: Context[Any]) -> Any:
        return await consumed(ctx)

    @action
    async def fail(self, ctx: Context[Any]) -> None:
        await consumed(ctx)
        raise MoleculerClientError("not this file", 422, "BAD_FILE", {"why": "so"})

    @action
    def refuse(self, ctx: Context[Any]) -> None:
        raise MoleculerClientError("no files", 403, "NO_FILES")


SERVICES: Final[dict[str, type[Service]]] = {
    "test": Test,
    "posts": Posts,
    "users": Users,
    "dotted": Dotted,
    "hyphen": Hyphen,
    "guarded": Guarded,
    "answers": Answers,
    "errors": Errors,
    "files": Files,
    "books": Books,
    "shelves": Shelves,
    "boxes": Boxes,
    "crates": Crates,
    "bags": Bags,
    "trunks": Trunks,
}
