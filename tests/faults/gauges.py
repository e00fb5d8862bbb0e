"""What a node holds: memory, file descriptors, tasks, and the length of every table of its parts."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tautomer import Broker

PAGE = os.sysconf("SC_PAGE_SIZE")
KEPT = (
    "newer",
    "older",
    "_oldest",
    "_asked",
    "_lines",
    "_sizes",
    "_senders",
    "_by_text",
    "free",
    "_takers",
    "_warned",
    "_heads",
    "_names",
    "dropped",
    "_cache",
    "_matched",
    "_request_topic",
    "_answer_topic",
    "_event_topic",
)
"""Tables that keep what they learnt, up to a bound of their own."""


def gauges(broker: Broker) -> dict[str, Any]:
    """``{rss, fds, tasks, tables}`` of this process and this node; tables by owner and name, the empty ones left out."""
    gc.collect()
    return {
        "rss": memory(),
        "fds": len(os.listdir("/proc/self/fd")),
        "tasks": len(asyncio.all_tasks()),
        "tables": tables(broker),
    }


def memory(pid: int | str = "self") -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def tables(broker: Broker) -> dict[str, int]:
    """How much lies in each table of the parts that packets reach."""
    return {
        f"{type(owner).__name__}.{name}": len(table)
        for owner in _parts(broker)
        for name, table in _attributes(owner)
        if isinstance(table, dict | list | set | deque) and len(table) and name not in KEPT
    }


def _parts(broker: Broker) -> Iterator[Any]:
    """The broker and all that is made of our own classes below it, each once."""
    seen: dict[int, Any] = {}
    waiting: list[Any] = [broker]
    while waiting:
        owner = waiting.pop(0)
        if id(owner) in seen or not type(owner).__module__.startswith("tautomer"):
            continue
        seen[id(owner)] = owner
        waiting += [value for _, value in _attributes(owner)]
    yield from seen.values()


def _attributes(owner: Any) -> list[tuple[str, Any]]:
    names = list(getattr(owner, "__dict__", ()))
    for kind in type(owner).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [(name, getattr(owner, name)) for name in dict.fromkeys(names) if hasattr(owner, name)]
