"""Gateway: a request in, a reply out. Knows no server."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import re
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TYPE_CHECKING, Final

from tautomer._tasks import is_cancelled
from tautomer.errors import (
    RequestTimeoutError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
    ServiceUnavailableError,
)
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.registry import ServiceEntry
from tautomer.web.answers.events import EventStreams
from tautomer.web.answers.failures import NOT_FOUND_BODY, failure_reply, not_found_body, wants_problem
from tautomer.web.answers.finishing import finisher
from tautomer.web.answers.reformat import reformat
from tautomer.web.answers.reply import own_reply
from tautomer.web.entrypoint.ways import HttpWays
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.http.refusal import NO_UPGRADE, Refusal
from tautomer.web.messages.forwarded import TrustedProxies
from tautomer.web.messages.limits import BodyPlan
from tautomer.web.messages.message import JSON_TYPE, Reply, Request
from tautomer.web.pages.pages import Pages
from tautomer.web.pipeline import DEFAULT_TIMEOUT, Pipelines
from tautomer.web.quick import is_plain
from tautomer.web.request_log import RequestLog, log_refusal
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.routing.autoaliases import annotated_aliases
from tautomer.web.routing.overlaps import Overlaps
from tautomer.web.routing.patterns import fold, trimmed
from tautomer.web.routing.routes import DIRECT, Alias, Route, RouteTable
from tautomer.web.rpc.endpoint import rpc_error_hook
from tautomer.web.settings.jsonrpc import JsonRpcDoor
from tautomer.web.settings.records import GatewaySettings, Hook, RouteSettings
from tautomer.web.settings.sockets import SocketDoor
from tautomer.web.sockets.hub_service import HUB, HubService
from tautomer.web.sockets.sockets import Sockets, origin_stage
from tautomer.web.stages.cors import preflight_method

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Gateway"]

log = logging.getLogger("tautomer.web")

ERROR_HOOK_TIME: Final = 10.0

NO_PROXY_UPGRADE: Final = Refusal(501, "NOT_IMPLEMENTED", "WebSockets are not passed on here.")

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Gateway:
    """Answers requests by calling actions.

    Args:
        broker: Its node.
        settings: Checked already.
        own_service: Full name of the gateway's service, whose actions no path may name.

    Attributes:
        http: Ways to methods with `@http`, or None where it leads to none.
        handle: What a server calls: ``await handle(request)`` gives a reply. It never raises, but for
            `CancelledError` when the server cancels it.
        at_once: Finds who answers. The reply itself where nothing need be awaited for it; None leaves it to `handle`.
        logs: Whether requests are logged: then they all go through `handle`.
        routes: In order.
        events: Streams of events that are open; who stops the gateway ends them.
        sockets: Its WebSockets; None where the settings want none.
    """

    def __init__(self, broker: Broker, settings: GatewaySettings, own_service: str) -> None:
        self._broker = broker
        self._settings = settings
        self._own_service = own_service
        self._body_plan = BodyPlan(settings.limits.body_bytes_max)
        self._clock = broker.clock
        self._new_id = broker.new_id
        self._is_known = broker.registry.actions.__contains__
        self.events = EventStreams(settings.event_keep_alive)
        self._caller = _caller(broker, own_service)
        self._pipelines = Pipelines(broker, settings, self._caller, self._failed, finisher(self.events))
        # For paths that no route answers for.
        self._nowhere = Route(RouteSettings(cors=settings.cors), self._pipelines, own_service).lost
        self._skipped: frozenset[str] = frozenset()
        self._minds_errors = settings.on_error or settings.reformat_error or settings.logs.client_errors
        # Whether a path that leads nowhere can have no other answer than 404.
        self._is_bare = not self._minds_errors and settings.cors is None and settings.assets is None
        self._overlaps = Overlaps(own_service)
        self.routes = [self._route(route) for route in settings.routes]
        self.http = None if settings.http is None else HttpWays(broker, settings.http, self._pipelines, own_service)
        self._pages = Pages(broker, settings, lambda: self.all_routes)
        self._own = Route(self._pages.route, self._pipelines, own_service)
        self.sockets = self._make_sockets()
        self._socket_path: str | None = None
        # Ways of handshakes to the JSON-RPC endpoints of routes.
        self._rpc_ways: dict[Route, Alias] = {}
        self.refresh()
        self.at_once: Callable[[Request], Reply | None] = self._look
        if settings.trusted_proxies is not None:
            self.at_once = _behind(settings.trusted_proxies, self._look)
        self.handle: Callable[[Request], Awaitable[Reply]] = self._answer
        log_lines = RequestLog(settings.logs, self._clock, settings.log_request, settings.log_response)
        self.logs = log_lines.writes
        if self.logs:
            self.handle = log_lines.around(self.at_once, self._answer)

    async def close(self) -> None:
        """Close what the gateway has opened, such as the connection to a store."""
        await self._pipelines.close()
        if self.sockets is not None:
            hub = self._broker.get_local_service(HUB)
            if isinstance(hub, HubService):
                hub.drop(self.sockets)
            await self.sockets.close()

    # --- WebSockets ---

    def _make_sockets(self) -> Sockets | None:
        settings = self._settings.websocket
        if settings is None:
            return None
        timeout = self._broker.settings.request_timeout
        sockets = Sockets(
            self._broker,
            settings,
            self._caller,
            self._settings.limits.requests_max,
            DEFAULT_TIMEOUT if timeout is None else timeout,
        )
        opened: Handler = sockets.open_handler
        if settings.jsonrpc is not None:
            opened = self._pipelines.mixed_socket_handler(settings.jsonrpc, sockets)
        door = SocketDoor(origin_stage(settings.origins), opened)
        alias = AliasDef("GET", settings.path, "websocket", handler=door, reads_params=False)
        route = RouteSettings(
            name="websocket", aliases=(alias,), guards=settings.guards, on_before_call=settings.on_before_call
        )
        self._socket_route = Route(route, self._pipelines, self._own_service)
        return sockets

    @property
    def opens_sockets(self) -> bool:
        """Whether there are WebSockets to be had."""
        return self._socket_path is not None

    def _socket_routes(self) -> list[Route]:
        """The route of its WebSockets, while there are any to be had."""
        sockets = self.sockets
        if sockets is None or not (sockets.settings.asked_for or sockets.methods.are_announced):
            self._socket_path = None
            return []
        self._socket_path = fold(sockets.settings.path)
        HubService.of(self._broker).take_in(sockets)
        return [self._socket_route]

    def _rpc_way(self, route: Route) -> Alias | None:
        """What answers handshakes at the JSON-RPC endpoint of a route; None where it is not asked by WebSockets."""
        jsonrpc = route.settings.jsonrpc
        if self.sockets is None or jsonrpc is None or not jsonrpc.websocket:
            return None
        handler = self._pipelines.rpc_socket_handler(route.settings, self.sockets)
        return Alias(route, AliasDef("GET", "", "jsonrpc", reads_params=False), (DIRECT,), handler)

    def _rpc_exchange(self, request: Request) -> Exchange | None:
        """A handshake on its way to the JSON-RPC endpoint that is asked by POST at the same path; None where there is none."""
        if not self._rpc_ways:
            return None
        found = self._table.match("POST", request.path, self._is_known)
        if not isinstance(found, tuple) or not isinstance(found[0].function, JsonRpcDoor):
            return None
        way = self._rpc_ways.get(found[0].route)
        return None if way is None else Exchange(request, way, self._new_id(), found[1])

    # --- routes ---

    @property
    def all_routes(self) -> list[Route]:
        """Its routes, and those of methods with `@http`."""
        return self.routes if self.http is None else [*self.routes, *self.http.routes]

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
        self._pages.refresh()
        self._pipelines.refresh()
        ways = {route: self._rpc_ways.get(route) or self._rpc_way(route) for route in self.routes}
        self._rpc_ways = {route: way for route, way in ways.items() if way is not None}
        self._table = RouteTable([*self.routes, self._own, *self._socket_routes()], not self._settings.optimize_order)
        self._exact = self._table.exact
        if self.http is not None:
            self.http.refresh(self.routes)
            self._exact = self.http.over_exact(self._exact)
        self._over = self.http.over if self.http is not None and self.http.rules else None
        self._overlaps.tell(self.routes, self._broker.registry.actions)

    def _route(self, settings: RouteSettings) -> Route:
        if settings.jsonrpc is not None:
            settings = dataclasses.replace(settings, on_error=rpc_error_hook(settings))
        route = Route(settings, self._pipelines, self._own_service, self._settings.internal_service_special_char)
        level = self._settings.log_route_registration
        if level is not None:
            log.log(level, "route registered", extra={"path": settings.path, "name_of_route": settings.name})
            for alias in route.aliases:
                log.log(
                    level,
                    "alias registered",
                    extra={"method": alias.method, "path": alias.pattern.path, "action": alias.action},
                )
        return route

    # --- requests ---

    def _look(self, request: Request) -> Reply | None:
        if request.matched is not None:
            return None
        new_id = self._new_id  # Read first, called then: see `Transit._encode_and_send`.
        own_id = new_id()
        # One look for both: most requests bring neither.
        request.id = (_given_id(request) if "-id:" in request.lower else None) or own_id
        exact = self._exact.get(request.path)
        alias = None if exact is None else exact.get(request.method)
        if alias is not None:
            request.matched = Exchange(request, alias, own_id)
        else:
            found = self._table.match(request.method, request.path, self._is_known)
            if self._over is not None and (not isinstance(found, tuple) or found[0].direct):
                found = self._over(found, request.method, request.path)
            if isinstance(found, tuple):
                if found[0].direct and self._leads_nowhere(request, found[0]):
                    if wants_problem(request):
                        return failure_reply(ServiceNotFoundError(found[0].action), request, found[0].action, None)
                    return Reply(404, [JSON_TYPE], not_found_body(found[0].action))
                request.matched = Exchange(request, found[0], own_id, found[1])
                return None
            owner = self._owner(request)
            if owner is None and found is None and self._is_bare and not wants_problem(request):
                # What scanners ask for all day: nothing is made that could be ready.
                return Reply(404, [JSON_TYPE], NOT_FOUND_BODY)
            lost = self._nowhere if owner is None else owner.lost
            request.matched = Exchange(request, lost, own_id, methods=found or frozenset())
        return None

    def request_id(self, request: Request) -> str:
        """The id of a request that is answered before it comes here."""
        return _given_id(request) or self._new_id()

    def body_plan(self, request: Request) -> BodyPlan:
        """What is to become of the body of a request, of which the head is there."""
        if self.at_once(request) is None:
            plan = request.matched.alias.body_plan  # type: ignore[attr-defined]  # An `Exchange`.
            if plan is not None:
                return plan  # type: ignore[no-any-return]  # As above.
        return self._body_plan

    def on_upgrade(self, request: Request) -> Refusal | None:
        """Why a WebSocket cannot be had there, None where it can: 501 where the request would be passed on, as its
        upstream may know it."""
        if self._socket_path is not None and fold(trimmed(request.path)) == self._socket_path:
            return None
        self.at_once(request)
        if (rpc := self._rpc_exchange(request)) is not None:
            request.matched = rpc
            return None
        matched: Exchange | None = request.matched  # type: ignore[assignment]  # It is one.
        is_proxied = matched is not None and matched.alias.written.kind == "proxy"
        return NO_PROXY_UPGRADE if is_proxied else NO_UPGRADE

    def _owner(self, request: Request) -> Route | None:
        """The route that answers for a path which has no alias for this method, if one has anything to say."""
        asked_for = preflight_method(request)
        if asked_for is not None:
            # A preflight is about another request: the route that would take it may lie elsewhere (`fullPath`).
            found = self._table.match(asked_for, request.path, self._is_known)
            if isinstance(found, tuple):
                return found[0].route
        own = None if self._over is None or self.http is None else self.http.owner(request.path, asked_for)
        return own or self._table.owner(request.path)

    def _leads_nowhere(self, request: Request, alias: Alias) -> bool:
        """Whether the path names an action that is not there, or forbidden, and no stage or hook could say more of it.

        A body or query is read first, as it may be refused for itself.
        """
        route = alias.route
        absent = alias.handler is route.refusal or not self._is_known(alias.action)
        hooked = self._minds_errors or route.settings.on_error is not None
        return absent and not hooked and not request.raw_body and not request.query_string and is_plain(route.settings)

    def _answer(self, request: Request) -> Awaitable[Reply]:
        if request.matched is None and (ready := self.at_once(request)) is not None:
            return _made(ready)
        exchange = request.matched
        # They hold each other: a circle for each request would be left to the garbage collector.
        request.matched = None
        handler = exchange.alias.handler  # type: ignore[attr-defined]  # An `Exchange`.
        return handler(exchange)  # type: ignore[no-any-return]  # An alias has a `Handler`.

    async def _failed(self, exchange: Exchange, error: BaseException) -> Reply:
        """The reply to what went wrong in a route. A request that somebody has cancelled is left cancelled."""
        request, alias, ctx = exchange.request, exchange.alias, exchange.ctx
        request.ends = None
        late = request.late and request.take_cancel_back()
        if isinstance(error, asyncio.CancelledError):
            if late:
                error = RequestTimeoutError(alias.action)
            elif is_cancelled():
                raise error
            # If nobody cancelled this request, its action awaited something that was, and let that out.
        elif isinstance(error, ServiceNotFoundError | ServiceNotAvailableError) and _has_just_gone(alias, error):
            error = ServiceUnavailableError()
        if self._settings.logs.client_errors and alias.route.settings.logging:
            log_refusal(error, request)
        for hook in (alias.route.settings.on_error, self._settings.on_error):
            if hook is not None and (made := await _asked(hook, request, error)) is not None:
                return made
        reply = failure_reply(error, request, alias.action, None if ctx is None else ctx._meta)
        if self._settings.reformat_error is not None and not wants_problem(request):
            await reformat(reply, self._settings.reformat_error, error, request)
        return reply


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
        return failure_reply(failed, request, "onError", None)
    return own_reply(made) if isinstance(made, Reply) else None


def _behind(proxies: TrustedProxies, look: Callable[[Request], Reply | None]) -> Callable[[Request], Reply | None]:
    """`look`, after the proxies have said where the request came from."""

    def handle(request: Request) -> Reply | None:
        if request.matched is None:
            proxies.apply(request)
        return look(request)

    return handle


def _has_just_gone(alias: Alias, error: ServiceNotFoundError | ServiceNotAvailableError) -> bool:
    """Whether an alias leads to an action that was there when it was looked up, and was not when it was called.

    Then the answer is that of the next request, for which there is nobody to be found: 503.
    """
    offer = alias.offer
    return (
        offer is not None
        and offer.published
        and not alias.direct
        and error.action == alias.action
        and "node_id" not in alias.route.settings.call_options
    )


async def _made(reply: Reply) -> Reply:
    return reply


def _caller(broker: Broker, own_service: str) -> Endpoint:
    """What stands for the gateway in the contexts of its calls; nobody can call it."""
    node_id = broker.node_id
    service = ServiceEntry(node_id, True, own_service, None, own_service)

    async def never(_ctx: object) -> None:
        raise AssertionError("the gateway's own endpoint is not to be called")

    return Endpoint(f"{own_service}.rest", node_id, True, service, {"visibility": "private"}, never)
