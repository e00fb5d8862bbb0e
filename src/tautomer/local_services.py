"""LocalServices: the services of this node, from their marks to their endpoints, and their life."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tautomer._tasks import in_time
from tautomer.context import Context
from tautomer.definitions import ActionDef, EventDef, Method, Where, plain, takes_context
from tautomer.delivery import Delivery, each_in_turn
from tautomer.errors import GracefulStopTimeoutError, MoleculerServerError, ServiceSchemaError
from tautomer.middleware import Middleware, compose, notify
from tautomer.ports import Handler
from tautomer.protocol.packets import subscription_key
from tautomer.providers.provider import providers_in
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.registry.registry import Registry, ServiceEntry
from tautomer.service import Service, as_service, dependency_list
from tautomer.timers import Timers

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.providers.node_providers import NodeProviders
    from tautomer.transit.balanced import BalancedTopics

log = logging.getLogger("tautomer.services")


class LocalServices:
    """Creates, starts and stops the services of one node.

    Attributes:
        all: Every service taken in, in that order.
        loop: The node's event loop; None before it starts.
        timers: What the node's clock asks for.
    """

    def __init__(
        self,
        broker: Broker,
        registry: Registry,
        ring: Sequence[Middleware],
        delivery: Delivery,
    ) -> None:
        self._broker = broker
        self._registry = registry
        self._ring = ring
        self._delivery = delivery
        self._offered: dict[int, ServiceEntry] = {}
        self._unborn: dict[int, list[Awaitable[None]]] = {}
        self._begun: set[int] = set()
        self._providers: NodeProviders | None = None
        self.all: list[Service] = []
        self.loop: asyncio.AbstractEventLoop | None = None
        self.timers = Timers(broker, registry)
        self._expected: list[Service] = []

    def expect(self, service: Service) -> None:
        """Take in a service that is still being made, unless somebody else does so meanwhile.

        That is when the node starts; at one that has, it is at the next turn of the loop.
        """
        self._expected.append(service)
        if self._broker.started:
            asyncio.get_running_loop().call_soon(self._take_in_expected, self._broker.create_service)

    def _take_in_expected(self, take_in: Callable[[Service], object]) -> None:
        expected, self._expected = self._expected, []
        for service in expected:
            if service not in self.all:
                take_in(service)

    def create(self, given: Service | type[Any]) -> Service:
        """Take in a service, and run its `created`.

        Raises:
            ServiceSchemaError: It is written wrong, or one of its name is here already.
        """
        given = as_service(given)
        if isinstance(given, type) and issubclass(given, Service):
            service = given()
        elif isinstance(given, Service):
            service = given
        else:
            raise ServiceSchemaError(
                "a service is a subclass of Service or an instance of one, or a class with a name and marked methods, "
                f"not {given!r}"
            )
        service.attach(self._broker)
        if any(known.full_name == service.full_name for known in self.all):
            raise ServiceSchemaError(f"a service named '{service.full_name}' is on this node already")
        definitions: list[ActionDef | EventDef] = [*service.action_defs(), *service.event_defs()]
        for definition in definitions:
            # A fault in the marks is to be told here, where it was written.
            self._registry.strategies.own(definition.extra, service.settings)
        self._bind_providers(service)
        waiting: list[Awaitable[None]] = []
        for hook in service.life_cycle("created"):
            told = hook()
            if told is not None:
                waiting.append(told)
        self._unborn[id(service)] = waiting
        self.all.append(service)
        return service

    def _bind_providers(self, service: Service) -> None:
        if self._providers is None:
            if next(providers_in(service), None) is None:
                return
            # Who has no dependencies pays for none.
            from tautomer.providers.node_providers import NodeProviders

            self._providers = NodeProviders(self._broker)
        self._providers.bind(service)

    async def _prepare_providers(self, services: Sequence[Service]) -> None:
        if self._providers is not None:
            await self._providers.prepare(services)

    async def finish_creation(self, service: Service) -> None:
        """Await what `created` left to await, and tell the middlewares. Twice is harmless."""
        waiting = self._unborn.pop(id(service), None)
        if waiting is None:
            return
        await notify(self._ring, "service_creating", service)
        for told in waiting:
            await told
        await notify(self._ring, "service_created", service)

    async def start(self, service: Service) -> None:
        """Set up its providers, wait for its dependencies, run `started`, and offer it."""
        await self.finish_creation(service)
        await self._prepare_providers([service])
        entry, actions, events = await self._compose(service)
        await notify(self._ring, "service_starting", service)
        dependencies = dependency_list(service.dependencies)
        if dependencies:
            wire = service.settings.get("$dependencyTimeout")
            timeout = wire / 1000 if wire else self._broker.settings.dependency_timeout
            await self._broker.wait_for_services(dependencies, timeout)
        self._begun.add(id(service))
        for hook in service.life_cycle("started"):
            told = hook()
            if told is not None:
                await told
        self._registry.register_local(entry, actions, events)
        self._offered[id(service)] = entry
        if (balanced := self._balanced()) is not None:
            # Before anybody can hear of the service: who calls at once must find it (protocol section 2.3).
            await balanced.renew()
        self._broker.services_changed()
        self.timers.add(actions)
        await notify(self._ring, "service_started", service)
        log.info("service started", extra={"service": service.full_name})

    async def start_all(self) -> None:
        """Start every service, side by side.

        Raises:
            Exception: What the first to fail raised; the others were cancelled for it.
            MoleculerServerError: One was cancelled from within, type ``START_CANCELLED``.
        """
        self.loop = asyncio.get_running_loop()
        self._take_in_expected(self.create)
        self._mind_doors()
        begun: list[Service] = []
        # Once more, as a service may bring in others while it starts.
        while fresh := [service for service in self.all if service not in begun]:
            begun += fresh
            await self._prepare_providers(fresh)
            try:
                async with asyncio.TaskGroup() as together:
                    starts = [
                        together.create_task(self.start(service), name=f"start {service.full_name}")
                        for service in fresh
                    ]
            except BaseExceptionGroup as failed:
                raise failed.exceptions[0] from None
            # A group takes this for nothing.
            if cancelled := [start.get_name() for start in starts if start.cancelled()]:
                raise MoleculerServerError(f"cancelled from within: {', '.join(cancelled)}", 500, "START_CANCELLED")

    def _mind_doors(self) -> None:
        """Say so in one line, where methods wait for requests that no gateway will bring (architecture §13)."""
        if any(service.metadata.get("$category") == "gateway" for service in self.all):
            return
        waiting = [
            (service.action_name(one.name), one.binder.door)
            for service in self.all
            for one in service.action_defs()
            if one.binder is not None and one.binder.door
        ]
        if waiting:
            log.warning(
                "methods with %s and no gateway: register an ApiGatewayService, or use tautomer.run",
                " and ".join(sorted({door for _, door in waiting})),
                extra={"methods": ", ".join([name for name, _ in waiting][:10])},
            )

    async def tell_stopping(self) -> None:
        """Tell all that the node begins to stop: doors close."""
        for service in reversed(self.all):
            if id(service) in self._begun:
                await self._bounded(service, "stopping")

    async def stop(self, service: Service, but: Sequence[asyncio.Task[Any] | None] = ()) -> None:
        """Withdraw it, run `stopped` if `started` was begun, and stop its providers.

        A failure or a hang is logged; it never holds up the others.

        Args:
            but: Tasks of calls whose end is not waited for.
        """
        if id(service) in self._begun:
            self._begun.discard(id(service))
            await self._withdraw(service)
        if self._providers is not None:
            await self._providers.stop(service, but)

    async def _withdraw(self, service: Service) -> None:
        entry = self._offered.pop(id(service), None)
        limit = self._limit(service)
        await notify(self._ring, "service_stopping", service, backwards=True, timeout=limit)
        if entry is not None:
            self.timers.rest(entry)
            if (balanced := self._balanced()) is not None:
                await balanced.renew(without=entry)
            self._registry.unregister_local(entry)
            self._broker.services_changed()
            await self.timers.finish(limit, (asyncio.current_task(),), entry)
        await self._bounded(service, "stopped")
        await notify(self._ring, "service_stopped", service, backwards=True, timeout=limit)
        log.info("service stopped", extra={"service": service.full_name})

    def forget(self, service: Service) -> None:
        """It is no longer one of this node's. Twice is harmless: two may have stopped it at once."""
        if service in self.all:
            self.all.remove(service)
        if self._providers is not None:
            self._providers.forget(service)
        for unborn in self._unborn.pop(id(service), ()):
            if isinstance(unborn, Coroutine):
                unborn.close()

    def _limit(self, service: Service) -> float:
        """Seconds that each of its hooks may take at stop."""
        wire = service.settings.get("$shutdownTimeout")
        return float(wire / 1000 if wire else self._broker.settings.shutdown_timeout)

    async def _bounded(self, service: Service, kind: str) -> None:
        limit = self._limit(service)
        if not await in_time(self._run_hooks(service, kind), limit, f"{service.full_name}.{kind}"):
            error = GracefulStopTimeoutError({"name": service.full_name})
            log.error(error.message, extra={"hook": kind, "seconds": limit})

    async def _run_hooks(self, service: Service, kind: str) -> None:
        try:
            for hook in service.life_cycle(kind):
                told = hook()
                if told is not None:
                    await told
        except (Exception, SystemExit):
            log.exception("service failed to stop", extra={"service": service.full_name, "hook": kind})

    def _balanced(self) -> BalancedTopics | None:
        transit = self._broker.transit
        return None if transit is None else transit.balanced

    # --- from marks to endpoints ---

    async def _compose(self, service: Service) -> tuple[ServiceEntry, list[Endpoint], list[EventEndpoint]]:
        entry = ServiceEntry(
            self._registry.local_node.id,
            True,
            service.name,
            service.version,
            service.full_name,
            service.public_settings(),
            plain(service.metadata),
        )
        own = SimpleNamespace()
        actions = []
        for definition in service.action_defs():
            endpoint = await self._action(service, entry, definition)
            setattr(own, definition.name, _direct(self._broker, endpoint))
            # A private action has no name in the mesh: it is reached through `service.actions` only.
            if definition.visibility != "private":
                entry.actions[endpoint.name] = endpoint.entry
                actions.append(endpoint)
        service.actions = own
        events = [await self._event(service, entry, definition) for definition in service.event_defs()]
        return entry, actions, events

    async def _action(self, service: Service, entry: ServiceEntry, definition: ActionDef) -> Endpoint:
        full_name = service.action_name(definition.name)
        wire = self._with_strategy(definition.wire(full_name, self._announced(definition.params)), service, definition)
        method = self._attended(service, definition.bound, definition.where)
        handler = self._broker.pools.bind(method, definition.where, full_name)
        endpoint = Endpoint(full_name, entry.node_id, True, entry, wire, handler, definition)
        endpoint.strategy = self._registry.strategies.own(definition.extra, service.settings)
        endpoint.handler = await compose(self._ring, "local_action", handler, endpoint)
        return endpoint

    async def _event(self, service: Service, entry: ServiceEntry, definition: EventDef) -> EventEndpoint:
        wire = self._with_strategy(definition.wire(self._announced(definition.params)), service, definition)
        entry.events[subscription_key(entry.events, definition.name, definition.group)] = wire
        group = definition.group or service.name
        endpoint = EventEndpoint(
            definition.name, entry.node_id, True, entry, wire, _never, group, params=definition.params
        )
        endpoint.strategy = self._registry.strategies.own(definition.extra, service.settings)
        endpoint.throttle, endpoint.debounce = definition.throttle or 0.0, definition.debounce or 0.0
        endpoint.run = partial(self._delivery.run, endpoint)

        def failed(ctx: Context[Any], error: BaseException) -> None:
            self._delivery.report(endpoint, ctx, error)

        bind, name = self._broker.pools.bind, definition.name
        listeners = [
            (self._attended(service, method, where), where)
            for method, where in zip(definition.methods, definition.where, strict=True)
        ]
        bound = (bind(*one, name, patient=True) for one in listeners)
        handler: Handler = each_in_turn(tuple(bound), failed)
        endpoint.handler = await compose(self._ring, "local_event", handler, endpoint)
        only = listeners[0][0]
        is_plain = definition.where == ("loop",) and not asyncio.iscoroutinefunction(only)
        if endpoint.handler is handler and is_plain:
            endpoint.plain = _plain(only)
        return endpoint

    def _attended(self, service: Service, method: Method, where: Where) -> Method:
        """The method with what the service's providers do around it."""
        return method if self._providers is None else self._providers.attended(service, method, where)

    def _announced(self, schema: object) -> Any:
        """What INFO tells of a schema, or None where there is none."""
        if schema is None:
            return None
        if not isinstance(self._broker.settings.validator, bool | str | Mapping):
            # The schema of somebody else's validator: of that, what JSON can say.
            return plain(schema) if isinstance(schema, Mapping | list | tuple) else None
        from tautomer.validation import wire_schema

        return wire_schema(schema)

    def _with_strategy(
        self, wire: dict[str, Any], service: Service, definition: ActionDef | EventDef
    ) -> dict[str, Any]:
        """The entry with its strategy as Node spells it."""
        wire.pop("strategy_options", None)
        wire.update(self._registry.strategies.wire(definition.extra, service.settings))
        return wire


def _plain(method: Callable[..., Any]) -> Callable[[Any], Any]:
    return method if takes_context(method) else lambda _ctx: method()


def _direct(broker: Broker, endpoint: Endpoint) -> Callable[..., Coroutine[Any, Any, Any]]:
    """``service.actions.name(params)``: with the middlewares, past registry and balancer (protocol section 6.2)."""

    def call(params: Any = None, *, meta: Mapping[str, Any] | None = None) -> Coroutine[Any, Any, Any]:
        ctx: Context[Any] = Context(broker, {} if params is None else params, endpoint)
        if meta:
            ctx.meta = dict(meta)
        return endpoint.handler(ctx)

    vars(call)["endpoint"] = endpoint  # For tests, which watch it.
    return call


def _never(_ctx: Any) -> Any:
    raise AssertionError("a listener was told before its handler was composed")
