"""Commands: calls out of the cluster, with a pool, a circuit, a timeout and a fallback (resilience reference).

An action has its policies by middlewares; a `Command` has the same machines of `tautomer.resilience` around anything else.
"""

from __future__ import annotations

from tautomer.commands.collapser import Collapser
from tautomer.commands.command import Command
from tautomer.commands.component import Component, component
from tautomer.commands.execution import Execution
from tautomer.commands.function import command
from tautomer.commands.handle import Handle
from tautomer.commands.options import Hedge, Retry
from tautomer.commands.request_cache import request_context

__all__ = [
    "Collapser",
    "Command",
    "Component",
    "Execution",
    "Handle",
    "Hedge",
    "Retry",
    "command",
    "component",
    "request_context",
]
