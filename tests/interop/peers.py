"""Nodes of the mesh under test: a Node.js one and a Python one, spoken with alike."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from tautomer.broker import Broker
from tautomer.errors import MoleculerError
from tautomer.service import Service
from tautomer.settings import Settings

from .npm import HERE, ROOT
from .probe import Calculator, Probe, listener
from .program import Program

MODULES: Final = {"0.14": "moleculer-014", "0.15": "moleculer"}
"""The npm package of each Moleculer line."""


class _Undefined:
    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED: Final = _Undefined()
"""What is `undefined` in JavaScript; null is None."""


Patterns: TypeAlias = Mapping[str, str | None]
"""Event patterns to their groups; None for the service's own."""

Listeners: TypeAlias = Mapping[str, Patterns]
"""Names of listening services to what they listen to."""


@dataclass(frozen=True)
class Answer:
    """How a call ended.

    Attributes:
        value: The result; UNDEFINED if Node saw `undefined`, or if it failed.
        error: ``{name, class, message, code, type, data, retryable, nodeID}``, or None.
        meta: The caller's meta afterwards, if it was asked for or Node told it.
    """

    value: Any = UNDEFINED
    error: dict[str, Any] | None = None
    meta: dict[str, Any] | None = None


class Peer(Protocol):
    """One node. Times in seconds, names as in Python, on both sides.

    Attributes:
        id: Node id, and the name of its probe service.
        line: ``"0.14"``, ``"0.15"`` or ``"python"``.
    """

    id: str
    line: str

    async def call(self, action: str, params: Any = UNDEFINED, **options: Any) -> Answer:
        """Call an action; options `timeout`, `meta`, `headers`, `node_id`, `request_id`. With `meta` it tells meta back."""

    async def tell(self, verb: str, event: str, data: Any = None, groups: Sequence[str] | None = None) -> None:
        """`emit`, `broadcast` or `broadcast_local` an event."""

    async def ping(self, node_id: str | Sequence[str] | None = None, timeout: float = 2.0) -> Any: ...

    async def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes it knows, by id: ``{id, available, instanceID, seq, client, ...}``."""

    async def services(self) -> list[dict[str, Any]]:
        """The services it knows, one entry a node: ``{name, version, fullName, nodeID, settings, metadata, ...}``."""

    async def endpoints(self, action: str) -> list[str]:
        """Ids of the nodes of which it would call this action, sorted."""

    async def listeners(self, event: str) -> list[str]:
        """Ids of the nodes that it knows to listen to this event, sorted."""

    async def wait_for(self, services: Sequence[str | Mapping[str, Any]], timeout: float) -> None:
        """Its own way of waiting for services of these names, or ``{"name", "version"}``."""

    async def listen(self, name: str, patterns: Patterns) -> None:
        """Start a service that keeps what it hears in `heard`."""

    def heard(self, event: str | None = None, listener: str | None = None) -> list[dict[str, Any]]:
        """What its listeners heard so far, in order; only of this event and this listener, if they are named."""

    async def offer(self, name: str, version: int | str | None = None) -> None:
        """Start a calculator service."""

    async def withdraw(self, full_name: str) -> None:
        """Stop a service."""

    async def leave(self) -> None:
        """Stop in good order."""

    async def close(self) -> None: ...


class NodePeer:
    """A node that is Moleculer for Node.js, in a process of its own."""

    def __init__(self, id: str, line: str, program: Program) -> None:
        self.id = id
        self.line = line
        self.program = program

    @classmethod
    async def start(
        cls,
        node: str,
        line: str,
        id: str,
        namespace: str,
        url: str,
        services: Sequence[Mapping[str, Any]] = (),
        listeners: Listeners | None = None,
        broker: Mapping[str, Any] | None = None,
    ) -> NodePeer:
        """Start it with a probe, these services, and listeners; it is in the mesh when this returns.

        Args:
            node: Path of Node.js.
            services: Each is ``{"kind", ...}``, the kind one of peer.js.
            listeners: See `listen`.
            broker: More options of `ServiceBroker`, under Moleculer's names; and ``transmit``, the middlewares of its
                `Middlewares.Transmit` as ``[name, *arguments]``, the last of which is the outermost.
        """
        told = [{"kind": "listener", "name": name, "patterns": its} for name, its in (listeners or {}).items()]
        wanted = {
            "moleculer": MODULES[line],
            "id": id,
            "namespace": namespace,
            "url": url,
            "services": [{"kind": "probe", "name": id}, *services, *told],
            "broker": broker or {},
        }
        program = await Program.start(id, [node, str(HERE / "node" / "peer.js"), json.dumps(wanted)])
        return cls(id, line, program)

    async def call(self, action: str, params: Any = UNDEFINED, **options: Any) -> Answer:
        wire = {"nodeID": "node_id", "requestID": "request_id", "meta": "meta", "headers": "headers"}
        wanted = {key: options[name] for key, name in wire.items() if name in options}
        if "timeout" in options:
            wanted["timeout"] = options["timeout"] * 1000
        sent = {} if params is UNDEFINED else {"params": params}
        reply = await self.program.ask("call", timeout=20, action=action, options=wanted, **sent)
        return Answer(reply.get("value", UNDEFINED), reply.get("error"), reply.get("meta"))

    async def tell(self, verb: str, event: str, data: Any = None, groups: Sequence[str] | None = None) -> None:
        options = {} if groups is None else {"groups": list(groups)}
        verb = "broadcastLocal" if verb == "broadcast_local" else verb
        await self._ask("emit", type=verb, event=event, data=data, options=options)

    async def ping(self, node_id: str | Sequence[str] | None = None, timeout: float = 2.0) -> Any:
        return await self._ask("ping", nodes=node_id, timeout_ms=timeout * 1000)

    async def nodes(self) -> dict[str, dict[str, Any]]:
        return {node["id"]: node for node in await self._ask("nodes")}

    async def services(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self._ask("services")
        return found

    async def endpoints(self, action: str) -> list[str]:
        return sorted(await self._ask("endpoints", action=action))

    async def listeners(self, event: str) -> list[str]:
        return sorted(set(await self._ask("listeners", event=event)))

    async def wait_for(self, services: Sequence[str | Mapping[str, Any]], timeout: float) -> None:
        await self._ask("wait_for", services=services, timeout_ms=timeout * 1000)

    async def listen(self, name: str, patterns: Patterns) -> None:
        await self._ask("create", kind="listener", name=name, patterns=dict(patterns))

    def heard(self, event: str | None = None, listener: str | None = None) -> list[dict[str, Any]]:
        return _only(self.program.heard, event, listener)

    async def offer(self, name: str, version: int | str | None = None) -> None:
        versioned = {} if version is None else {"version": version}
        await self._ask("create", kind="calculator", name=name, **versioned)

    async def withdraw(self, full_name: str) -> None:
        await self._ask("destroy", name=full_name)

    async def leave(self) -> None:
        await self._ask("stop")

    async def close(self) -> None:
        await self.program.close()

    async def _ask(self, op: str, **fields: Any) -> Any:
        reply = await self.program.ask(op, **fields)
        if "error" in reply:
            raise AssertionError(f"{self.id} failed to {op} {fields}: {reply['error']}")
        return reply.get("value", UNDEFINED)


class PythonPeer:
    """A node that is tautomer, in this process."""

    line = "python"

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.id = broker.id
        self._heard: list[dict[str, Any]] = []

    @classmethod
    async def start(
        cls,
        id: str,
        namespace: str,
        url: str,
        services: Sequence[Service] = (),
        listeners: Listeners | None = None,
        **settings: Any,
    ) -> PythonPeer:
        """Start it with a probe, these services, and listeners; it is in the mesh when this returns."""
        peer = cls(Broker(id, settings=Settings(namespace=namespace, transporter=url, **settings)))
        for service in (Probe(id), *services):
            await peer.broker.register(service)
        for name, patterns in (listeners or {}).items():
            await peer.listen(name, patterns)
        await peer.broker.start()
        return peer

    async def call(self, action: str, params: Any = UNDEFINED, **options: Any) -> Answer:
        sent = None if params is UNDEFINED else params
        if "meta" in options:
            ctx = self.broker.context(meta=options.pop("meta"))
            return await _answer(ctx.call(action, sent, **options), ctx.meta)
        return await _answer(self.broker.call(action, sent, **options))

    async def tell(self, verb: str, event: str, data: Any = None, groups: Sequence[str] | None = None) -> None:
        await getattr(self.broker, verb)(event, data, groups)

    async def ping(self, node_id: str | Sequence[str] | None = None, timeout: float = 2.0) -> Any:
        return await self.broker.ping(node_id, timeout=timeout)

    async def nodes(self) -> dict[str, dict[str, Any]]:
        return {node.id: node.describe() for node in self.broker.registry.nodes.values()}

    async def services(self) -> list[dict[str, Any]]:
        return [
            {
                "name": service.name,
                "version": service.version,
                "fullName": service.full_name,
                "nodeID": service.node_id,
                "settings": dict(service.settings),
                "metadata": dict(service.metadata),
                "actions": dict(service.actions),
                "events": dict(service.events),
            }
            for service in self.broker.registry.services
        ]

    async def endpoints(self, action: str) -> list[str]:
        found = self.broker.registry.actions.get(action)
        return [] if found is None else sorted(endpoint.node_id for endpoint in found.all)

    async def listeners(self, event: str) -> list[str]:
        return sorted({endpoint.node_id for endpoint in self.broker.registry.events.everyone(event, None)})

    async def wait_for(self, services: Sequence[str | Mapping[str, Any]], timeout: float) -> None:
        await self.broker.wait_for_services(services, timeout)

    async def listen(self, name: str, patterns: Patterns) -> None:
        await self.broker.register(listener(name, patterns, self._heard.append))

    def heard(self, event: str | None = None, listener: str | None = None) -> list[dict[str, Any]]:
        return _only(self._heard, event, listener)

    async def offer(self, name: str, version: int | str | None = None) -> None:
        await self.broker.register(Calculator(name, version=version))

    async def withdraw(self, full_name: str) -> None:
        await self.broker.destroy_service(full_name)

    async def leave(self) -> None:
        await self.broker.stop()

    async def close(self) -> None:
        if self.broker.started:
            await self.broker.stop()


async def start_python_program(id: str, namespace: str, url: str, **settings: Any) -> Program:
    """A Python node in a process of its own, for tests that kill it."""
    arguments = [id, namespace, url, json.dumps(settings)]
    return await Program.start(id, [sys.executable, "-m", "tests.interop.python_program", *arguments], cwd=ROOT)


def _only(heard: list[dict[str, Any]], event: str | None, listener: str | None) -> list[dict[str, Any]]:
    return [one for one in heard if event in (None, one["event"]) and listener in (None, one["listener"])]


async def _answer(call: Awaitable[Any], meta: dict[str, Any] | None = None) -> Answer:
    try:
        return Answer(await call, meta=meta)
    except MoleculerError as error:
        told = {
            "name": error.name,
            "class": type(error).__name__,
            "message": error.message,
            "code": error.code,
            "type": error.type,
            "data": error.data,
            "retryable": error.retryable,
            "nodeID": error.node_id,
        }
        return Answer(error=told, meta=meta)


async def until(condition: Callable[[], Coroutine[Any, Any, Any]], timeout: float = 5.0) -> float:
    """Wait until it holds, looking every 10 ms. Returns the seconds it took.

    Raises:
        AssertionError: It does not hold in time; with what it said last.
    """
    begin = time.monotonic()
    while not (said := await condition()):
        if time.monotonic() - begin > timeout:
            raise AssertionError(f"not so within {timeout:g} s: {condition}, last {said!r}")
        await asyncio.sleep(0.01)
    return time.monotonic() - begin
