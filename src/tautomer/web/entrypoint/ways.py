"""HttpWays: from the marks of a node's services to the ways by which a gateway leads to them.

Order of trial (entrypoints reference, section 14): paths without values, then aliases, then paths with values, then
paths that name an action themselves.
"""

from __future__ import annotations

import dataclasses
import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from tautomer.errors import ServiceSchemaError
from tautomer.web.entrypoint.calls import HttpCall
from tautomer.web.entrypoint.mark import EXTRA, HttpRoute, HttpRoutes
from tautomer.web.entrypoint.rules import Rule, RuleTable
from tautomer.web.routing.aliases import AliasDef
from tautomer.web.routing.patterns import ANY_METHOD, METHODS, Pattern, fold
from tautomer.web.routing.routes import Alias, Route
from tautomer.web.settings.records import RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.service import Service
    from tautomer.web.pipeline import Pipelines

__all__ = ["HttpWays"]

log = logging.getLogger("tautomer.web")

Found: TypeAlias = "tuple[Alias, dict[str, Any] | None] | frozenset[str] | None"


class _Marked:
    """One way that a method of this node wants, before it is one."""

    def __init__(self, action: str, route: HttpRoute, description: str) -> None:
        self.action = action
        self.route = route
        self.description = description


class HttpWays:
    """The ways to methods with `@http`.

    Args:
        base: What stands before all of them.

    Attributes:
        routes: One for each mark.
        rules: Paths and methods to aliases.
    """

    def __init__(self, broker: Broker, base: RouteSettings, pipelines: Pipelines, own_service: str) -> None:
        self._broker = broker
        self._base = base
        self._pipelines = pipelines
        self._own_service = own_service
        self._services: list[Service] | None = None
        self._shapes: dict[tuple[object, ...], dict[str, str]] = {}
        self._told: set[str] = set()
        self.routes: list[Route] = []
        self.rules: RuleTable[Alias] = RuleTable([])
        self._exact: dict[str, dict[str, Alias]] = {}

    def refresh(self, routes: Sequence[Route]) -> None:
        """Read the marks of the node's services, if these are others than before.

        Args:
            routes: Of the gateway's aliases.

        Raises:
            ServiceSchemaError: At the first time only, later it is logged and the first one answers: two methods want
                the same requests, or a method those of an alias.
        """
        services = list(self._broker.services)
        is_first = self._services is None
        if services != self._services:
            self._services = services
            taken: dict[tuple[str, str], _Marked] = {}
            for marked in _marked(services):
                for method in marked.route.methods:
                    known = taken.setdefault((marked.route.rule.shape, method), marked)
                    if known is not marked:
                        self._fault(
                            f"{known.action} and {marked.action} both want {method} {marked.route.rule.written}",
                            is_first,
                        )
            self._make(taken)
        for route in routes if self._shapes else ():
            for alias in route.aliases:
                self._compare(alias, is_first)

    def _compare(self, alias: Alias, is_first: bool) -> None:
        wanted = METHODS if alias.method == ANY_METHOD else (alias.method,)
        for pattern in alias.patterns:
            own = self._shapes.get(_shape_of(pattern), {})
            for action in [own[method] for method in wanted if method in own]:
                fault = f"alias '{alias.method} {pattern.path}' of {alias.action} and @http of {action} want the same requests"
                self._fault(fault, is_first and not alias.generated)

    def _fault(self, what: str, is_first: bool) -> None:
        if is_first:
            raise ServiceSchemaError(f"{what}: give one of them another path, or another method")
        if what not in self._told:
            self._told.add(what)
            log.error("ways of @http overlap", extra={"reason": what})

    def _make(self, taken: Mapping[tuple[str, str], _Marked]) -> None:
        entries: list[tuple[Rule, str, Alias]] = []
        self.routes, self._exact, self._shapes = [], {}, {}
        made: dict[int, list[str]] = {}
        for (_, method), marked in taken.items():
            made.setdefault(id(marked), []).append(method)
        for marked in dict.fromkeys(taken.values()):
            rule = marked.route.rule
            here = sorted(method for shape, method in taken if shape == rule.shape)
            route = self._route(marked, made[id(marked)], here)
            self.routes.append(route)
            for alias in route.aliases:
                entries.append((rule, alias.method, alias))
                self._shapes.setdefault(_shape_of(alias.pattern), {})[alias.method] = alias.action
                if rule.path is not None:
                    for path in {rule.path, f"{rule.path.rstrip('/')}/"}:
                        self._exact.setdefault(path, {})[alias.method] = alias
        for ways in self._exact.values():
            if "GET" in ways:
                ways.setdefault("HEAD", ways["GET"])
        self.rules = RuleTable(entries)

    def _route(self, marked: _Marked, methods: Sequence[str], here: Sequence[str]) -> Route:
        route, base = marked.route, self._base
        call = HttpCall(self._broker, marked.action, route.rule, marked.description)
        path = route.rule.template
        cors = base.cors if route.cors is None else route.cors
        if route.cors is not None and not route.tells_methods:
            cors = dataclasses.replace(route.cors, methods=tuple(here))
        options = base.call_options.copy()
        if route.timeout is not None:
            options["timeout"] = route.timeout
        aliases = tuple(AliasDef(one, path, marked.action, path, handler=call, reads_params=False) for one in methods)
        settings = dataclasses.replace(base, name=marked.action, aliases=aliases, cors=cors, call_options=options)
        return Route(settings, self._pipelines, self._own_service)

    # --- requests ---

    def over_exact(self, exact: Mapping[str, Mapping[str, Alias]]) -> dict[str, Mapping[str, Alias]]:
        """Paths without values to their methods: those of aliases, and above them these."""
        return {**exact, **{path: {**exact.get(path, {}), **ways} for path, ways in self._exact.items()}}

    def over(self, found: Found, method: str, path: str) -> Found:
        """What a path leads to, where the aliases gave no more than `found`."""
        own = self.rules.find(method, path)
        if own is None or isinstance(own, tuple):
            return own or found
        others = found if isinstance(found, frozenset) else frozenset()
        return own | others | {"OPTIONS"} | ({"HEAD"} if "GET" in own else set())

    def owner(self, path: str, preflight_for: str | None) -> Route | None:
        """The route that answers for a path which has not this method: that of the method which a preflight asks for,
        else the first that has a say in who may read."""
        here = self.rules.at(path)
        for alias in here:
            if alias.method == preflight_for:
                return alias.route
        return next((alias.route for alias in here if alias.route.settings.cors is not None), None)


def _marked(services: Sequence[Any]) -> list[_Marked]:
    found = []
    for service in services:
        for definition in service.action_defs():
            routes = definition.extra.get(EXTRA)
            if isinstance(routes, HttpRoutes):
                action, description = service.action_name(definition.name), inspect.getdoc(definition.method) or ""
                found += [_Marked(action, route, description) for route in routes.all]
    return found


def _shape_of(pattern: Pattern) -> tuple[object, ...]:
    """What a path looks like when values have no names."""
    segments = tuple(
        tuple(fold(part) if isinstance(part, str) else "\0" for part in parts) for parts in pattern.segments
    )
    return (*segments, pattern.wildcard)
