"""Gateway: a request in, a reply out. Knows no server."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from tautomer.errors import MethodNotAllowedError, NotFoundError, RequestTimeoutError, ServiceNotFoundError
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import ServiceEntry
from tautomer.web.autoaliases import annotated_aliases
from tautomer.web.failures import NOT_FOUND_BODY, failure_reply
from tautomer.web.message import JSON_TYPE, Reply, Request
from tautomer.web.pipeline import Exchange, is_plain, pipeline
from tautomer.web.reply import own_reply
from tautomer.web.routes import Alias, Route, RouteTable
from tautomer.web.settings import GatewaySettings, Hook, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Gateway"]

log = logging.getLogger("tautomer.web")

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds a request may take when nobody said otherwise (architecture §15.12)."""

ERROR_HOOK_TIME: Final = 10.0

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Gateway:
    """Answers requests by calling actions.

    Args:
        broker: Its node.
        settings: Checked already.
        own_service: Full name of the gateway's service, whose actions no path may name.

    Attributes:
        handle: What a server calls: ``await handle(request)`` gives a reply. It never raises, but for
            `CancelledError` when the server cancels it.
        routes: In order.
    """

    def __init__(self, broker: Broker, settings: GatewaySettings, own_service: str) -> None:
        self._broker = broker
        self._settings = settings
        self._own_service = own_service
        self._clock = broker.clock
        self._new_id = broker.new_id
        self._is_known = broker.registry.actions.__contains__
        self._caller = _caller(broker, own_service)
        self._skipped: frozenset[str] = frozenset()
        self.routes = [self._route(route) for route in settings.routes]
        self.refresh()
        answer: Callable[[Request], Awaitable[Reply]] = self._answer
        self.handle = answer if settings.log_request is None else self._logged(settings.log_request)

    # --- routes ---

    def add_route(self, settings: RouteSettings, to_bottom: bool = True) -> None:
        """Add a route, at the end or the beginning. One that is the same takes the other's place."""
        route = self._route(settings)
        for index, known in enumerate(self.routes):
            if known.settings.same_as(settings):
                self.routes[index] = route
                break
        else:
            self.routes.insert(len(self.routes) if to_bottom else 0, route)
        self.refresh()

    def remove_route(self, matches: Callable[[RouteSettings], bool]) -> bool:
        """Remove the routes that match, with their aliases. Returns whether there were any."""
        left = [route for route in self.routes if not matches(route.settings)]
        removed = len(left) < len(self.routes)
        self.routes = left
        self.refresh()
        return removed

    def refresh(self) -> None:
        """Make the generated aliases anew from what the mesh offers, and the table of all."""
        automatic = [route for route in self.routes if route.settings.auto_aliases]
        if automatic:
            made, faulty = annotated_aliases(self._broker.registry.services)
            skipped = dict(faulty)
            for route in automatic:
                skipped.update({one.action: reason for one, reason in route.generate(made)})
            for action, reason in skipped.items():
                if action not in self._skipped:
                    log.warning("alias skipped", extra={"action": action, "reason": reason[:500]})
            self._skipped = frozenset(skipped)
        self._table = RouteTable(self.routes)
        self._exact = self._table.exact

    def _route(self, settings: RouteSettings) -> Route:
        timeout = settings.call_options.get("timeout")
        if timeout is None:
            timeout = self._broker.settings.request_timeout
        if timeout is None:
            timeout = DEFAULT_TIMEOUT
        made = partial(pipeline, settings, self._broker, self._caller, timeout, self._failed)
        return Route(settings, made(permitted=True), made(permitted=False), self._own_service)

    # --- requests ---

    def at_once(self, request: Request) -> Reply | None:
        """Find who answers. The reply itself where nothing need be awaited for it; None leaves it to `handle`."""
        own_id = self._new_id()
        # One look for both: most requests bring neither.
        request.id = (_given_id(request) if "-id:" in request.lower else None) or own_id
        exact = self._exact.get(request.path)
        alias = None if exact is None else exact.get(request.method)
        if alias is not None:
            request.matched = Exchange(request, alias, own_id)
        else:
            found = self._table.match(request.method, request.path, self._is_known)
            if found is None and self._settings.on_error is None:
                # What scanners ask for all day: nothing is made that could be ready.
                return Reply(404, [JSON_TYPE], NOT_FOUND_BODY)
            if isinstance(found, tuple):
                if found[0].direct and self._leads_nowhere(request, found[0]):
                    return failure_reply(ServiceNotFoundError(found[0].action), request.id, found[0].action, None)
                request.matched = Exchange(request, found[0], own_id, found[1])
            else:
                request.matched = found or frozenset()
        return None

    def _leads_nowhere(self, request: Request, alias: Alias) -> bool:
        """Whether the path names an action that is not there, or forbidden, and no stage or hook could say more of it.

        A body or query is read first, as it may be refused for itself.
        """
        route = alias.route
        absent = alias.handler is route.refusal or not self._is_known(alias.action)
        hooked = self._settings.on_error is not None or route.settings.on_error is not None
        return absent and not hooked and not request.raw_body and not request.query_string and is_plain(route.settings)

    def _answer(self, request: Request) -> Awaitable[Reply]:
        if request.matched is None and (ready := self.at_once(request)) is not None:
            return _made(ready)
        exchange = request.matched
        # They hold each other: a circle for each request would be left to the garbage collector.
        request.matched = None
        if type(exchange) is Exchange:
            return exchange.alias.handler(exchange)  # type: ignore[no-any-return]  # An alias has a `Handler`.
        return self._without_action(request, exchange)  # type: ignore[arg-type]  # Then it is the methods of the path.

    async def _without_action(self, request: Request, methods: Iterable[str]) -> Reply:
        """The answer where no action is to run: 404; 405 for another method; for OPTIONS what there is (RFC 9110, 9.3.7)."""
        hook = self._settings.on_error
        allow = sorted(methods)
        error = MethodNotAllowedError(data={"allow": allow}) if allow else NotFoundError()
        if allow and request.method == "OPTIONS":
            reply = Reply(204)
        elif hook is not None and (made := await _asked(hook, request, error)) is not None:
            reply = made
        else:
            reply = failure_reply(error, request.id, "", None)
        if allow:
            reply.headers.append(("Allow", ", ".join(allow)))
        return reply

    async def _failed(self, exchange: Exchange, error: BaseException) -> Reply:
        """The reply to what went wrong in a route. A request that somebody has cancelled is left cancelled."""
        request, alias, ctx = exchange.request, exchange.alias, exchange.ctx
        request.ends = None
        late = request.late and request.take_cancel_back()
        if isinstance(error, asyncio.CancelledError):
            if late:
                error = RequestTimeoutError(alias.action)
            elif _is_cancelled():
                raise error
            # If nobody cancelled this request, its action awaited something that was, and let that out.
        hook = alias.route.settings.on_error or self._settings.on_error
        if hook is not None and (made := await _asked(hook, request, error)) is not None:
            return made
        return failure_reply(error, request.id, alias.action, None if ctx is None else ctx._meta)

    def _logged(self, level: int) -> Callable[[Request], Awaitable[Reply]]:
        async def handle(request: Request) -> Reply:
            begun = self._clock()
            reply = await self._answer(request)
            log.log(
                level,
                "request",
                extra={
                    "method": request.method,
                    "path": request.path,
                    "status": reply.status,
                    "ms": round((self._clock() - begun) * 1000, 1),
                    "client": request.client,
                    "request": request.id,
                },
            )
            return reply

        return handle


def _given_id(request: Request) -> str | None:
    """The id that the client brought along, if it is one: ``X-Correlation-ID``, else ``X-Request-ID``."""
    for name in ("x-correlation-id", "x-request-id"):
        given = request.header(name)
        if given is not None and _ID.fullmatch(given):
            return given
    return None


async def _asked(hook: Hook, request: Request, error: BaseException) -> Reply | None:
    """What `onError` answers; None for the usual answer. Never raises."""
    try:
        async with asyncio.timeout(ERROR_HOOK_TIME):
            made = hook(request, error)
            if isawaitable(made):
                made = await made
    except Exception as failed:
        log.error("onError failed", extra={"request": request.id, "path": request.path})
        return failure_reply(failed, request.id, "onError", None)
    return own_reply(made) if isinstance(made, Reply) else None


async def _made(reply: Reply) -> Reply:
    return reply


def _is_cancelled() -> bool:
    """Whether somebody wants the current task to end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _caller(broker: Broker, own_service: str) -> Endpoint:
    """What stands for the gateway in the contexts of its calls; nobody can call it."""
    node_id = broker.node_id
    service = ServiceEntry(node_id, True, own_service, None, own_service)

    async def never(_ctx: object) -> None:
        raise AssertionError("the gateway's own endpoint is not to be called")

    return Endpoint(f"{own_service}.rest", node_id, True, service, {"visibility": "private"}, never)
