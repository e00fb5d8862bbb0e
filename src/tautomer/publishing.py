"""Publishing: who hears an event, here and elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tautomer._tasks import TaskScope
from tautomer.context import Context
from tautomer.delivery import DONE, Delivery, Told
from tautomer.middleware import Middleware, compose_verb, overridden
from tautomer.protocol.packets import Event, call_level
from tautomer.registry.endpoints import EventEndpoint
from tautomer.registry.events import EventTable

if TYPE_CHECKING:
    from tautomer.transit.transit import Transit

HOOKS = {"emit": "emit", "broadcast": "broadcast", "broadcastLocal": "broadcast_local"}


class Publishing:
    """`emit`, `broadcast` and `broadcast_local`, and the events that come from other nodes.

    Attributes:
        delivery: Runs this node's listeners.
        transit: The way to other nodes, or None; set by the broker.
    """

    def __init__(
        self,
        broker: Any,
        table: EventTable,
        middlewares: Sequence[Middleware],
        services_changed: Callable[[], None],
    ) -> None:
        self._broker = broker
        self._table = table
        self._audiences = table.audiences
        self._services_changed = services_changed
        self._scope = TaskScope("events")
        self.delivery = Delivery(self._scope)
        self.transit: Transit | None = None
        self._verbs = {
            kind: compose_verb(middlewares, hook, self._verb(kind))
            for kind, hook in HOOKS.items()
            if any(overridden(middleware, hook) for middleware in middlewares)
        }

    async def finish(self, grace: float, but: Sequence[asyncio.Task[Any] | None]) -> None:
        """Wait for the listeners that run, `but` these."""
        await self._scope.finish(grace, but)

    async def close(self, grace: float) -> None:
        """Let the listeners that run finish, then cancel them."""
        await self._scope.close(grace)

    def publish(
        self,
        kind: str,
        event: str,
        data: Any,
        groups: str | Sequence[str] | None,
        meta: Mapping[str, Any] | None,
        headers: Mapping[str, Any] | None,
        parent: Context[Any] | None,
    ) -> Awaitable[None]:
        """All three verbs in one; `kind` is ``emit``, ``broadcast`` or ``broadcastLocal``."""
        if self._verbs and (verb := self._verbs.get(kind)) is not None:
            return self._by_middlewares(
                verb, event, data, {"groups": groups, "meta": meta, "headers": headers, "parent": parent}
            )
        if groups is None and meta is None and parent is None and headers is None and kind == "emit":
            # One plain listener on this node: nothing to choose, nothing to wait for.
            plain = self._audiences[event].plain
            if plain is not None:
                ctx: Context[Any] = Context(self._broker, {} if data is None else data, plain, event, kind)
                self.delivery.tell_plain(plain, ctx)
                return DONE
        return self._publish(kind, event, data, groups, meta, headers, parent)

    def hear(self, packet: Event, broadcast: bool) -> None:
        """An event of another node: told to this node's listeners."""
        groups = packet.groups if isinstance(packet.groups, list) else None
        table = self._table
        heard = table.local(packet.event, groups) if broadcast else table.local_balanced(packet.event, groups)
        for endpoint in heard:
            ctx: Context[Any] = Context(
                self._broker,
                packet.data,
                endpoint,
                packet.event,
                "broadcast" if broadcast else "emit",
                None,
                call_level(packet.level),
                dict(packet.meta) if packet.meta else None,
                None,
                packet.tracing,
                False,
                packet.id,
                packet.request_id or packet.id,
                packet.sender,
                packet.parent_id,
                packet.caller,
            )
            if groups is not None:
                ctx.event_groups = groups
            if packet.headers and isinstance(packet.headers, dict):
                ctx._headers = packet.headers
            self.delivery.tell(endpoint, ctx)

    def _by_middlewares(
        self, verb: Callable[..., Any], event: str, data: Any, options: dict[str, Any]
    ) -> Awaitable[None]:
        """A verb with hooks around it. One that is `async def` acts without being awaited, too: it runs as a task."""
        if event == "$services.changed":
            self._services_changed()  # Whatever they make of it.
        told = verb(event, data, options)
        if not asyncio.iscoroutine(told):
            return DONE if told is None else told
        if self._scope.closed:
            told.close()
            return DONE
        return self._scope.spawn(told, event)

    def _verb(self, kind: str) -> Callable[..., Awaitable[None]]:
        def publish(event: str, data: Any, options: Mapping[str, Any]) -> Awaitable[None]:
            wanted = [options.get(name) for name in ("groups", "meta", "headers", "parent")]
            return self._publish(kind, event, data, *wanted)

        return publish

    def _publish(
        self, kind: str, event: str, data: Any, groups: Any, meta: Any, headers: Any, parent: Context[Any] | None
    ) -> Awaitable[None]:
        if event == "$services.changed":
            self._services_changed()
        named = [groups] if isinstance(groups, str) else groups

        def context(endpoint: EventEndpoint | None) -> Context[Any]:
            # An event is not a nested call: neither its depth nor the time of its cause can refuse it.
            ctx: Context[Any] = Context(self._broker, {} if data is None else data, endpoint, event, kind, parent)
            if named is not None:
                ctx.event_groups = named
            if parent is not None:
                ctx.level, ctx.tracing, ctx._meta = parent.level + 1, parent.tracing, parent.copy_meta()
            if meta:
                ctx.meta.update(meta)
            if headers:
                ctx._headers = dict(headers)
            return ctx

        if self._table.balanced_by_broker and kind != "broadcastLocal" and self.transit is not None:
            named = named or self._table.groups(event)
            if kind == "emit":
                for group in named:
                    self.transit.send_balanced_event(context(None), event, group, self._table.nodes(event, group))
                return Told([], self.transit.drain)
        chosen, remote = self._choose(kind, event, named, context)
        told = (self.delivery.tell(endpoint, context(endpoint)) for endpoint in chosen)
        tasks: list[asyncio.Task[Any]] = [task for task in told if task is not None]
        if not remote or self.transit is None:
            return Told(tasks) if tasks else DONE
        for node_id, its_groups in remote.items():
            self.transit.send_event(context(None), node_id, event, its_groups, kind == "broadcast")
        return Told(tasks, self.transit.drain)

    def _choose(
        self, kind: str, event: str, groups: Sequence[str] | None, context: Callable[[None], Context[Any]]
    ) -> tuple[list[EventEndpoint], dict[str, Sequence[str] | None]]:
        """This node's listeners to tell, and the other nodes with the groups to name to each."""
        if kind != "emit":
            heard = self._table.everyone(event, groups)
            local = [endpoint for endpoint in heard if endpoint.local]
            if kind == "broadcastLocal":
                return local, {}
            return local, {endpoint.node_id: groups for endpoint in heard if not endpoint.local}
        local = []
        chosen: dict[str, list[str]] = {}
        for endpoint, group in self._table.balanced(event, groups, context(None)):
            if endpoint.local:
                local.append(endpoint)
            else:
                chosen.setdefault(endpoint.node_id, []).append(group)
        return local, dict(chosen)
