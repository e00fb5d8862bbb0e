"""Lines from node to node, without a broker: Moleculer's TCP transporter, with UDP discovery."""

from __future__ import annotations

from tautomer.transporters.tcp.adapter import TcpTransporter
from tautomer.transporters.tcp.options import TcpOptions

__all__ = ["TcpOptions", "TcpTransporter"]
