"""Health: whether a node lives, has started, and can take requests. For the probes of an orchestrator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tautomer.web.answers.reply import encode_json
from tautomer.web.messages.message import JSON_TYPE, Reply, Request

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["PROBES", "probe"]

Check = dict[str, bool]


def _alive(_broker: Broker) -> Check:
    """That an answer comes is the proof: the event loop turns."""
    return {}


def _started(broker: Broker) -> Check:
    return {"started": broker.started}


def _ready(broker: Broker) -> Check:
    checks = {"started": broker.started}
    if broker.transit is not None:
        # Without the mesh it can answer little; whoever balances load should ask another node.
        checks["connected"] = broker.connected
    return checks


PROBES: Final[dict[str, Callable[[Broker], Check]]] = {"/livez": _alive, "/readyz": _ready, "/startupz": _started}
"""Path to what it looks at."""


def probe(broker: Broker, look: Callable[[Broker], Check]) -> Callable[[Request], Reply]:
    """The handler of one probe: 200, or 503 where a check fails; ``{"status", "checks"?}`` as body."""

    def answer(_request: Request) -> Reply:
        checks = look(broker)
        well = all(checks.values())
        body: dict[str, object] = {"status": "ok" if well else "unavailable"}
        if checks:
            body["checks"] = checks
        headers = [JSON_TYPE, ("Cache-Control", "no-store")]
        return Reply(200 if well else 503, headers, encode_json(body))

    return answer
