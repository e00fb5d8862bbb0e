"""Routes: settings brought to life, and the table that leads from a request to an alias."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from tautomer.web.messages.limits import BodyPlan
from tautomer.web.routing.aliases import AliasDef, join_path
from tautomer.web.routing.direct import SPECIAL_CHAR, DirectNames, SpecialChar
from tautomer.web.routing.patterns import (
    ANY_METHOD,
    METHODS,
    Pattern,
    PatternError,
    fold,
    parse_patterns,
    trimmed,
)
from tautomer.web.routing.table import PatternTable

if TYPE_CHECKING:
    from tautomer.web.exchange import Handler, Offer
    from tautomer.web.pipeline import Pipelines
    from tautomer.web.settings.records import RouteSettings

__all__ = ["DIRECT", "Alias", "Route", "RouteTable"]

DIRECT: Final = Pattern("", "", ())
"""Stands for the pattern of an alias that has none: the path itself named the action."""

NOWHERE: Final = AliasDef(ANY_METHOD, "", "")

DIRECT_METHODS: Final = frozenset({*METHODS, "OPTIONS"})


class Alias:
    """One way to an action.

    Attributes:
        route: The route whose guards hold for it.
        written: As the settings or a `rest` annotation say it.
        method: In upper case, ``*`` for all that run actions.
        pattern: Of the whole path; with optional parts, its longest form.
        patterns: All its forms.
        own_path: Below the route's path, as written.
        action: Full action name.
        handler: The route's pipeline; for an action that its lists forbid, the one that says so.
        function: What answers in the action's place, or None.
        direct: Whether the path itself named the action (mapping policy ``all``).
        generated: Whether a `rest` annotation made it.
        options: Keys of its writer's own, for hooks and guards: ``request.alias.options["roles"]``.
        offer: What the mesh offered when it was last looked at.
        body_plan: What is to become of bodies sent to it; None for what the server does with all.
    """

    __slots__ = (
        "action",
        "body_plan",
        "direct",
        "function",
        "generated",
        "handler",
        "method",
        "offer",
        "options",
        "own_path",
        "pattern",
        "patterns",
        "route",
        "written",
    )

    def __init__(self, route: Route, written: AliasDef, patterns: Sequence[Pattern], handler: Handler) -> None:
        self.route = route
        self.written = written
        self.method = written.method
        self.pattern = patterns[0]
        self.patterns = patterns
        self.own_path = written.path
        self.action = written.action
        self.handler = handler
        self.options = written.options
        self.function = written.handler
        self.direct = self.pattern is DIRECT
        self.generated = written.generated
        self.offer: Offer | None = None
        self.body_plan = route.body_plan(written)

    @property
    def guarded(self) -> bool:
        """Whether authentication or authorization stands before it."""
        return any(self.route.settings.guards.of(self.written))


class Route:
    """A route and its composed handlers.

    Attributes:
        refusal: For what its lists do not permit.
        lost: Stands for the alias where the path leads nowhere.
    """

    __slots__ = (
        "_body_plan",
        "_direct",
        "_direct_ways",
        "_generated",
        "_handler",
        "_names",
        "_own_service",
        "_pipelines",
        "aliases",
        "lost",
        "prefix",
        "refusal",
        "settings",
    )

    def __init__(
        self,
        settings: RouteSettings,
        pipelines: Pipelines,
        own_service: str,
        special_char: SpecialChar = SPECIAL_CHAR,
    ) -> None:
        self.settings = settings
        self._names = DirectNames(special_char, settings.camel_case_names)
        self._pipelines = pipelines
        self._handler = pipelines.handler(settings)
        parsers = settings.body_parsers
        own_limits = any(parser.bytes_max is not None for parser in parsers.in_order)
        self._body_plan = BodyPlan(parsers.bytes_max(pipelines.body_bytes_max)) if own_limits else None
        self.refusal = pipelines.refusal(settings)
        self.prefix = fold(settings.path)
        self.lost = Alias(self, NOWHERE, (DIRECT,), pipelines.lost(settings))
        self.aliases = [self._alias(one) for one in settings.aliases]
        self._own_service = own_service
        self._generated: dict[AliasDef, Alias | str] = {}
        self._direct: dict[str, Alias] = {}
        # Strangers choose the names: one way for internal actions, one for all others.
        self._direct_ways: dict[bool, Handler] = {}

    def body_plan(self, written: AliasDef) -> BodyPlan | None:
        """What is to become of the bodies sent to one of its aliases."""
        if written.kind == "call":
            return self._body_plan
        uploads = written.uploads or self.settings.uploads
        if written.kind in ("stream", "proxy"):
            return BodyPlan(uploads.file_bytes_max, streamed=True)
        if written.kind == "multipart":
            return BodyPlan(0, streamed=True)  # Each part has its own bound, and so has their number.
        return self._body_plan

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
        patterns = parse_patterns(path, sensitive=self.settings.case_sensitive, trusted=not written.generated)
        return Alias(self, written, patterns, self._way(written))

    def _way(self, written: AliasDef) -> Handler:
        if written.handler is None and not self.settings.access.permits(written.action):
            return self.refusal
        return self._handler if written.is_plain else self._pipelines.handler(self.settings, written)

    def _try_alias(self, written: AliasDef) -> Alias | str:
        try:
            return self._alias(written)
        except PatternError as error:
            return str(error)

    def permits_direct(self, action: str) -> bool:
        """Whether a path may name the action itself, where the mapping policy is ``all``."""
        return self.settings.access.permits_direct(action, self._own_service)

    def _direct_way(self, action: str) -> Handler:
        if self.settings.merge_params:
            return self._handler
        internal = action.startswith("$")
        way = self._direct_ways.get(internal)
        if way is None:
            way = self._direct_ways[internal] = self._pipelines.direct_handler(self.settings, internal)
        return way

    def direct(self, path: str, is_known: Callable[[str], bool]) -> Alias | None:
        """The alias that stands for the action which the path names (policy ``all``), or None if it names none.

        An action that does not exist gets an alias too: what happens to it shall not differ from what happens to one
        that is hidden.
        """
        rest = path[len(self.prefix) + 1 :] if self.prefix != "/" else path[1:]
        action = self._names.action(rest)
        if action is None:
            return None
        alias = self._direct.get(action)
        if alias is None:
            way = self._direct_way(action) if self.permits_direct(action) else self.refusal
            alias = Alias(self, AliasDef(ANY_METHOD, rest, action), (DIRECT,), way)
            # Strangers choose the names, so only those that exist are kept.
            if is_known(action):
                self._direct[action] = alias
        return alias


class RouteTable:
    """All aliases of all routes. Made anew whenever one of them changes.

    Of equal aliases the first wins: those written by hand before generated ones, then in the order of
    the routes.

    Args:
        declared: Whether of all that fit, too, the first wins, and not the most specific (``optimizeOrder: false``).

    Attributes:
        exact: As in `PatternTable`.
    """

    __slots__ = ("_owners", "_patterns", "_prefixes", "exact")

    def __init__(self, routes: Sequence[Route], declared: bool = False) -> None:
        patterns: PatternTable[Alias] = PatternTable(declared)
        for generated in (False, True):
            for route in routes:
                for alias in route.aliases:
                    if alias.generated == generated:
                        for pattern in alias.patterns:
                            patterns.add(alias.method, pattern, alias)
        self._patterns = patterns
        self.exact = patterns.exact
        # The longest prefix answers, and no other: a request never falls through to a route with weaker guards.
        prefixes = sorted(
            routes,
            key=lambda route: len(route.prefix.strip("/").split("/")) if route.prefix != "/" else 0,
            reverse=True,
        )
        below = [(route.prefix.rstrip("/"), route.prefix.rstrip("/") + "/", route) for route in prefixes]
        # What comes after the last one in which paths name actions, or that has a say where they name none, decides nothing.
        self._prefixes = _up_to_last(below, lambda route: route.settings.mapping_policy == "all")
        self._owners = _up_to_last(below, lambda route: route.settings.answers_the_lost)

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

    def owner(self, path: str) -> Route | None:
        """The route that answers for a path which no alias matches, if that route has anything to say."""
        if self._owners:
            folded = path.lower() if path.isascii() and path[-1] != "/" else fold(trimmed(path))
            for prefix, below, route in self._owners:
                if folded.startswith(below) or folded == prefix:
                    return route if route.settings.answers_the_lost else None
        return None


Prefixes: TypeAlias = "list[tuple[str, str, Route]]"


def _up_to_last(prefixes: Prefixes, wanted: Callable[[Route], bool]) -> Prefixes:
    last = max((index for index, (_, _, route) in enumerate(prefixes) if wanted(route)), default=-1)
    return prefixes[: last + 1]
