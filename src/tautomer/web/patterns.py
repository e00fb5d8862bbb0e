"""Path patterns: the syntax of aliases, and the table that finds the alias of a path.

Syntax, segment by segment: text; ``:id`` or ``{id}`` (one segment); both mixed with text, such as
``:name.json`` or ``{from}-{to}``; ``*rest`` at the end (one segment or more).

The one matching rule, for prefixes and aliases alike: text matches in upper and lower case alike
(ASCII letters, as moleculer-web's patterns do), values keep theirs; one trailing slash is nothing;
an empty segment (a doubled slash) matches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

__all__ = ["ANY_METHOD", "METHODS", "Pattern", "PatternError", "PatternTable", "fold", "parse_pattern", "trimmed"]

T = TypeVar("T")

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What an alias without a method answers to. OPTIONS and rarer ones must be named: they never run an action by accident."""

ANY_METHOD: Final = "*"

# Patterns come from peers, too (`rest` annotations), so what they can make grow has a bound.
PATTERN_CHARS_MAX: Final = 1_024
SEGMENTS_MAX: Final = 64

_REJECTED = re.compile(r"[?+()\[\]!\\%#\x00-\x20\x7f]")
_PART = re.compile(r":([A-Za-z_$][\w$]*)|\{([A-Za-z_]\w*)\}|\*([A-Za-z_$][\w$]*)|([:*{}])")
_SPECIAL: Final = frozenset(":*{}")
_UPPER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


class PatternError(ValueError):
    """A pattern that cannot be one; the text says why."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed path pattern.

    Attributes:
        path: As written, tidied: begins with a slash, has none at its end and no doubled ones.
        segments: Each as its parts: text (folded) and, at the odd places, None for a value.
            ``("users",)``, ``("", None, "")``, ``("", None, ".json")``.
        names: Names of the values, from left to right.
        wildcard: Whether the last name takes the whole rest of the path.
    """

    path: str
    segments: tuple[tuple[str | None, ...], ...]
    names: tuple[str, ...] = ()
    wildcard: bool = False

    @property
    def is_static(self) -> bool:
        return not self.names


def fold(text: str) -> str:
    """The form in which text is compared: ASCII letters in lower case.

    Other letters stay: that a Kelvin sign is a k to Unicode is no reason to reach an action by it.
    """
    return text.lower() if text.isascii() else text.translate(_UPPER)


def parse_pattern(path: str) -> Pattern:
    """Read a pattern.

    Raises:
        PatternError: It is none; the text says what is wrong.
    """
    if len(path) > PATTERN_CHARS_MAX:
        raise PatternError(f"a path of {len(path)} characters; at most {PATTERN_CHARS_MAX} are taken")
    rejected = _REJECTED.search(path)
    if rejected is not None:
        raise PatternError(_why_rejected(rejected[0], path))
    written = [segment for segment in path.split("/") if segment]
    if len(written) > SEGMENTS_MAX:
        raise PatternError(f"a path of {len(written)} segments; at most {SEGMENTS_MAX} are taken")
    segments: list[tuple[str | None, ...]] = []
    names: list[str] = []
    wildcard = False
    for index, segment in enumerate(written):
        if segment in (".", ".."):
            raise PatternError(f"'{segment}' is no segment: requests that hold one are refused")
        parts, found, wild = _parse_segment(segment, path)
        if wild:
            if index != len(written) - 1:
                raise PatternError(f"'{segment}' takes the rest of the path, so it must stand at the end of '{path}'")
            wildcard = True
        else:
            segments.append(parts)
        names += found
    if len(set(names)) != len(names):
        raise PatternError(f"'{path}' uses one name twice")
    return Pattern("/" + "/".join(written), tuple(segments), tuple(names), wildcard)


def _parse_segment(segment: str, path: str) -> tuple[tuple[str | None, ...], list[str], bool]:
    if _SPECIAL.isdisjoint(segment):
        return (fold(segment),), [], False
    parts: list[str | None] = []
    names: list[str] = []
    at = 0
    for match in _PART.finditer(segment):
        param, braced, rest, stray = match.groups()
        if stray:
            raise PatternError(
                f"'{stray}' in '{path}' names no value: write ':id' or '{{id}}' for one segment, "
                "'*rest' for the rest of the path; for an optional part write two aliases"
            )
        if rest:
            if match.group() != segment:
                raise PatternError(f"'*{rest}' in '{path}' must be a segment of its own")
            return (), [rest], True
        if names and match.start() == at:
            raise PatternError(f"two values with nothing between them in '{path}'")
        parts += [fold(segment[at : match.start()]), None]
        names.append(param or braced)
        at = match.end()
    return (*parts, fold(segment[at:])), names, False


def _why_rejected(char: str, path: str) -> str:
    if char == "%":
        return f"'%' in '{path[:80]}': write the path as it reads when decoded"
    if char in "?+()[]!":
        return f"'{char}' in '{path[:80]}': optional, repeated and regular-expression parts are not supported"
    return f"{char!r} cannot stand in a path"


def _values(parts: tuple[str | None, ...], segment: str, folded: str) -> list[str] | None:
    """Values of a segment that mixes text and values, or None. Linear: each text is searched once, leftmost."""
    head, tail = parts[0] or "", parts[-1] or ""
    if not folded.startswith(head):
        return None
    values: list[str] = []
    at = len(head)
    for text in parts[2:-1:2]:
        assert text
        found = folded.find(text, at + 1)
        if found < 0:
            return None
        values.append(segment[at:found])
        at = found + len(text)
    end = len(segment) - len(tail)
    if end <= at or not folded.endswith(tail):
        return None
    values.append(segment[at:end])
    return values


@dataclass(slots=True)
class _Leaf(Generic[T]):
    """What one pattern leads to: method to target, with the names of the values as that alias wrote them."""

    methods: dict[str, tuple[T, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, method: str, target: T, names: tuple[str, ...]) -> bool:
        """Take every method that is still free. Returns whether there was one."""
        wanted = METHODS if method == ANY_METHOD else (method,)
        free = [one for one in wanted if one not in self.methods]
        for one in free:
            self.methods[one] = (target, names)
        return bool(free)


@dataclass(slots=True)
class _Node(Generic[T]):
    texts: dict[str, _Node[T]] = field(default_factory=dict)
    mixed: dict[tuple[str | None, ...], _Node[T]] = field(default_factory=dict)
    value: _Node[T] | None = None
    leaf: _Leaf[T] | None = None
    rest: _Leaf[T] | None = None


class PatternTable(Generic[T]):
    """Finds the target of a method and a path: the most specific pattern that has the method.

    Text is more specific than text mixed with values, that than a value, that than the rest of the
    path; segments count from the left. Of equal patterns the one added first has the method.

    Attributes:
        exact: Path as an alias spells it, then method, to the target: the quick way for patterns
            without values. That something is not in here says nothing.
    """

    __slots__ = ("_dynamic", "_last", "_root", "_static", "exact")

    def __init__(self) -> None:
        self._static: dict[str, _Leaf[T]] = {}
        # What lies before a value that ends the path, as in `/users/:id`, to the node there: by far the most common form.
        self._last: dict[str, _Node[T]] = {}
        self._root: _Node[T] = _Node()
        self._dynamic = False
        self.exact: dict[str, Mapping[str, T]] = {}

    def add(self, method: str, pattern: Pattern, target: T) -> bool:
        """Add an alias. Returns False where an earlier one has all of its methods already."""
        if not pattern.is_static:
            self._dynamic = True
            return self._leaf(pattern).add(method, target, pattern.names)
        folded = fold(pattern.path)
        leaf = self._static.setdefault(folded, _Leaf())
        added = leaf.add(method, target, ())
        self.exact[pattern.path] = self.exact[folded] = {name: found for name, (found, _) in leaf.methods.items()}
        return added

    def match(self, method: str, path: str) -> tuple[T, dict[str, str]] | frozenset[str] | None:
        """The target and its values; else the methods that the path has; None where there is no such path.

        A HEAD that no alias names is answered as a GET. `path` is decoded and begins with a slash.
        """
        path = trimmed(path)
        return self.find(method, path, fold(path))

    def find(self, method: str, path: str, folded: str) -> tuple[T, dict[str, str]] | frozenset[str] | None:
        """`match` for a path that is trimmed, and folded, already."""
        leaf = self._static.get(folded)
        if leaf is None:
            node = self._last.get(folded[: folded.rfind("/")])
            if node is None:
                if self._is_nowhere(folded):
                    return None
            elif node.value is not None and node.value.leaf is not None and not node.mixed and path[-1] != "/":
                # All before the value is text, which is more specific than anything else; only here text mixed with
                # values could come first.
                hit = node.value.leaf.methods.get(method)
                if hit is not None:
                    target, names = hit
                    return target, {names[0]: path[path.rfind("/") + 1 :]}
        search: _Search[T] = _Search(method)
        if leaf is not None:
            found = search.take(leaf)
            if found is not None:
                return found[0], {}
        if self._dynamic and path != "/" and "//" not in path:
            search.segments = path[1:].split("/")
            search.folds = search.segments if folded == path else folded[1:].split("/")
            walked = search.walk(self._root, 0, ())
            if walked is not None:
                (target, names), values = walked
                return target, dict(zip(names, values, strict=True))
        return search.allowed()

    def _is_nowhere(self, folded: str) -> bool:
        """Whether nothing but text could match, and does not: so it is with most of what scanners ask for."""
        node = self._root
        for text in folded[1:].split("/"):
            if node.value is not None or node.mixed or node.rest is not None:
                return False
            below = node.texts.get(text)
            if below is None:
                return True
            node = below
        return False

    def _leaf(self, pattern: Pattern) -> _Leaf[T]:
        node = self._root
        for at, parts in enumerate(pattern.segments, 1):
            if len(parts) == 1:
                node = node.texts.setdefault(parts[0] or "", _Node())
            elif parts == ("", None, ""):
                before = pattern.segments[: at - 1]
                if at == len(pattern.segments) and all(len(text) == 1 for text in before):
                    self._last["".join(f"/{text[0]}" for text in before)] = node
                node.value = node.value or _Node()
                node = node.value
            else:
                node = node.mixed.setdefault(parts, _Node())
        if pattern.wildcard:
            node.rest = node.rest or _Leaf()
            return node.rest
        node.leaf = node.leaf or _Leaf()
        return node.leaf


class _Search(Generic[T]):
    """One search: for the first leaf, most specific first, that has the method."""

    __slots__ = ("folds", "method", "seen", "segments")

    def __init__(self, method: str) -> None:
        self.method = method
        self.segments: list[str] = []
        self.folds: list[str] = []
        self.seen: set[str] | None = None

    def walk(
        self, node: _Node[T], at: int, values: tuple[str, ...]
    ) -> tuple[tuple[T, tuple[str, ...]], tuple[str, ...]] | None:
        """The target below this node and the values on the way to it, or None.

        Each node is entered at one depth only, so the work is bounded by the number of patterns.
        """
        if at == len(self.segments):
            found = self.take(node.leaf)
            return None if found is None else (found, values)
        child = node.texts.get(self.folds[at])
        if child is not None and (hit := self.walk(child, at + 1, values)) is not None:
            return hit
        if node.mixed:
            for parts, child in node.mixed.items():
                got = _values(parts, self.segments[at], self.folds[at])
                if got is not None and (hit := self.walk(child, at + 1, (*values, *got))) is not None:
                    return hit
        if node.value is not None:
            hit = self.walk(node.value, at + 1, (*values, self.segments[at]))
            if hit is not None:
                return hit
        found = self.take(node.rest)
        return None if found is None else (found, (*values, "/".join(self.segments[at:])))

    def take(self, leaf: _Leaf[T] | None) -> tuple[T, tuple[str, ...]] | None:
        """What the leaf has for the method; else its methods are remembered."""
        if leaf is None:
            return None
        found = leaf.methods.get(self.method)
        if found is None and self.method == "HEAD":
            found = leaf.methods.get("GET")
        if found is None:
            self.seen = (self.seen or set()) | leaf.methods.keys()
        return found

    def allowed(self) -> frozenset[str] | None:
        if self.seen is None:
            return None
        return frozenset(self.seen | {"OPTIONS"} | ({"HEAD"} if "GET" in self.seen else set()))


def trimmed(path: str) -> str:
    """Without the one trailing slash that means nothing. ``//`` and ``/a//`` keep theirs, and so match nothing."""
    return path[:-1] if len(path) > 1 and path[-1] == "/" and path[-2] != "/" else path
