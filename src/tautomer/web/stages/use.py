"""Stages that people write: ``async def stage(request, call_next)``, given to a gateway or a route as `use`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias

from tautomer.web.answers.reply import own_reply
from tautomer.web.exchange import Around, Exchange, Handler
from tautomer.web.messages.message import Reply, Request

__all__ = ["CallNext", "use_stage"]

CallNext: TypeAlias = "Callable[[Request], Awaitable[Reply]]"
"""Goes on with the request; gives the reply, or raises what went wrong further in."""


def use_stage(function: Callable[..., Any]) -> Around:
    """A stage of a function that takes ``(request, call_next)``, async or not.

    It returns a `Reply`: that of ``await call_next(request)``, changed or not, or its own. Then nothing further in
    has run. What it raises is answered as any error of the route.
    """
    name = getattr(function, "__qualname__", type(function).__name__)

    def wrap(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            request = exchange.request
            passed: Reply | None = None

            async def go_on(given: Request = request) -> Reply:
                nonlocal passed
                if given is not request:
                    raise TypeError(f"the stage '{name}' hands on another request than it was given")
                passed = await call_next(exchange)
                return passed

            made = function(request, go_on)
            if isawaitable(made):
                made = await made
            if not isinstance(made, Reply):
                raise TypeError(
                    f"the stage '{name}' returned {type(made).__name__}: a stage returns a Reply, "
                    "its own or that of 'await call_next(request)'"
                )
            return made if made is passed else own_reply(made)

        return handle

    return Around(wrap)
