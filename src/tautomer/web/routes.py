"""Routes: settings brought to life, and the table that leads from a request to an alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final

from tautomer.web.aliases import AliasDef, join_path
from tautomer.web.patterns import (
    ANY_METHOD,
    METHODS,
    Pattern,
    PatternError,
    PatternTable,
    fold,
    parse_pattern,
    trimmed,
)

if TYPE_CHECKING:
    from tautomer.web.pipeline import Handler, Offer
    from tautomer.web.settings import RouteSettings

__all__ = ["Alias", "Route", "RouteTable"]

DIRECT: Final = Pattern("", ())
"""Stands for the pattern of an alias that has none: the path itself named the action."""

DIRECT_METHODS: Final = frozenset({*METHODS, "OPTIONS"})


class Alias:
    """One way to an action.

    Attributes:
        route: The route whose guards hold for it.
        method: In upper case, ``*`` for all that run actions.
        pattern: Of the whole path.
        own_path: Below the route's path, as written.
        action: Full action name.
        handler: The route's pipeline; for an action that its lists forbid, the one that says so.
        direct: Whether the path itself named the action (mapping policy ``all``).
        generated: Whether a `rest` annotation made it.
        offer: What the mesh offered when it was last looked at.
    """

    __slots__ = ("action", "direct", "generated", "handler", "method", "offer", "own_path", "pattern", "route")

    def __init__(self, route: Route, written: AliasDef, pattern: Pattern, permitted: bool) -> None:
        self.route = route
        self.method = written.method
        self.pattern = pattern
        self.own_path = written.path
        self.action = written.action
        self.handler = route.handler if permitted else route.refusal
        self.direct = pattern is DIRECT
        self.generated = written.generated
        self.offer: Offer | None = None


class Route:
    """A route and its composed handlers.

    Attributes:
        handler: For what its lists permit.
        refusal: For what they do not.
    """

    __slots__ = (
        "_direct",
        "_generated",
        "_own_service",
        "aliases",
        "handler",
        "prefix",
        "refusal",
        "settings",
    )

    def __init__(self, settings: RouteSettings, handler: Handler, refusal: Handler, own_service: str) -> None:
        self.settings = settings
        self.handler = handler
        self.refusal = refusal
        self.prefix = fold(settings.path)
        self.aliases = [self._alias(one) for one in settings.aliases]
        self._own_service = own_service
        self._generated: dict[AliasDef, Alias | str] = {}
        self._direct: dict[str, Alias] = {}

    def generate(self, written: Iterable[AliasDef]) -> list[tuple[AliasDef, str]]:
        """Replace the aliases made of `rest` annotations by these, as far as the lists permit them.

        Those that were there before are kept as they are, so that a change in one service does not cost
        the work for all.

        Returns:
            Those whose paths cannot be patterns, with the reason.
        """
        known, access = self._generated, self.settings.access
        made = self._generated = {
            one: known.get(one) or self._try_alias(one) for one in written if access.permits(one.action)
        }
        by_hand = [alias for alias in self.aliases if not alias.generated]
        self.aliases = by_hand + [alias for alias in made.values() if isinstance(alias, Alias)]
        return [(one, reason) for one, reason in made.items() if isinstance(reason, str)]

    def _alias(self, written: AliasDef) -> Alias:
        path = written.full_path
        if path is None:
            path = join_path(self.settings.path, written.path)
        return Alias(self, written, parse_pattern(path), self.settings.access.permits(written.action))

    def _try_alias(self, written: AliasDef) -> Alias | str:
        try:
            return self._alias(written)
        except PatternError as error:
            return str(error)

    def direct(self, path: str, is_known: Callable[[str], bool]) -> Alias | None:
        """The alias that stands for the action which the path names (policy ``all``), or None if it names none.

        The first ``~`` is a ``$``, slashes are dots (gateway reference, section 2.4). An action that does
        not exist gets an alias too: what happens to it shall not differ from what happens to one that is hidden.
        """
        rest = path[len(self.prefix) + 1 :] if self.prefix != "/" else path[1:]
        segments = rest.split("/")
        if "" in segments:
            return None
        action = ".".join(segments).replace("~", "$", 1)
        alias = self._direct.get(action)
        if alias is None:
            permitted = self.settings.access.permits_direct(action, self._own_service)
            alias = Alias(self, AliasDef(ANY_METHOD, rest, action), DIRECT, permitted)
            # Strangers choose the names, so only those that exist are kept.
            if is_known(action):
                self._direct[action] = alias
        return alias


class RouteTable:
    """All aliases of all routes. Made anew whenever one of them changes.

    Of equal aliases the first wins: those written by hand before generated ones, then in the order of
    the routes.

    Attributes:
        exact: As in `PatternTable`.
    """

    __slots__ = ("_patterns", "_prefixes", "exact")

    def __init__(self, routes: Sequence[Route]) -> None:
        patterns: PatternTable[Alias] = PatternTable()
        for generated in (False, True):
            for route in routes:
                for alias in route.aliases:
                    if alias.generated == generated:
                        patterns.add(alias.method, alias.pattern, alias)
        self._patterns = patterns
        self.exact = patterns.exact
        # The longest prefix answers, and no other: a request never falls through to a route with weaker guards.
        prefixes = sorted(
            routes,
            key=lambda route: len(route.prefix.strip("/").split("/")) if route.prefix != "/" else 0,
            reverse=True,
        )
        # What comes after the last one in which paths name actions decides nothing.
        while prefixes and prefixes[-1].settings.mapping_policy != "all":
            prefixes.pop()
        self._prefixes = [(route.prefix.rstrip("/"), route.prefix.rstrip("/") + "/", route) for route in prefixes]

    def match(
        self, method: str, path: str, is_known: Callable[[str], bool]
    ) -> tuple[Alias, dict[str, str] | None] | frozenset[str] | None:
        """The alias and the values of its path; else the methods of the path; None where it leads nowhere.

        An OPTIONS that no alias names never runs an action: it is answered by the methods.
        """
        if path[-1] == "/":
            path = trimmed(path)
        folded = path.lower() if path.isascii() else fold(path)
        found = self._patterns.find(method, path, folded)
        if found is not None:
            return found
        for prefix, below, route in self._prefixes:
            # A whole segment ends where the prefix does.
            if folded.startswith(below) or folded == prefix:
                if route.settings.mapping_policy != "all" or (alias := route.direct(path, is_known)) is None:
                    return None
                return (alias, None) if method in METHODS else DIRECT_METHODS
        return None
