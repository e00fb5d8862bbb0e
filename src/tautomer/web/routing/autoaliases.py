"""Aliases made of the `rest` annotations in the mesh (gateway reference, section 2.7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from tautomer.registry.registry import ServiceEntry
from tautomer.web.routing.aliases import AliasDef, AliasError, base_paths, parse_rest

__all__ = ["annotated_aliases"]

ALIASES_MAX: Final = 10_000
"""Peers write the annotations, and making the table anew must not hold up the node."""


def annotated_aliases(services: Iterable[ServiceEntry]) -> tuple[list[AliasDef], list[tuple[str, str]]]:
    """The aliases that services ask for, and what is written wrong.

    Only published actions count. What a service writes wrong costs that alias only: it is some other
    node's mistake.

    Returns:
        The aliases, in the order of the services, each once, `ALIASES_MAX` at most; and (action, reason) of
        each that is none. Where nodes differ in what else they say of one, the first is taken.
    """
    made: dict[tuple[str, str, str, str | None], AliasDef] = {}
    faulty: dict[tuple[str, str], None] = {}
    for action, one in islice(_annotated(services), ALIASES_MAX + 1):
        if len(made) + len(faulty) == ALIASES_MAX:
            faulty[action, f"the mesh asks for more than {ALIASES_MAX} aliases"] = None
        elif isinstance(one, AliasDef):
            made.setdefault((one.method, one.path, one.action, one.full_path), one)
        else:
            faulty[action, str(one)] = None
    return list(made.values()), list(faulty)


def _annotated(services: Iterable[ServiceEntry]) -> Iterator[tuple[str, AliasDef | AliasError]]:
    # Most services run on several nodes and say the same on each.
    said: dict[str, tuple[list[str], object]] = {}
    for service in services:
        bases = base_paths(service.settings.get("rest"), service.full_name, service.name, service.settings)
        for action, entry in service.actions.items():
            rest = entry.get("rest")
            if not rest or (entry.get("visibility") or "published") != "published" or said.get(action) == (bases, rest):
                continue
            said[action] = (bases, rest)
            for one in parse_rest(rest, bases, _raw_name(action, entry), action):
                yield action, one


def _raw_name(action: str, entry: Mapping[str, Any]) -> str:
    """The action's own name: the path of an annotation that names none."""
    raw = entry.get("rawName")
    return raw if isinstance(raw, str) else action.rpartition(".")[2]
