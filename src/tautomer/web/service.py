"""ApiGatewayService: the gateway as a service of a node."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.definitions import EventDef
from tautomer.errors import BrokerOptionsError, MoleculerClientError, ServiceSchemaError, ValidationError
from tautomer.service import Service
from tautomer.web.app import Gateway
from tautomer.web.messages.message import Reply, Request
from tautomer.web.routing.aliases import snake
from tautomer.web.routing.patterns import fold
from tautomer.web.routing.routes import Alias
from tautomer.web.settings.guards import hide_stores
from tautomer.web.settings.loading import read_route, read_settings
from tautomer.web.settings.methods import Methods
from tautomer.web.settings.records import GatewaySettings, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.asgi.application import GatewayApp
    from tautomer.web.asgi.door import AsgiDoor
    from tautomer.web.asgi.mounting import MountedApp
    from tautomer.web.http.server import HttpServer
    from tautomer.web.proxying.mounting import MountedProxy

__all__ = ["ApiGatewayService"]

APP_STOP_TIME: Final = 5.0
"""Seconds that a mounted application may take to stop."""

_FLAG: Final = {"type": "boolean", "optional": True, "convert": True}
_ROUTE: Final = {"route": {"type": "object"}, "toBottom": {"type": "boolean", "optional": True, "default": True}}
_NAMED_OR_AT: Final = {"name": {"type": "string", "optional": True}, "path": {"type": "string", "optional": True}}


class ApiGatewayService(Service):
    """Opens a port and maps HTTP requests to actions, by the routes in its `settings`.

    ```python
    class Gateway(ApiGatewayService):
        settings = {"port": 3000, "path": "/api", "routes": [{"aliases": {"GET /users/:id": "users.get"}}]}
    ```

    A subclass that overrides a life-cycle method calls the inherited one.

    Attributes:
        port: Where it listens once it is started; the system's choice where the settings say 0. 0 without a port.
    """

    name = "api"
    metadata = {"$category": "gateway"}

    def __init__(
        self,
        name: str | None = None,
        *,
        broker: Broker | None = None,
        version: str | int | float | None = None,
        settings: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """As `Service`.

        Args:
            broker: Its node, as the documents of other gateways show it: then it need not be registered, the node takes
                it in when it starts.
        """
        super().__init__(name, version=version, settings=settings, metadata=metadata)
        if broker is not None:
            self.broker = broker
            broker.expect(self)
        self.gateway: Gateway | None = None
        self._methods = Methods({})
        self._options: GatewaySettings | None = None
        self._server: HttpServer | AsgiDoor | None = None
        self._refresh: asyncio.TimerHandle | None = None

    # --- life cycle ---

    def created(self) -> None:
        """Check and convert the settings.

        Raises:
            ServiceSchemaError: Something in them is wrong; all of it is told.
            InvalidConfig: So are the broker's proxies.
        """
        self._methods = Methods.of(self, self._sources(), ApiGatewayService)
        options, warnings = read_settings(self.settings, methods=self._methods)
        self._options = self._with_proxies(options)
        for warning in warnings:
            self.logger.warning("doubtful setting", extra={"setting": warning})

    def _with_proxies(self, options: GatewaySettings) -> GatewaySettings:
        """The settings, with a route more for the proxies that the broker's name."""
        commands = self.broker.settings.commands
        if commands is None or not commands.proxies:
            return options
        # Only who passes requests on needs what does it.
        from tautomer.commands.configured import proxies_of
        from tautomer.web.proxying.patterns import configured_mount

        mount = configured_mount(proxies_of(commands.proxies, "commands.proxies"))
        route = read_route({"name": "proxies", "path": "", "proxy": mount}, options, self._methods)
        return dataclasses.replace(options, routes=(*options.routes, route))

    async def started(self) -> None:
        """Open the port.

        Raises:
            BrokerOptionsError: The address cannot be had, or the web extra is not installed; the message says
                which, why, and what to do.
        """
        options = self.options
        gateway = Gateway(self.broker, options, self.full_name)
        if not gateway.all_routes and options.assets is None and not gateway.opens_sockets:
            self.logger.warning("the gateway has no routes: nothing but its own pages will be answered")
        try:
            server = self._http_server(gateway) if options.server else self._asgi_door(gateway)
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        for app in self._apps:
            await app.start()
        await server.start()
        self.gateway, self._server = gateway, server
        self.logger.info(
            "gateway listening" if options.server else "gateway hosted by an ASGI server",
            extra={"ip": options.ip, "port": self.port, "path": options.path, "address": server.address},
        )

    def _http_server(self, gateway: Gateway) -> HttpServer:
        from tautomer.web.http.server import HttpServer, nobody  # Only a node that opens a port needs it.

        options = self.options
        return HttpServer(
            gateway.handle,
            # What is to be logged goes the one way that logs.
            None if gateway.logs else gateway.at_once,
            limits=options.limits,
            body_plan=gateway.body_plan,
            on_upgrade=gateway.on_upgrade,
            request_id=gateway.request_id,
            host=options.ip,
            port=options.port,
            path=None if options.socket is None else options.socket.path,
            mode=None if options.socket is None else options.socket.mode,
            ssl_context=options.tls,
            reuse_port=options.reuse_port,
            clock=self.broker.clock,
            wall_ms=self.broker.host.wall_ms,
            trusted_peer=options.trusted_proxies.trusts if options.trusted_proxies is not None else nobody,
        )

    def _asgi_door(self, gateway: Gateway) -> AsgiDoor:
        from tautomer.web.asgi.door import AsgiDoor

        return AsgiDoor(
            gateway.handle,
            limits=self.options.limits,
            body_plan=gateway.body_plan,
            request_id=gateway.request_id,
            clock=self.broker.clock,
            wall_ms=self.broker.host.wall_ms,
            on_upgrade=gateway.on_upgrade,
        )

    async def stopping(self) -> None:
        """Take no new request; let those that run finish. Streams of events have no end, so they end here."""
        if self.gateway is not None:
            self.gateway.events.end()
        if self._server is not None:
            # A little less than the whole time, so that what is late is cut by the server, and counted.
            await self._server.stop(0.8 * self.broker.settings.shutdown_timeout)

    async def stopped(self) -> None:
        """Close what is left."""
        if self._refresh is not None:
            self._refresh.cancel()
            self._refresh = None
        server, self._server = self._server, None
        if server is not None:
            await server.stop(0.0)
        if self.gateway is not None:
            await self.gateway.events.close()
            await self.gateway.close()
        for app in self._apps:
            await app.stop(APP_STOP_TIME)
        for proxy in self._proxies:
            await proxy.close()

    @property
    def options(self) -> GatewaySettings:
        """The settings as they were read; there from `created` on."""
        if self._options is None:
            raise ServiceSchemaError(f"gateway '{self.name}' is not registered at a broker yet")
        return self._options

    @property
    def port(self) -> int:
        return self.options.port if self._server is None else self._server.port

    @property
    def app(self) -> GatewayApp:
        """The gateway as an ASGI application, for the settings ``{"server": False}``. Its server starts the broker, too.

        Raises:
            ServiceSchemaError: The gateway is not registered at a broker yet.
            BrokerOptionsError: It opens a port of its own, or the web extra is not installed.
        """
        if self.options.server:
            raise BrokerOptionsError(
                f"gateway '{self.name}' opens a port itself; set 'server' to False to host its app"
            )
        try:
            from tautomer.web.asgi.application import GatewayApp
        except ModuleNotFoundError as error:
            raise _missing(error) from error
        return GatewayApp(self)

    @property
    def _apps(self) -> list[MountedApp]:
        """The applications mounted in its routes, each once."""
        mounted: dict[int, MountedApp] = {}
        for app in [route.app for route in self.options.routes if route.app is not None]:
            first = mounted.setdefault(id(app.app), app)
            if first is not app:
                app.live_with(first)
        return list(mounted.values())

    @property
    def _proxies(self) -> list[MountedProxy]:
        """The proxies of its routes, also of those that were added."""
        routes = self.options.routes if self.gateway is None else [route.settings for route in self.gateway.routes]
        return [route.proxy for route in routes if route.proxy is not None]

    def public_settings(self) -> dict[str, Any]:
        """As `Service`, without `https`, which may hold a private key, and without the stores of rate limits, whose URLs
        may hold a password (promise S5)."""
        public = {key: value for key, value in super().public_settings().items() if snake(key) != "https"}
        hide_stores(public)
        return public

    # --- events for sockets ---

    def event_defs(self) -> list[EventDef]:
        """Its own, and those that clients of its WebSockets may listen to, each in a group of this very gateway."""
        sockets = None if self._options is None else self._options.websocket
        patterns = () if sockets is None else sockets.events
        group = f"{self.full_name}@{self.broker.node_id}" if patterns else ""
        return [
            *super().event_defs(),
            *(
                EventDef(name=pattern, methods=(self._on_mesh_event,), where=("loop",), group=f"{group}#{index}")
                for index, pattern in enumerate(patterns)
            ),
        ]

    def _on_mesh_event(self, ctx: Context[Any]) -> None:
        if self.gateway is not None and self.gateway.sockets is not None and ctx.event_name is not None:
            self.gateway.sockets.tell(ctx.event_name, ctx.params, ctx.endpoint.name)

    # --- aliases of the mesh ---

    @event("$services.changed")
    def _services_changed(self, ctx: Context[Any]) -> None:
        if self.gateway is not None and self.gateway.sockets is not None:
            self.gateway.sockets.methods.forget()
        # The first change starts the wait and later ones do not prolong it: a mesh that never rests gets its aliases too.
        if self._refresh is None and self.gateway is not None:
            self._refresh = asyncio.get_running_loop().call_later(self.options.debounce_time, self._regenerate)

    def _regenerate(self) -> None:
        self._refresh = None
        if self.gateway is None:
            return
        self.gateway.refresh()
        self.broker.broadcast("$api.aliases.regenerated")

    # --- actions ---

    @action(name="list_aliases", params={"grouping": _FLAG, "withActionSchema": _FLAG})
    @action(name="listAliases", params={"grouping": _FLAG, "withActionSchema": _FLAG}, rest="GET /list-aliases")
    def list_aliases(self, ctx: Context[Any]) -> list[dict[str, Any]]:
        """Every alias: ``{actionName, path, fullPath, methods, routePath}``, with `action` if its schema is asked for.

        With `grouping`: ``{path, aliases}`` for each route that has any.
        """
        with_schema = bool(ctx.params.get("withActionSchema"))
        listed = [
            (route, [self._listed(one, with_schema) for one in route.aliases]) for route in self._running.all_routes
        ]
        if ctx.params.get("grouping"):
            return [{"path": route.settings.path, "aliases": aliases} for route, aliases in listed if aliases]
        return [alias for _, aliases in listed for alias in aliases]

    @action(name="add_route", params=_ROUTE, visibility="public")
    @action(name="addRoute", params=_ROUTE, visibility="public")
    def add_route(self, ctx: Context[Any]) -> dict[str, Any]:
        """Add a route, or replace one that is the same.

        Raises:
            ValidationError: The route is written wrong; all of it is told.
        """
        try:
            route = read_route(ctx.params["route"], self.options, self._methods)
        except ServiceSchemaError as error:
            raise ValidationError(error.message, data=error.data) from error
        self._running.add_route(route, ctx.params.get("toBottom", True))
        return {"path": route.path, "name": route.name, "aliases": len(route.aliases)}

    @action(name="remove_route", params=_NAMED_OR_AT, visibility="public")
    @action(name="removeRoute", params=_NAMED_OR_AT, visibility="public")
    def remove_route(self, ctx: Context[Any]) -> bool:
        """Remove the route of that name, or of that path as it was written. Returns whether there was one.

        Raises:
            MoleculerClientError: Neither was given.
        """
        name, path = ctx.params.get("name"), ctx.params.get("path")
        if name is None and path is None:
            raise MoleculerClientError("removeRoute takes a 'name' or a 'path'", 400, "INVALID_PARAMETERS")

        def matches(route: RouteSettings) -> bool:
            return route.name == name if name is not None else fold(route.own_path) == fold(path)

        return self._running.remove_route(matches)

    @action(visibility="protected")
    async def rest(self, ctx: Context[Any]) -> Reply:
        """Answer a `Request` that did not come by the port: ``call("api.rest", {"request": request})``.

        Its params are objects, so it is for this node only.

        Raises:
            ValidationError: There is no request.
        """
        request = ctx.params.get("request")
        if not isinstance(request, Request):
            raise ValidationError("api.rest takes {'request': Request}", data={"field": "request"})
        return await self._running.handle(request)

    @property
    def _running(self) -> Gateway:
        assert self.gateway is not None  # Its actions are offered once it has started.
        return self.gateway

    def _listed(self, alias: Alias, with_schema: bool) -> dict[str, Any]:
        listed: dict[str, Any] = {
            "actionName": alias.action,
            "path": alias.own_path.strip("/"),
            "fullPath": alias.pattern.path,
            "methods": alias.method,
            "routePath": alias.route.settings.path,
        }
        if with_schema:
            endpoints = self.broker.registry.actions.get(alias.action)
            listed["action"] = dict(endpoints.all[0].entry) if endpoints is not None and endpoints.all else None
        return listed


def _missing(error: ModuleNotFoundError) -> BrokerOptionsError:
    return BrokerOptionsError(f"a gateway needs '{error.name}': pip install 'tautomer[web]'")
