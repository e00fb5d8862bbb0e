"""Core NATS, spoken by our own client (no library needed, but `nkeys` to sign in with a key)."""

from __future__ import annotations

from tautomer.transporters.nats.adapter import NatsTransporter
from tautomer.transporters.nats.options import NatsOptions, NatsTls

__all__ = ["NatsOptions", "NatsTls", "NatsTransporter"]
