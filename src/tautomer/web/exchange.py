"""Exchange: one request on its way through a route, and what it is passed through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from types import CoroutineType
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from tautomer.registry.endpoints import Endpoint
from tautomer.web.messages.message import JSON_TYPE, Reply, Request

__all__ = [
    "FAILURES",
    "AnyStage",
    "Around",
    "Asks",
    "Exchange",
    "Failed",
    "Handler",
    "Offer",
    "Stage",
    "Steps",
    "compose",
    "passed",
]

_PLAIN: Mapping[str, Any] = {}

FAILURES: Final = (Exception, asyncio.CancelledError, SystemExit, KeyboardInterrupt)
"""What ends a request and not the node: who wants to end the process from inside a handler fails in that call."""


class Offer:
    """What the mesh offers under one action name, as far as a gateway must know; valid for one set of endpoints.

    Attributes:
        endpoints: The set; another tuple means that this is stale.
        published: Whether every endpoint lets gateways in. One that does not shuts the door for all, as
            nobody knows which of them would be asked.
        local: Whether this node has one.
        reply: `responseType` and `responseHeaders` of the action; empty if it has neither.
    """

    __slots__ = ("endpoints", "local", "published", "reply")

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.endpoints = endpoints
        self.published = all(endpoint.visibility == "published" for endpoint in endpoints)
        self.local = any(endpoint.local for endpoint in endpoints)
        entry = endpoints[0].entry
        wanted = {key: entry[key] for key in ("responseType", "responseHeaders") if entry.get(key)}
        self.reply: Mapping[str, Any] = wanted or _PLAIN


class Exchange(msgspec.Struct, eq=False):
    """One request on its way through a route.

    Attributes:
        request: What was asked.
        alias: What it matched.
        id: Of the gateway's own context, the root of all calls made for the request.
        values: Values of the path; None for a path without any.
        ctx: The root of all calls made for it; from the context stage on. ``ctx.params`` is what the action gets,
            from the params stage on. On the quick way it is the action's own, and the root has an id only.
        offer: What the mesh offers; from the resolve stage on.
        methods: Of a path that has no alias for the request's method: those it has; empty where it leads nowhere.
        headers: Header lines for whatever the answer will be, an error's too.
        lines: The same, as `header_line` makes them.
        is_site_allowed: Whether the site that the request comes from may read the answer (CORS).
    """

    request: Request
    alias: Any  # An `Alias`; the record is checked by its maker, not by msgspec.
    id: str
    values: dict[str, str] | None = None
    ctx: Any = None
    offer: Any = None
    methods: frozenset[str] = frozenset()
    headers: list[tuple[str, str]] | None = None
    lines: str = ""
    is_site_allowed: bool = False

    def add_header(self, name: str, value: str) -> None:
        """Put a line into whatever the answer will be."""
        if self.headers is None:
            self.headers = []
        self.headers.append((name, value))

    def dressed(self, reply: Reply) -> Reply:
        """The reply with these lines. What it says itself of who may read it (CORS) gives way: two such lines are none."""
        if self.lines:
            for line in reply.headers:
                if line is not JSON_TYPE and line[0][:15].lower() == "access-control-":
                    ours = f"\n{self.lines.lower()}"
                    reply.headers = [
                        own
                        for own in reply.headers
                        if not (own[0].lower().startswith("access-control-") and f"\n{own[0].lower()}: " in ours)
                    ]
                    break
            reply.lines = self.lines
        if self.headers:
            reply.headers.extend(self.headers)
        return reply


Handler: TypeAlias = "Callable[[Exchange], Awaitable[Reply]]"
Stage: TypeAlias = "Callable[[Exchange], Reply | None]"
"""Looks at an exchange on its way in: None lets it on, a reply is the answer."""


class Asks(NamedTuple):
    """In the place of a stage: what asks a function that may be async, a user's say.

    Attributes:
        ask: Gives what the function gave.
        hear: Told of that, or of what came of awaiting it. As a stage: None lets the exchange on, a reply is the answer.
    """

    ask: Callable[[Exchange], object]
    hear: Callable[[Exchange, Any], Reply | None]


class Around(NamedTuple):
    """In the place of a stage: what has something to do on the way out as well."""

    wrap: Callable[[Handler], Handler]


Failed: TypeAlias = "Callable[[Exchange, BaseException], Awaitable[Reply]]"
"""Makes the reply to an error; raises it where the request was cancelled."""


AnyStage: TypeAlias = "Stage | Asks | Around"


Steps: TypeAlias = "Sequence[tuple[Callable[[Exchange], Any], Callable[[Exchange, Any], Reply | None] | None]]"
"""Stages that only look on the way in, each with who is told what its question gave; None for one that asks nobody."""


def compose(stages: Sequence[AnyStage], handler: Handler) -> tuple[Steps, Handler]:
    """The stages before the first that goes around the rest, and that rest: the first in the list is the outermost."""
    inner: list[Stage | Asks] = []
    for stage in reversed(stages):
        if isinstance(stage, Around):
            handler = stage.wrap(_behind(_steps(inner), handler))
            inner = []
        else:
            inner.insert(0, stage)
    return _steps(inner), handler


def _steps(stages: Sequence[Stage | Asks]) -> Steps:
    return [stage if isinstance(stage, Asks) else (stage, None) for stage in stages]


def _behind(steps: Steps, handler: Handler) -> Handler:
    """The handler behind stages that only look on the way in: one coroutine for all of them."""
    if not steps:
        return handler

    async def handle(exchange: Exchange) -> Reply:
        reply = await passed(steps, exchange)
        return await handler(exchange) if reply is None else reply

    return handle


async def passed(steps: Steps, exchange: Exchange) -> Reply | None:
    """Let the stages look at an exchange, one after the other. The reply of the first that has one; None lets it on."""
    for look, hear in steps:
        told: Any = look(exchange)
        if hear is not None:
            # Nearly all that must be awaited is a coroutine, and hardly anything else has such a name at all; what has any
            # name one asks for is told by its class, which takes longer.
            if type(told) is CoroutineType or (hasattr(told, "__await__") and isawaitable(told)):
                told = await told
            told = hear(exchange, told)
        if told is not None:
            return told  # type: ignore[no-any-return]
    return None
