"""Circuit breakers, one for each endpoint, at the caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tautomer._tasks import Sweep
from tautomer.context import Context
from tautomer.errors import MoleculerError, ServiceNotAvailableError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint
from tautomer.resilience.circuit import Circuit, CircuitBreaker, CircuitOptions, Outcome
from tautomer.settings import CircuitBreakerSettings, chosen

if TYPE_CHECKING:
    from tautomer.broker import Broker

log = logging.getLogger("tautomer.circuits")

LOOK: Final = 0.25
"""Seconds between two looks at circuits that are open: by so much may one be tried too late."""

_NAMES: Final = {Circuit.OPEN: "opened", Circuit.HALF_OPEN: "half-opened", Circuit.CLOSED: "closed"}


class CircuitBreakers(Middleware):
    """Takes an endpoint out of the choice while its circuit is open, and lets one call try whether it is well again.

    Attributes:
        circuits: Of all endpoints that have one, by action and node.
    """

    # It looks at errors only: a result from another node may pass undecoded.
    sees_results = False

    def __init__(self, settings: CircuitBreakerSettings) -> None:
        self._settings = settings
        self._broker: Broker | None = None
        self._sweep = Sweep(LOOK, self._look)
        # Endpoints whose circuits are open, to be offered again when their time has come.
        self._open: dict[Endpoint, CircuitBreaker] = {}
        self.circuits: dict[tuple[str, str], CircuitBreaker] = {}

    def broker_created(self, broker: Broker) -> None:
        self._broker = broker

    async def broker_stopped(self, _broker: Broker) -> None:
        self._sweep.stop()

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        own = None if endpoint.definition is None else endpoint.definition.extra.get("circuit_breaker")
        return self._around(next_handler, endpoint, own)

    def concerns(self, endpoint: Endpoint) -> bool:
        """Whether an endpoint of another node may have a circuit."""
        return self._settings.enabled or "circuitBreaker" in endpoint.entry

    def remote_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        return self._around(next_handler, endpoint, _announced(endpoint.entry.get("circuitBreaker")))

    def are_closed(self, action: str) -> bool:
        """Whether no circuit of an action is open, or about to be tried."""
        return not self._open or all(endpoint.name != action for endpoint in self._open)

    def _around(self, next_handler: Handler, endpoint: Endpoint, own: object) -> Handler:
        settings = chosen(self._settings, own, f"circuit_breaker of '{endpoint.name}'")
        if not settings.enabled or endpoint.name.startswith("$"):
            return next_handler
        assert self._broker is not None
        clock = self._broker.clock
        circuit = self._circuit(endpoint, settings)
        is_failure = settings.check or _is_servers
        node_id, succeeded = endpoint.node_id, circuit.succeeded
        closed = Circuit.CLOSED  # A member of an Enum costs two look-ups.

        async def guarded(ctx: Context[Any]) -> Any:
            if circuit.state is closed:
                permit = circuit.usual
            else:
                asked = circuit.allow(clock())
                if asked is None:
                    raise ServiceNotAvailableError(endpoint.name, node_id)
                permit = asked
                if permit.trial:
                    self._offer(endpoint, False)  # Nobody else, until it is known how this ends.
            try:
                result = await next_handler(ctx)
            except asyncio.CancelledError:
                circuit.ended(permit, Outcome.CANCELLED, clock())
                raise
            except Exception as error:
                # What a third node said of itself is no fault of this one.
                own_fault = getattr(error, "node_id", None) in (None, node_id) and is_failure(error)
                circuit.ended(permit, Outcome.FAILURE if own_fault else Outcome.REFUSED, clock())
                raise
            succeeded(permit, clock())
            return result

        return guarded

    def _circuit(self, endpoint: Endpoint, settings: CircuitBreakerSettings) -> CircuitBreaker:
        options = CircuitOptions(
            threshold=settings.threshold,
            min_count=settings.min_request_count,
            window=settings.window_time,
            sleep=settings.half_open_time,
            sleep_max=max(60.0, settings.half_open_time),
        )
        circuit = CircuitBreaker(options, lambda old, new: self._changed(endpoint, old, new))
        self.circuits[endpoint.name, endpoint.node_id] = circuit
        return circuit

    def _changed(self, endpoint: Endpoint, _old: Circuit, new: Circuit) -> None:
        assert self._broker is not None
        circuit = self.circuits[endpoint.name, endpoint.node_id]
        told: dict[str, Any] = {
            "nodeID": endpoint.node_id,
            "service": endpoint.service.full_name,
            "action": endpoint.name,
        }
        if new is Circuit.OPEN:
            counts = circuit.counts
            told |= {"failures": counts.errors, "count": counts.total}
            told["rate"] = counts.errors / counts.total if counts.total else 0
            self._open[endpoint] = circuit
            self._sweep.wake()
        elif new is Circuit.CLOSED:
            self._open.pop(endpoint, None)
        self._offer(endpoint, new is not Circuit.OPEN)
        state = _NAMES.get(new, new.value)
        log.log(logging.WARNING if new is Circuit.OPEN else logging.INFO, f"circuit {state}", extra=told)
        self._announce(f"$circuit-breaker.{state}", told)

    def _announce(self, event: str, told: dict[str, Any]) -> None:
        """Tell all nodes, as Node does (protocol section 5.5). The call that changed the circuit cannot fail of it."""
        assert self._broker is not None
        try:
            self._broker.broadcast(event, told)
        except MoleculerError as error:
            # This node's own listeners have heard it; there is no line, and it would be stale when there is.
            log.debug("circuit not announced", extra={"event": event, "error": error.message})
        except Exception:
            log.exception("event not announced", extra={"event": event})  # A middleware's fault.

    def _offer(self, endpoint: Endpoint, available: bool) -> None:
        assert self._broker is not None
        if endpoint.available is not available:
            endpoint.available = available
            endpoints = self._broker.registry.actions.get(endpoint.name)
            if endpoints is not None:
                endpoints.refresh()

    def _look(self) -> bool:
        """Offer again what is to be tried. A call that finds it so is the one that tries."""
        assert self._broker is not None
        now = self._broker.clock()
        for endpoint, circuit in list(self._open.items()):
            known = self._broker.registry.actions.get(endpoint.name)
            if known is None or known.on_node(endpoint.node_id) is not endpoint:
                del self._open[endpoint]  # Gone, and its circuit with it.
                self.circuits.pop((endpoint.name, endpoint.node_id), None)
            elif circuit.may_try(now):
                self._offer(endpoint, True)
        return bool(self._open)


def _is_servers(error: BaseException) -> bool:
    """Whether the one who was asked is at fault: its code is 500 or more, or it was not made on purpose."""
    if not isinstance(error, MoleculerError):
        return True
    return isinstance(error.code, int) and error.code >= 500


def _announced(own: object) -> object:
    """What a node says in INFO, with Node's names and units; nonsense is left out: it is that node's mistake."""
    if not isinstance(own, Mapping):
        return own if isinstance(own, bool) else None
    read: dict[str, Any] = {}
    for name, (known_as, unit) in _WIRE.items():
        value = own.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            read[known_as] = value * unit
    if isinstance(own.get("enabled"), bool):
        read["enabled"] = own["enabled"]
    return read or None


_WIRE: Final[Mapping[str, tuple[str, float]]] = {
    "threshold": ("threshold", 1),
    "windowTime": ("window_time", 1),
    "minRequestCount": ("min_request_count", 1),
    "halfOpenTime": ("half_open_time", 0.001),
}
