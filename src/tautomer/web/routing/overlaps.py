"""Overlaps: actions behind a guarded route that an open one leads to as well (reliability reference, section 5.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from tautomer.web.routing.routes import Route

__all__ = ["Overlap", "Overlaps", "open_doors"]

log = logging.getLogger("tautomer.web")

ACTIONS_SHOWN: Final = 20

Overlap: TypeAlias = tuple[str, Route, Route]
"""Action, the guarded route, the open one."""


class Overlaps:
    """Warns of them: of each once, for as long as it lasts."""

    def __init__(self, own_service: str) -> None:
        self._own_service = own_service
        self._told: set[Overlap] = set()

    def tell(self, routes: Sequence[Route], offered: Iterable[str]) -> None:
        """Log those that are new, a line for each pair of routes. Arguments as of `open_doors`."""
        found = open_doors(routes, self._own_service, offered)
        fresh: dict[tuple[Route, Route], list[str]] = {}
        for overlap in found:
            if overlap not in self._told:
                action, guarded, ajar = overlap
                fresh.setdefault((guarded, ajar), []).append(action)
        self._told = set(found)
        for (guarded, ajar), actions in fresh.items():
            log.warning(
                "guarded actions can be reached by an open route",
                extra={
                    "guarded": _shown(guarded),
                    "open": _shown(ajar),
                    "actions": ", ".join(actions[:ACTIONS_SHOWN]),
                    "count": len(actions),
                },
            )


def open_doors(routes: Sequence[Route], own_service: str, offered: Iterable[str]) -> list[Overlap]:
    """Every action that some way leads to under guard, and another without.

    Args:
        own_service: The gateway's, whose actions no path names.
        offered: Names of the actions that there are now: a route with mapping policy ``all`` reaches those its lists permit.
    """
    guarded = [(route, names) for route in routes if (names := _named(route, True))]
    by_path = [route for route in routes if route.settings.mapping_policy == "all"]
    shut_by_path = [route for route in by_path if route.lost.guarded]
    if not guarded and not shut_by_path:
        return []
    offered = list(offered)
    guarded += [(route, set(filter(_permits(route, own_service), offered))) for route in shut_by_path]
    found: set[Overlap] = set()
    for ajar in routes:
        names = _named(ajar, False)
        permits = _permits(ajar, own_service) if ajar in by_path and ajar not in shut_by_path else _nothing
        for shut, actions in guarded:
            found |= {(action, shut, ajar) for action in actions if action in names or permits(action)}
    return sorted(found, key=lambda one: (routes.index(one[1]), routes.index(one[2]), one[0]))


def _named(route: Route, guarded: bool) -> set[str]:
    """The actions to which aliases of the route lead, either the guarded ones or the others."""
    ways = [alias for alias in route.aliases if alias.function is None and alias.handler is not route.refusal]
    return {alias.action for alias in ways if alias.guarded is guarded}


def _permits(route: Route, own_service: str) -> Callable[[str], bool]:
    """Whether a path below a route with mapping policy ``all`` may name an action itself."""
    access = route.settings.access
    return lambda action: access.permits_direct(action, own_service)


def _nothing(_action: str) -> bool:
    return False


def _shown(route: Route) -> str:
    path, name = route.settings.path, route.settings.name
    return path if name is None else f"{path} ({name})"
