"""The stages of a route, in THE ORDER, folded into one handler when the route is made.

A stage looks at the exchange on its way in (`Stage`), or `Asks` somebody about it; the few that have something to do
on the way out as well go `Around` the rest. One that is off is not in the list, so no line here asks whether a feature
is on. All that stand between two of those that go around share one coroutine.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from tautomer.registry.endpoints import Endpoint
from tautomer.web.answers.finishing import Finish
from tautomer.web.entrypoint.calls import HttpCall, http_handler
from tautomer.web.exchange import AnyStage, Asks, Failed, Handler, Stage
from tautomer.web.messages.query import QUERY_RULES
from tautomer.web.quick import is_plain, quick_handler
from tautomer.web.rate_limit.limiter import RateLimiters
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.rpc.endpoint import JsonRpcEndpoint
from tautomer.web.rpc.quick import quick_endpoint
from tautomer.web.rpc.socket import RpcSocketDoor
from tautomer.web.settings.jsonrpc import JsonRpcDoor, JsonRpcSettings
from tautomer.web.settings.origins import Origins
from tautomer.web.settings.records import GatewaySettings, RouteSettings
from tautomer.web.settings.sockets import SocketDoor
from tautomer.web.sockets.sockets import Sockets, origin_stage
from tautomer.web.stages.access import lost_handler, refuse_stage, resolve_stage
from tautomer.web.stages.assets import assets_stage
from tautomer.web.stages.authentication import authentication_stage
from tautomer.web.stages.calling import call_handler, function_handler
from tautomer.web.stages.conditional import etag_stage
from tautomer.web.stages.context import context_stage
from tautomer.web.stages.cors import cors_headers_stage, cors_refusal_stage
from tautomer.web.stages.guard import guarded
from tautomer.web.stages.hooks import hook_stage
from tautomer.web.stages.logs import params_log_stage
from tautomer.web.stages.multipart import multipart_handler
from tautomer.web.stages.params import (
    ParamsReader,
    direct_reader,
    params_reader,
    params_stage,
    query_stage,
    request_stage,
)
from tautomer.web.stages.rate_limit import rate_limit_stage
from tautomer.web.stages.streaming import stream_handler
from tautomer.web.stages.use import use_stage

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Pipelines"]

DEFAULT_TIMEOUT: Final = 30.0
"""Seconds a request may take when nobody said otherwise (architecture §15.12)."""


class Pipelines:
    """Makes the handlers of a gateway's routes: moleculer-web's real order (gateway reference, section 3).

    Args:
        settings: The gateway's.
        caller: Stands for the gateway itself in contexts: the callee sees its service as the caller.
        failed: Told of every error.
        finish: Makes whole what needs more than a result.
    """

    def __init__(
        self, broker: Broker, settings: GatewaySettings, caller: Endpoint, failed: Failed, finish: Finish
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._caller = caller
        self._failed = failed
        self._finish = finish
        self._limiters = RateLimiters(broker, caller.service.full_name)
        self._assets = None if settings.assets is None else assets_stage(settings.assets)
        # Not those of routes that were removed.
        self._endpoints: WeakSet[JsonRpcEndpoint] = WeakSet()
        #: Longest body of a route that does not say otherwise.
        self.body_bytes_max = settings.limits.body_bytes_max

    async def close(self) -> None:
        """Close what the stages have opened."""
        for endpoint in list(self._endpoints):
            await endpoint.processor.close()
        await self._limiters.close()

    def refresh(self) -> None:
        """What the mesh offers has changed."""
        for endpoint in list(self._endpoints):
            endpoint.processor.methods.refresh()

    def handler(self, route: RouteSettings, alias: AliasDef | None = None, read: ParamsReader | None = None) -> Handler:
        """For what the lists of a route let through.

        Args:
            alias: One with functions of its own; None stands for all those that only call their action.
            read: Reads the params; None for the way of the route's aliases.
        """
        read = read or params_reader(route)
        broker = self._broker
        function = None if alias is None else alias.handler
        authenticate, authorize = route.guards.of(alias)
        # A request cannot travel.
        own_node = broker.node_id if alias is not None and alias.passes_request else None
        door = function if isinstance(function, SocketDoor) else None
        guards: list[AnyStage | None] = [
            # First of all: whoever opens a socket from a foreign page is not even counted.
            door and door.guard,
            # Before authentication, so that it counts failed logins.
            self._rate_limit(route),
            # Before the hooks, as moleculer-web: 503 and 404 are known before authentication runs.
            resolve_stage(broker.registry.actions) if function is None else None,
            # Before authentication, which may need what the hook put into `ctx.meta`.
            hook_stage(route, route.on_before_call) if route.on_before_call else None,
            # So late that it knows which action is asked for.
            authentication_stage(route, authenticate) if authenticate else None,
            # Behind it, as it needs the user.
            hook_stage(route, authorize) if authorize else None,
            # The alias's own stages: behind all guards.
            *([] if alias is None else map(use_stage, alias.stages)),
            request_stage if own_node else None,
        ]
        timeout = None if alias is None or alias.kind == "call" else self._upload_timeout(route)
        endpoint = self._endpoint(route, function.settings) if isinstance(function, JsonRpcDoor) else None
        innermost: Handler
        if door is not None:
            innermost = door.open
        elif alias is not None and alias.kind == "proxy":
            from tautomer.web.stages.proxying import proxy_handler  # Only who passes requests on needs what does it.

            innermost = proxy_handler(route, alias, self._finish)
        elif endpoint is not None:
            innermost = endpoint.handle
        elif isinstance(function, HttpCall):
            innermost = http_handler(route, function, self._finish)
        elif function is not None:
            innermost = function_handler(route, function, self._finish)
        elif alias is None or timeout is None:
            innermost = call_handler(route, self._finish, own_node)
        elif alias.kind == "stream":
            innermost = stream_handler(route, timeout, self._finish)
        else:
            innermost = multipart_handler(route, alias.uploads or route.uploads, timeout, self._finish)
        reads = read if alias is None or alias.reads_params else None
        handler = self._around(route, guards, innermost, reads, timeout, challenge=authenticate is not None)
        if alias is None and is_plain(route) and self._is_plain:
            timeout = self._timeout(route)
            return quick_handler(route, broker, self._caller, timeout, self._failed, self._finish, handler, read)
        if endpoint is not None and is_plain(route) and self._is_plain:
            return quick_endpoint(endpoint, broker, self._caller, self._timeout(route), self._failed, handler)
        return handler

    def _endpoint(self, route: RouteSettings, settings: JsonRpcSettings) -> JsonRpcEndpoint:
        """The endpoint of these settings: one for its POSTs and its sockets."""
        known = next((one for one in self._endpoints if one.settings is settings), None)
        if known is not None:
            return known
        own_service = self._caller.service.full_name
        timeout = self._timeout(route)
        made = JsonRpcEndpoint(self._broker, settings, route, self._settings, own_service, timeout)
        self._endpoints.add(made)
        return made

    def rpc_socket_handler(self, route: RouteSettings, sockets: Sockets) -> Handler:
        """For handshakes at the JSON-RPC endpoint of a route."""
        assert route.jsonrpc is not None
        endpoint = self._endpoint(route, route.jsonrpc)
        rpc = RpcSocketDoor(endpoint, sockets, self._caller, self._limiters.of(route))
        listed = route.cors.origin if route.cors is not None and isinstance(route.cors.origin, Origins) else None
        door = SocketDoor(origin_stage(listed or sockets.settings.origins), rpc.open_handler)
        # CORS is no matter of sockets, and a handshake has no body to be tagged.
        return self.handler(
            dataclasses.replace(route, cors=None, etag=None),
            AliasDef("GET", "", door.__name__, handler=door, reads_params=False),
        )

    def mixed_socket_handler(self, settings: JsonRpcSettings, sockets: Sockets) -> Handler:
        """The innermost of handshakes at a place whose clients may speak JSON-RPC as well."""
        endpoint = self._endpoint(RouteSettings(), settings)
        return RpcSocketDoor(endpoint, sockets, self._caller, is_mixed=True).open_handler

    def direct_handler(self, route: RouteSettings, internal: bool) -> Handler:
        """The same for paths that name an action themselves: an internal one, or any other."""
        return self.handler(route, read=direct_reader(route, internal))

    def refusal(self, route: RouteSettings) -> Handler:
        """For what the lists of a route do not let through: it looks as if it did not exist."""
        # It is counted, or the headers of the limit would tell what is forbidden from what is not there.
        guards = [self._rate_limit(route), refuse_stage]
        return self._around(route, guards, call_handler(route, self._finish), params_reader(route))

    def lost(self, route: RouteSettings) -> Handler:
        """For paths below a route that no alias of it matches: files, behind whatever stands before its guards."""
        return self._around(route, [self._assets], lost_handler, None)

    def _around(
        self,
        route: RouteSettings,
        guards: Sequence[AnyStage | None],
        innermost: Handler,
        read: ParamsReader | None,
        timeout: float | None = None,
        challenge: bool = False,
    ) -> Handler:
        """What every request of a route passes first, whether it leads somewhere or not."""
        rules = self._settings.query_rules
        ends = self._timeout(route) if timeout is None else timeout
        stages: list[AnyStage | None] = [
            # Around all that can make an answer, so that each is compared with what the client has.
            etag_stage(route.etag) if route.etag else None,
            # First of what looks at the request, as every later stage and hook may use the context.
            context_stage(route, self._broker, self._caller, self._settings.root_call_options),
            # Before all that may fail, so that every answer has them, an error's too.
            cors_headers_stage(route.cors) if route.cors else None,
            query_stage(rules) if rules is not QUERY_RULES and innermost is not lost_handler else None,
            # Bodies need no stage here: whoever looks at one first has it read.
            #
            # The gateway's, then the route's. What they answer goes through none of the following.
            *map(use_stage, route.guards.use),
            # Behind what the gateway's own code adds to requests, before anything is read for an action.
            cors_refusal_stage(route.cors) if route.cors else None,
            # Body, query and path.
            params_stage(route, read) if read else None,
            self._params_log(route) if read else None,
            *guards,
        ]
        present = [stage for stage in stages if stage is not None]
        return guarded(present, innermost, self._broker.clock, ends, self._failed, challenge)

    @property
    def _is_plain(self) -> bool:
        """Whether neither gateway nor broker asks for more than a call."""
        broker, settings = self._broker, self._settings
        return (
            not broker.calls_wrapped
            and broker.settings.max_call_level != 1
            and settings.root_call_options is None
            and settings.logs.request_params is None
            and settings.query_rules is QUERY_RULES
        )

    def _rate_limit(self, route: RouteSettings) -> Stage | Asks | None:
        limiter = self._limiters.of(route)
        return None if limiter is None else rate_limit_stage(limiter)

    def _params_log(self, route: RouteSettings) -> Stage | None:
        level = self._settings.logs.request_params
        return None if level is None or not route.logging else params_log_stage(level)

    def _timeout(self, route: RouteSettings) -> float:
        """Seconds a request may take; 0 for no end."""
        timeout = route.call_options.get("timeout")
        if timeout is None:
            timeout = self._broker.settings.request_timeout
        return DEFAULT_TIMEOUT if timeout is None else timeout

    def _upload_timeout(self, route: RouteSettings) -> float:
        """Seconds for a request whose body comes while it runs: those of any other, after those in which a body may come."""
        timeout, arrival = self._timeout(route), self._settings.limits.request_time
        if "timeout" in route.call_options:
            return timeout
        return timeout + arrival if timeout and arrival else 0.0
