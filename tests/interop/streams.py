"""Streams from and to a Python node. Twin of node/streams.js."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from tautomer.context import Context
from tautomer.decorators import action
from tautomer.errors import MoleculerClientError, MoleculerError
from tautomer.service import Service


async def source(params: dict[str, Any]) -> AsyncIterator[Any]:
    """The stream of that kind."""
    kind = params["kind"]
    if kind == "bytes":
        for piece in range(params["count"]):
            begin, size = piece * params["size"], params["size"]
            yield bytes(i % 251 for i in range(begin, begin + size))
    elif kind == "texts":
        yield "äö".encode()
        yield "ü".encode()
    elif kind == "objects":
        for item in params["items"]:
            yield item
    elif kind in ("broken", "broken objects"):
        yield b"part" if kind == "broken" else {"part": 1}
        raise MoleculerClientError("source broke", 418, "SOURCE", {"at": 1})
    elif kind == "endless":
        n = 0
        while True:
            yield {"n": n}
            n += 1
            await asyncio.sleep(params.get("ms", 5) / 1000)


async def summary(stream: AsyncIterator[Any]) -> dict[str, Any]:
    """Reads a stream to its end: what a test compares."""
    md5 = hashlib.md5()
    found: dict[str, Any] = {"bytes": 0, "items": [], "error": None}
    try:
        async for item in stream:
            if isinstance(item, bytes):
                md5.update(item)
                found["bytes"] += len(item)
            else:
                found["items"].append(item)
    except MoleculerError as error:
        told = {"name": error.name, "message": error.message, "code": error.code, "type": error.type}
        found["error"] = {**told, "data": error.data}
    return {**found, "md5": md5.hexdigest()}


class Streams(Service):
    """Named after its node."""

    def __init__(self, node: str) -> None:
        super().__init__(f"{node}-streams")

    @action
    async def give(self, ctx: Context[Any]) -> AsyncIterator[Any]:
        ctx.meta["given"] = ctx.params["kind"]
        async for item in source(ctx.params):
            yield item

    @action
    async def take(self, ctx: Context[Any]) -> Any:
        return {**await summary(ctx.stream), "params": ctx.params, "meta": dict(ctx.meta)}

    @action
    async def shout(self, ctx: Context[Any]) -> AsyncIterator[bytes]:
        async for chunk in ctx.stream:
            yield chunk.upper()

    @action
    async def ignore(self, ctx: Context[Any]) -> str:
        return "answered"

    @action
    async def fetch(self, ctx: Context[Any]) -> Any:
        stream = await ctx.call(ctx.params["action"], ctx.params.get("params"))
        return {**await summary(stream), "meta": dict(ctx.meta)}

    @action
    async def push(self, ctx: Context[Any]) -> Any:
        told = ctx.params
        items = source(told["source"])
        result = await ctx.call(told["action"], told.get("params"), stream=items, meta=told.get("meta") or {})
        return await summary(result) if hasattr(result, "__aiter__") else result
