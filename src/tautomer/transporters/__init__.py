"""Transporters by URL. An adapter is imported when its scheme is used, so that its library may be missing."""

from __future__ import annotations

import logging

from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.ports import Transporter

__all__ = ["can_balance", "resolve"]

log = logging.getLogger("tautomer.transporters")

KNOWN = ("memory://", "nats://", "tcp://", "tls://")


def resolve(chosen: str | Transporter | None, host: Host) -> Transporter | None:
    """The transporter for a URL, or the one given. None means a node that is alone.

    Raises:
        BrokerOptionsError: No adapter has that scheme.
    """
    if not isinstance(chosen, str):
        return chosen
    name = chosen.strip()
    if not name:
        return None
    scheme = name.partition("://")[0].lower()
    if scheme == "memory":
        from tautomer.transporters.memory import MemoryTransporter

        return MemoryTransporter(name if "://" in name else "memory://")
    if scheme in ("nats", "tls"):
        from tautomer.transporters.nats.adapter import NatsTransporter

        return NatsTransporter(name if "://" in name else "nats://localhost:4222", host)
    if scheme.partition("?")[0] == "tcp":
        from tautomer.transporters.tcp.adapter import TcpTransporter

        return TcpTransporter(name, host)
    scheme = name.partition(":")[0]  # The rest of an address may hold a password (promise S5).
    raise BrokerOptionsError(f"transporter '{scheme}' is not known; known: {', '.join(KNOWN)}", {"transporter": scheme})


def can_balance(transporter: Transporter | None) -> bool:
    """Whether the message broker can choose; if not, we do after all, as Node does."""
    if transporter is None:
        return False
    if not transporter.balances:
        log.warning(
            "disable_balancer has no effect: this transporter cannot choose", extra={"transporter": transporter.name}
        )
    return transporter.balances
