"""Broker: builds the parts; call, emit, broadcast, ping; start and stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from tautomer import logs
from tautomer._tasks import Deadlines, TaskScope
from tautomer.balancing import Strategies
from tautomer.cachers import resolve as resolve_cacher
from tautomer.calling import Calling, remote_chain
from tautomer.context import CallDef, CallOptions, Context
from tautomer.definitions import plain
from tautomer.errors import (
    BrokerOptionsError,
    MoleculerServerError,
    NodeIdTakenError,
    ServiceNotFoundError,
    TransporterError,
)
from tautomer.host import Host, implementation
from tautomer.joining import Joining
from tautomer.local_services import LocalServices
from tautomer.middleware import Middleware, notify, overridden
from tautomer.middlewares import built_in, resolve
from tautomer.node_service import NodeService
from tautomer.pinging import Pinging
from tautomer.pools import Pools
from tautomer.ports import Handler, Transporter
from tautomer.protocol.topics import is_topic_part
from tautomer.publishing import Publishing
from tautomer.registry.endpoints import Endpoint
from tautomer.registry.nodes import Node
from tautomer.registry.registry import Bounds, Registry
from tautomer.serializers import resolve as resolve_serializer
from tautomer.service import Service
from tautomer.settings import Settings
from tautomer.stalls import StallWatch
from tautomer.transporters import can_balance
from tautomer.transporters import resolve as resolve_transporter
from tautomer.waiting import Waiting

if TYPE_CHECKING:
    from pathlib import Path

    from tautomer.client.mesh import MeshClient
    from tautomer.transit.transit import Transit

__all__ = ["Broker", "ServiceBroker"]

log = logging.getLogger("tautomer.broker")


class Broker:
    """One node of the mesh.

    ```python
    async with Broker("node-1", settings=Settings(transporter="nats://localhost:4222")) as broker:
        print(await broker.call("users.get", {"id": 5}, timeout=2.0))
    ```

    Args:
        id: Name of the node, unique in the mesh; ``<host>-<pid>`` if not given. It becomes a part of
            topics: no blanks, ``*`` or ``>``.
        settings: See `Settings`.
        middlewares: Instead of those in the settings.
        host: Clock, chance and names; for simulations.

    Raises:
        BrokerOptionsError: Something is set up wrong.

    Attributes:
        id: Name of the node. `node_id` is the same.
        registry: Who offers what in the mesh.
        cacher: What is kept of results, a `Cache`; None without `Settings.cacher`.
        started: True from the end of `start` until `stop` begins.
        ending: Set when the process is to end: by a signal, or to give way.
        gave_way: Whether it stopped for a namesake to have its id alone (``registry.on_conflict``).
    """

    def __init__(
        self,
        id: str | None = None,
        settings: Settings | None = None,
        middlewares: Sequence[Middleware | type[Middleware] | str | Mapping[str, Any]] | None = None,
        host: Host | None = None,
    ) -> None:
        self.settings = settings = settings or Settings()
        self.host = host = host or Host()
        self.id = self.node_id = host.node_id() if id is None else id
        for what, name in (("node id", self.id), ("namespace", settings.namespace or "-")):
            if not is_topic_part(name):
                raise BrokerOptionsError(
                    f"{name!r} cannot be a {what}: 1 to 255 characters without blanks, '*' and '>'"
                )
        if settings.log_level is not None:
            logs.configure_or_refuse(settings.log_level, settings.log_format)
        self.logger = logging.getLogger(f"tautomer.node.{self.id}")
        self.clock = host.clock
        self.new_id = host.new_id
        self.started = self.gave_way = False
        self.ending = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._stoppers: list[asyncio.Task[Any] | None] = []
        self._starting: asyncio.Timeout | None = None
        self._start_over = asyncio.Event()
        self._start_over.set()
        self._ended = False
        self._scope = TaskScope("broker")
        self.deadlines = Deadlines(host.clock)
        self._stalls = StallWatch(host, settings.stall_warning)
        self.pools = Pools(self.id, host, settings)
        self.middlewares = resolve(middlewares if middlewares else settings.middlewares)
        self.cacher = resolve_cacher(settings.cacher, settings.namespace, host)
        self._ring = (*built_in(settings, self.cacher), Joining(settings.commands), *self.middlewares)
        node = Node(
            self.id,
            local=True,
            instance_id=host.new_id(),
            seq=1,
            ip_list=host.ip_list,
            hostname=host.hostname,
            client=implementation(),
            metadata=plain(settings.metadata),
        )
        reg = settings.registry
        transporter = resolve_transporter(settings.transporter, host)
        self.registry = Registry(
            node,
            Strategies(host.random, reg.strategy, reg.strategy_options, _shard_text),
            reg.prefer_local,
            self._remote_handler,
            Bounds(reg.services_max, reg.actions_max, reg.mesh_actions_max),
            balanced=settings.disable_balancer and can_balance(transporter),
        )
        self._actions = self.registry.actions
        self._calling = Calling(self, self.registry, self.middlewares, self._ring, settings)
        self._waiting = Waiting(self.registry)
        self._publishing = Publishing(self, self.registry.events, self._ring, self._waiting.wake)
        # The parts' own functions: what is called for each call and event has no layer of ours above it.
        self.call_nested = self._calling.nested
        # Whether every call must go through those: then nobody may take an endpoint and run it himself.
        self.calls_wrapped = self._calling.wrapped
        self.publish = self._publishing.publish
        self._local = LocalServices(self, self.registry, self._ring, self._publishing.delivery)
        self.transit = self._publishing.transit = self._make_transit(transporter)
        self._pinging = (
            None
            if self.transit is None
            else Pinging(host, self.registry, self.registry.strategies.latencies, self.transit.ping)
        )
        if settings.internal_services:
            self._local.create(NodeService())
        for middleware in self._ring:
            if told := overridden(middleware, "broker_created"):
                told(self)

    def __repr__(self) -> str:
        return f"<Broker {self.id}>"

    # --- calls ---

    def call(self, action: str, params: Any = None, **options: Unpack[CallOptions]) -> Coroutine[Any, Any, Any]:
        """Ask for an action, wherever it is.

        Args:
            action: Full name, such as ``"users.get"`` or ``"v2.users.get"``.
            params: What the action gets; ``{}`` if not given.
            options: See `CallOptions`.

        Raises:
            ServiceNotFoundError: Nobody offers the action.
            ServiceNotAvailableError: Nobody who offers it can be asked now.
            ValidationError: The params do not fit the action's schema.
            RequestTimeoutError: No answer in time; the action may have run.
            RequestRejectedError: The node was lost with the call in flight.
            QueueIsFullError: Too much is waiting already.
            MoleculerError: What the action itself raised, at another node; at this one it is the very exception.
        """
        if not options and not self.calls_wrapped:
            endpoints = self._actions.get(action)
            if endpoints is not None and (endpoint := endpoints.only) is not None:
                handler = endpoint.handler
                return handler(Context(self, {} if params is None else params, endpoint))
        return self._calling.verb(action, params, options)  # type: ignore[no-any-return]  # A verb is a coroutine function.

    def mcall(
        self,
        calls: Sequence[CallDef] | Mapping[str, CallDef],
        *,
        settled: bool = False,
        **options: Unpack[CallOptions],
    ) -> Coroutine[Any, Any, Any]:
        """Several calls at once.

        Args:
            calls: A list of ``{"action", "params", "options"}``, or a dict of them.
            settled: Wait for all. A list then gives ``{"status": "fulfilled", "value"}`` or
                ``{"status": "rejected", "reason"}`` for each; a dict gives those that succeeded.
            options: For all; those of a single call win.

        Returns:
            The results in the shape of `calls`.

        Raises:
            MoleculerServerError: `calls` is neither, type ``INVALID_PARAMETERS``.
            Exception: The first failure, unless `settled`.
        """
        return self._calling.many(calls, settled, options)

    def context(
        self,
        *,
        params: Any = None,
        meta: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
    ) -> Context[Any]:
        """A context that begins a chain of calls: for gateways, jobs and tests."""
        ctx: Context[Any] = Context(self, {} if params is None else params)
        if meta:
            ctx.meta = dict(meta)
        ctx._request_id = request_id
        if timeout:
            ctx.deadline = self.clock() + timeout
        return ctx

    def remote(self, service: str, **options: Unpack[CallOptions]) -> MeshClient:
        """A client as `RemoteClient`: ``await broker.remote("hello.world").methods.say_hello("x")``; in a thread it blocks.

        Args:
            service: Full name; whether anybody offers it shows when it is called. See `MeshClient.get_service_by_name`, too.
            options: Of each call, such as `timeout`; with ``parent=ctx`` the calls are a part of that one.
        """
        from tautomer.client.mesh import MeshClient

        return MeshClient(self, service, self._scope, self._local.loop, options)

    # --- events ---

    def emit(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell one member of each group that listens (of `groups`, if they are named).

        Acts at once, awaited or not; awaiting it waits for this node's own listeners. A listener's
        failure is logged at its node and not raised here.

        Raises:
            BrokerDisconnectedError, SerializationError, PayloadTooLargeError: It could not be sent.
        """
        publish = self.publish  # Read first, called then: see `Transit._encode_and_send`.
        return publish("emit", event, data, groups, meta, headers, None)

    def broadcast(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell every listener on every node. See `emit`."""
        return self.publish("broadcast", event, data, groups, meta, headers, None)

    def broadcast_local(
        self,
        event: str,
        data: Any = None,
        groups: str | Sequence[str] | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
    ) -> Awaitable[None]:
        """Tell every listener on this node. See `emit`."""
        return self.publish("broadcastLocal", event, data, groups, meta, headers, None)

    async def ping(self, node_id: str | Sequence[str] | None = None, timeout: float = 2.0) -> Any:
        """Measure the way to one node, some, or all others.

        Returns:
            For one: ``{"nodeID", "elapsedTime", "timeDiff"}`` in ms, or None if it is silent. For more: a
            dict of these by node id. Without a transporter: None for one, ``{}`` otherwise.
        """
        if self._pinging is None:
            return None if isinstance(node_id, str) else {}
        return await self._pinging.ask(node_id, timeout)

    # --- services ---

    @property
    def services(self) -> list[Service]:
        """The services of this node, the internal one among them."""
        return list(self._local.all)

    def create_service(self, service: Service | type[Any]) -> Service:
        """Take in a service. It starts with the broker; at a started broker, at once and in the background.

        Raises:
            ServiceSchemaError: It is written wrong.
        """
        made = self._local.create(service)
        if self.started:
            self._scope.spawn(self._local.start(made), f"start {made.full_name}")
        return made

    async def register(self, service: Service | type[Any]) -> Service:
        """Take in a service; at a started broker this returns when it is offered.

        Raises:
            ServiceSchemaError: It is written wrong.
        """
        made = self._local.create(service)
        try:
            await self._local.finish_creation(made)
            if self.started:
                await self._local.start(made)
        except BaseException:
            await self._local.stop(made)
            self._local.forget(made)
            raise
        return made

    def expect(self, service: Service) -> None:
        """Take in a service that is still being made, with the start at the latest; see `ApiGatewayService`."""
        self._local.expect(service)

    async def destroy_service(self, service: Service | str) -> None:
        """Stop a service of this node and withdraw it.

        Raises:
            ServiceNotFoundError: There is none of that name here.
        """
        found = self.get_local_service(service) if isinstance(service, str) else service
        if found is None or found not in self._local.all:
            raise ServiceNotFoundError(service if isinstance(service, str) else service.full_name, self.id)
        await self._local.stop(found, (asyncio.current_task(),))
        self._local.forget(found)

    def get_local_service(self, full_name: str) -> Service | None:
        """The service of this node with that full name, or None."""
        return next((service for service in self._local.all if service.full_name == full_name), None)

    def load_service(self, path: str | Path) -> list[Service]:
        """Take in the services of one Python file."""
        from tautomer.loader import load_file

        return [self.create_service(service) for service in load_file(path)]

    def load_services(self, folder: str | Path = "./services", mask: str = "**/*.py") -> list[Service]:
        """Take in the services of all Python files in a folder."""
        from tautomer.loader import load_folder

        return [self.create_service(service) for service in load_folder(folder, mask)]

    async def wait_for_services(
        self, names: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]], timeout: float | None = None
    ) -> dict[str, Any]:
        """Wait until services of these names are known, here or elsewhere.

        Args:
            names: Full names, or ``{"name", "version"}``; a list of versions means any of them.
            timeout: Seconds, 0 for no end; `dependency_timeout` of the settings if not given.

        Returns:
            ``{"services": names, "statuses": [{"name", "available"}]}``, each version by itself.

        Raises:
            MoleculerServerError: Not all came in time, type ``WAITFOR_SERVICES``; its data is of that shape.
        """
        return await self._waiting.until(names, self.settings.dependency_timeout if timeout is None else timeout)

    def services_changed(self) -> None:
        """This node's services changed: its listeners are told now, the other nodes in a moment."""
        self.broadcast_local("$services.changed", {"localService": True})
        if self.transit is not None and self.started:
            self.transit.presence.services_changed()

    # --- life ---

    @property
    def connected(self) -> bool:
        """Whether the line to the mesh stands; True for a node that has none."""
        return self.transit is None or self.transit.connected

    async def start(self) -> None:
        """Join the mesh and start the services.

        A message broker that is away does not hold the node up for longer than
        ``transit.connect_wait``: it goes on alone and joins when the line comes up.

        Raises:
            BrokerOptionsError: It was started before.
            NodeIdTakenError: Another node of the mesh has this id.
            TransporterError: The line cannot be had, and trying again would not help.
            MoleculerServerError: It was stopped meanwhile, type ``BROKER_STOPPED``.
            Exception: What a service's `started` raised; what had started is stopped again.
        """
        if self.started or self._starting or self._ended:
            raise BrokerOptionsError("a broker is started once: it runs already, or was stopped; make another")
        self.pools.check_program()
        self._start_over.clear()
        self._starting = limit = asyncio.timeout(None)  # Nothing but `stop` ends it early.
        try:
            async with limit:
                self._stalls.start()
                await notify(self._ring, "broker_starting", self)
                await self._connect()
                await self._local.start_all()
                self.started = True
                if self.transit is not None and self.transit.connected:
                    self.transit.presence.announce_now()
                if self._pinging is not None:
                    self._pinging.start()
                await notify(self._ring, "broker_started", self)
        except BaseException as error:
            self.started, self._starting, self._ended = False, None, True
            await self._tear_down(self._local.all)
            await self._tell_stop("broker_stopped")
            if limit.expired() and isinstance(error, TimeoutError):
                raise MoleculerServerError("the broker was stopped while it started", 500, "BROKER_STOPPED") from None
            raise
        finally:
            self._starting = None
            self._start_over.set()
        self._local.timers.begin()
        self.broadcast_local("$broker.started", {})
        log.info("node started", extra={"node": self.id, "namespace": self.settings.namespace or "(none)"})

    async def _connect(self) -> None:
        if self.transit is None:
            return
        joining = self._scope.spawn(self._join(self.transit), "join")
        await asyncio.wait((joining,), timeout=self.settings.transit.connect_wait)
        if joining.done():
            if (failed := joining.result()) is not None:
                raise failed
        else:
            log.warning(
                "starting without the mesh: the message broker does not answer yet; joining when it does",
                extra={"node": self.id},
            )

    async def _join(self, transit: Transit) -> TransporterError | NodeIdTakenError | None:
        """Join the mesh. Returns why that can never be; it is logged where nobody waits for the answer any more."""
        try:
            await transit.connect()
        except (TransporterError, NodeIdTakenError) as error:
            if self.started:
                log.error("the mesh cannot be joined: %s", error)
            return error
        if self.started:
            transit.presence.announce_now()
        return None

    async def stop(self) -> None:
        """Leave the mesh: what runs is finished first, and no new request is lost (promise M6)."""
        # A handler may stop its own node: to wait for its end would be to wait for ever.
        self._stoppers.append(asyncio.current_task())
        await asyncio.shield(self._stop_begun())

    def give_way(self) -> None:
        """A namesake has this node's id and is to have it alone: stop, and end the process."""
        self.gave_way = True
        self._stop_begun()
        self.ending.set()

    def _stop_begun(self) -> asyncio.Task[None]:
        if self._stopping is None:
            self._stopping = TaskScope("broker").spawn(self._stop(), "stop")
        return self._stopping

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.reschedule(asyncio.get_running_loop().time())
        await self._start_over.wait()
        if not self.started:
            if not self._ended:
                self._ended = True
                await self._tear_down([])
            return
        self.started, self._ended = False, True
        await self._tell_stop("broker_stopping")
        self._local.timers.rest()  # Before the others hear that it leaves, and take over.
        if self.transit is not None:
            self.transit.presence.leave()
            if self.transit.balanced is not None:
                await self.transit.balanced.leave()
        await self._local.tell_stopping()
        await self._tear_down(list(self._local.all))
        await self._tell_stop("broker_stopped")
        self.broadcast_local("$broker.stopped", {})
        log.info("node stopped", extra={"node": self.id})

    async def _tell_stop(self, hook: str) -> None:
        await notify(self._ring, hook, self, backwards=True, timeout=self.settings.shutdown_timeout)

    async def _tear_down(self, services: Sequence[Service]) -> None:
        limit, began = self.settings.shutdown_timeout, self.clock()
        if self.transit is not None:
            if services and self.transit.connected and self.registry.others_online():
                await self.transit.linger(self.settings.transit.stop_delay)
            began = self.clock()
            self.transit.refuse()
            await self.transit.serving.finish(limit, self._stoppers)
        await self._publishing.finish(began + limit - self.clock(), self._stoppers)
        await self._local.timers.finish(began + limit - self.clock(), self._stoppers)
        await self.pools.finish(began + limit - self.clock())
        for service in reversed(services):
            await self._local.stop(service, self._stoppers)
        await self._calling.hedging.close()
        if self._pinging is not None:
            await self._pinging.close()
        if self.transit is not None:
            try:
                await self.transit.close()
            except Exception:
                log.exception("the line was not closed in good order", extra={"node": self.id})
        self._stalls.stop()
        await self.pools.close()
        await self._publishing.close(0.1)
        await self._local.timers.close()
        await self._scope.close(0)

    async def wait_for_shutdown(self) -> None:
        """Return after SIGINT or SIGTERM and a clean stop. A second signal ends the process at once."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sign, self.ending.set)
        try:
            await self.ending.wait()
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(sign)
        await self.stop()

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()

    def statistics(self) -> dict[str, Any]:
        """Sizes of tables and counters, for probes and tests."""
        return {
            **self._calling.statistics(),
            "cacher": None if self.cacher is None else self.cacher.statistics(),
            "events": self._publishing.delivery.statistics(),
            "pools": self.pools.statistics(),
            "timers": self._local.timers.statistics(),
            "stalls": {"count": self._stalls.count, "longest": self._stalls.longest},
            "transit": None if self.transit is None else self.transit.statistics(),
        }

    # --- building ---

    def _make_transit(self, transporter: Transporter | None) -> Transit | None:
        serializer = resolve_serializer(self.settings.serializer)
        if transporter is None:
            return None
        # An eighth of the package, which a node that is alone does not need.
        from tautomer.failover import Failover
        from tautomer.protocol.codec import Codec
        from tautomer.transit.transit import Transit

        codec, hear = Codec(serializer), self._publishing.hear
        transit = Transit(self, self.host, self.settings, self.registry, transporter, codec, self.middlewares, hear)
        transit.requesting.again = Failover(self.registry, transit).again
        return transit

    def _remote_handler(self, endpoint: Endpoint) -> Handler:
        transit = self.transit
        if transit is None:
            raise AssertionError("a node without transit knows no other")
        return remote_chain(self._ring, transit, endpoint)


def _shard_text(key: object) -> str:
    """A shard key that is no text, as Node reads it."""
    from tautomer.validation.javascript import to_text

    return to_text(key)


ServiceBroker = Broker
"""Moleculer's name for the same."""
