"""ApiGatewayService: the gateway as a service of a node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tautomer.context import Context
from tautomer.decorators import action, event
from tautomer.errors import BrokerOptionsError, MoleculerClientError, ServiceSchemaError, ValidationError
from tautomer.service import Service
from tautomer.web.app import Gateway
from tautomer.web.patterns import fold
from tautomer.web.routes import Alias
from tautomer.web.settings import GatewaySettings, RouteSettings, read_route, read_settings

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.server import HttpServer

__all__ = ["ApiGatewayService"]

_FLAG: Final = {"type": "boolean", "optional": True, "convert": True}


class ApiGatewayService(Service):
    """Opens a port and maps HTTP requests to actions, by the routes in its `settings`.

    ```python
    class Gateway(ApiGatewayService):
        settings = {"port": 3000, "path": "/api", "routes": [{"aliases": {"GET /users/:id": "users.get"}}]}
    ```

    A subclass that overrides a life-cycle method calls the inherited one.

    Attributes:
        port: Where it listens once it is started; the system's choice where the settings say 0.
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
        """As `Service`. `broker` may be given as the documents of other gateways show it; registering sets it too."""
        super().__init__(name, version=version, settings=settings, metadata=metadata)
        if broker is not None:
            self.broker = broker
        self.gateway: Gateway | None = None
        self._options: GatewaySettings | None = None
        self._server: HttpServer | None = None
        self._refresh: asyncio.TimerHandle | None = None

    # --- life cycle ---

    def created(self) -> None:
        """Check and convert the settings.

        Raises:
            ServiceSchemaError: Something in them is wrong; all of it is told.
        """
        self._options, warnings = read_settings(self.settings)
        for warning in warnings:
            self.logger.warning("doubtful setting", extra={"setting": warning})
        if not self._options.routes:
            self.logger.warning("the gateway has no routes: every request will be answered 404")

    async def started(self) -> None:
        """Open the port.

        Raises:
            BrokerOptionsError: The address cannot be had, or the web extra is not installed; the message says
                which, why, and what to do.
        """
        try:
            from tautomer.web.server import HttpServer  # Only a node that opens a port needs an HTTP parser.
        except ModuleNotFoundError as error:
            raise BrokerOptionsError(f"a gateway needs '{error.name}': pip install 'tautomer[web]'") from error

        options = self.options
        gateway = self.gateway = Gateway(self.broker, options, self.full_name)
        server = HttpServer(
            gateway.handle,
            # What is to be logged goes the one way that logs.
            gateway.at_once if options.log_request is None else None,
            limits=options.limits,
            host=options.ip,
            port=options.port,
            reuse_port=options.reuse_port,
            clock=self.broker.clock,
            wall_ms=self.broker.host.wall_ms,
        )
        await server.start()
        self._server = server
        self.logger.info("gateway listening", extra={"ip": options.ip, "port": self.port, "path": options.path})

    async def stopping(self) -> None:
        """Take no new request; let those that run finish."""
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

    @property
    def options(self) -> GatewaySettings:
        """The settings as they were read; there from `created` on."""
        if self._options is None:
            raise ServiceSchemaError(f"gateway '{self.name}' is not registered at a broker yet")
        return self._options

    @property
    def port(self) -> int:
        return self.options.port if self._server is None else self._server.port

    # --- aliases of the mesh ---

    @event("$services.changed")
    def _services_changed(self, ctx: Context[Any]) -> None:
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

    @action(name="listAliases", params={"grouping": _FLAG, "withActionSchema": _FLAG}, rest="GET /list-aliases")
    def list_aliases(self, ctx: Context[Any]) -> list[dict[str, Any]]:
        """Every alias: ``{actionName, path, fullPath, methods, routePath}``, with `action` if its schema is asked for.

        With `grouping`: ``{path, aliases}`` for each route.
        """
        with_schema = bool(ctx.params.get("withActionSchema"))
        listed = [(route, [self._listed(one, with_schema) for one in route.aliases]) for route in self._running.routes]
        if ctx.params.get("grouping"):
            return [{"path": route.settings.path, "aliases": aliases} for route, aliases in listed]
        return [alias for _, aliases in listed for alias in aliases]

    @action(
        name="addRoute",
        params={"route": {"type": "object"}, "toBottom": {"type": "boolean", "optional": True, "default": True}},
        visibility="public",
    )
    def add_route(self, ctx: Context[Any]) -> dict[str, Any]:
        """Add a route, or replace one that is the same.

        Raises:
            ValidationError: The route is written wrong; all of it is told.
        """
        try:
            route = read_route(ctx.params["route"], self.options.path)
        except ServiceSchemaError as error:
            raise ValidationError(error.message, data=error.data) from error
        self._running.add_route(route, ctx.params.get("toBottom", True))
        return {"path": route.path, "name": route.name, "aliases": len(route.aliases)}

    @action(
        name="removeRoute",
        params={"name": {"type": "string", "optional": True}, "path": {"type": "string", "optional": True}},
        visibility="public",
    )
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
