"""The services of the Python nodes: twins of those in node/, with the same actions and the same answers."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Callable, Mapping
from typing import Any

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.service import Service

from .failures import failure


def facts(ctx: Context[Any]) -> dict[str, Any]:
    """What a handler knows of its call, under the names that Node has for it. `timeout` in milliseconds."""
    return {
        "id": ctx.id,
        "nodeID": ctx.node_id,
        "level": ctx.level,
        "requestID": ctx.request_id,
        "parentID": ctx.parent_id,
        "caller": ctx.caller,
        "meta": dict(ctx.meta),
        "headers": dict(ctx.headers),
        "timeout": None if ctx.request_timeout is None else ctx.request_timeout * 1000,
    }


class Probe(Service):
    """Named as its node. Twin of node/probe.js."""

    settings = {"shown": 1, "hidden": "secret", "$secureSettings": ["hidden"]}
    metadata = {"line": "python"}

    @action
    async def echo(self, ctx: Context[Any]) -> Any:
        return ctx.params

    @action
    async def seen(self, ctx: Context[Any]) -> dict[str, str]:
        params = ctx.params
        types = {bool: "boolean", int: "number", float: "number", str: "string"}
        kind = "null" if params is None else types.get(type(params), "object")
        return {"type": kind, "json": json.dumps(params, separators=(",", ":"), ensure_ascii=False)}

    @action(params={"a": "number", "b": "number"})
    async def add(self, ctx: Context[Any]) -> Any:
        return ctx.params["a"] + ctx.params["b"]

    @action
    async def nothing(self, ctx: Context[Any]) -> None:
        return None

    @action
    async def bytes(self, ctx: Context[Any]) -> Any:
        return b"abc"

    @action
    async def date(self, ctx: Context[Any]) -> Any:
        return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

    @action
    async def text(self, ctx: Context[Any]) -> str:
        return "x" * int(ctx.params["length"])

    @action
    async def context(self, ctx: Context[Any]) -> dict[str, Any]:
        return facts(ctx)

    @action
    async def meta(self, ctx: Context[Any]) -> dict[str, Any]:
        received = dict(ctx.meta)
        ctx.meta["back"] = self.name
        if ctx.params.get("fail"):
            raise failure("MoleculerClientError")
        return received

    @action
    async def sleep(self, ctx: Context[Any]) -> Any:
        await asyncio.sleep(ctx.params["ms"] / 1000)
        return ctx.params["ms"]

    @action
    async def fail(self, ctx: Context[Any]) -> None:
        raise failure(ctx.params["kind"])

    @action
    async def forward(self, ctx: Context[Any]) -> Any:
        await asyncio.sleep(ctx.params.get("after_ms", 0) / 1000)
        return await ctx.call(ctx.params["action"], ctx.params.get("params"), **ctx.params.get("options", {}))

    @action
    async def chain(self, ctx: Context[Any]) -> list[dict[str, Any]]:
        """Visits the nodes of `route` one inside the other; returns the facts of each call, outermost first."""
        mine = {"node": self.name, **facts(ctx)}
        if not ctx.params["route"]:
            return [mine]
        following, *route = ctx.params["route"]
        return [mine, *await ctx.call(f"{following}.chain", {"route": route})]

    @action
    async def publish(self, ctx: Context[Any]) -> dict[str, Any]:
        wanted = ctx.params
        act = {"emit": ctx.emit, "broadcast": ctx.broadcast}[wanted["type"]]
        await act(wanted["event"], wanted.get("data"), wanted.get("groups"), headers=wanted.get("headers"))
        return facts(ctx)

    @action(visibility="protected")
    async def guarded(self, ctx: Context[Any]) -> str:
        return "guarded"

    @action(visibility="private")
    async def own(self, ctx: Context[Any]) -> str:
        return "own"

    @action
    async def within(self, ctx: Context[Any]) -> list[str]:
        return [await ctx.call(f"{self.name}.guarded"), await self.own(ctx)]


class Books(Service):
    """For a gateway on another node to publish."""

    name = "books"
    settings = {"rest": "/books"}

    @action(rest="GET /:id")
    async def get(self, ctx: Context[Any]) -> dict[str, Any]:
        return {"id": ctx.params["id"], "title": "Résumé"}

    @action(rest={"method": "POST", "path": "/"})
    async def create(self, ctx: Context[Any]) -> dict[str, Any]:
        return {"made": ctx.params["title"]}

    @action(rest="DELETE /:id")
    async def remove(self, ctx: Context[Any]) -> None:
        raise failure("custom")


class Calculator(Service):
    """Comes and goes, with or without a version. Twin of node/calculator.js."""

    @action
    async def double(self, ctx: Context[Any]) -> Any:
        return 2 * ctx.params["n"]

    @action
    async def where(self, ctx: Context[Any]) -> str:
        return str(self.broker.id)


def listener(name: str, patterns: Mapping[str, str | None], tell: Callable[[dict[str, Any]], None]) -> Service:
    """A service that tells of every event it hears. `patterns` maps an event pattern to its group, or to None."""

    def hear(pattern: str, group: str | None) -> Callable[..., Any]:
        @event(pattern, group=group)
        async def heard(self: Service, ctx: Context[Any]) -> None:
            data = ctx.params
            about = {}
            if str(ctx.event_name).startswith("$node."):
                about = {"node": data["node"]["id"], "unexpected": data.get("unexpected")}
            elif str(ctx.event_name).startswith("$circuit-breaker."):
                about = data
            tell(
                {
                    "listener": name,
                    "pattern": pattern,
                    "event": ctx.event_name,
                    "type": ctx.event_type,
                    "groups": ctx.event_groups,
                    "data": data,
                    "about": about,
                    "context": facts(ctx),
                }
            )

        return heard

    methods = {f"hear_{number}": hear(pattern, group) for number, (pattern, group) in enumerate(patterns.items())}
    made: Service = type("Listener", (Service,), {"name": name, **methods})()
    return made
