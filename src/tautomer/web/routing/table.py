"""PatternTable: from a method and a path to the pattern that takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

from tautomer.web.routing.patterns import ANY_METHOD, EVERY_METHOD, METHODS, Part, Pattern, fold, trimmed

__all__ = ["PatternTable"]

T = TypeVar("T")

# Expressions are matched against values of at most this length (reliability reference, section 5.1).
VALUE_CHARS_MAX: Final = 256

Parts: TypeAlias = "tuple[Part, ...]"


def _values(parts: Parts, segment: str, compared: str) -> list[str] | None:
    """Values of a segment that mixes text and values, or None.

    Linear: each text is searched once, from the right, so that what comes first takes all it can: of ``a.b.c`` the
    ``:ext`` in ``:name.:ext`` is ``c``, as with moleculer-web 0.11.

    Args:
        compared: The segment in the form in which the text of `parts` is.
    """
    head, tail = parts[0], parts[-1]
    assert isinstance(head, str)
    assert isinstance(tail, str)
    first, end = len(head), len(segment) - len(tail)
    if not compared.startswith(head) or not compared.endswith(tail):
        return None
    values: list[str] = []
    for text in parts[-3:0:-2]:
        assert isinstance(text, str)
        # Every value has a character at least.
        found = compared.rfind(text, first + 1, end - 1)
        if found < 0:
            return None
        values.append(segment[found + len(text) : end])
        end = found
    if end <= first:
        return None
    values.append(segment[first:end])
    values.reverse()
    for expression, value in zip(parts[1::2], values, strict=True):
        if isinstance(expression, re.Pattern) and (len(value) > VALUE_CHARS_MAX or not expression.fullmatch(value)):
            return None
    return values


@dataclass(slots=True)
class _Leaf(Generic[T]):
    """What one pattern leads to: method to target, with the names of the values as that alias wrote them."""

    methods: dict[str, tuple[T, tuple[str, ...]]] = field(default_factory=dict)
    turns: dict[str, int] = field(default_factory=dict)

    def add(self, method: str, target: T, names: tuple[str, ...], turn: int) -> bool:
        """Take every method that is still free. Returns whether there was one."""
        wanted = METHODS if method == ANY_METHOD else (method,)
        free = [one for one in wanted if one not in self.methods]
        for one in free:
            self.methods[one] = (target, names)
            self.turns[one] = turn
        return bool(free)


@dataclass(slots=True)
class _Node(Generic[T]):
    """A place in the tree of segments.

    Attributes:
        texts: Below it by text, folded.
        cased: Below it by text of which the case counts.
        mixed: Below it by values mixed with text, or that must fit an expression; and whether the case counts.
        value: Below it by any segment.
        leaf: What ends here.
        rest: What takes all that comes.
    """

    texts: dict[str, _Node[T]] = field(default_factory=dict)
    cased: dict[str, _Node[T]] = field(default_factory=dict)
    mixed: dict[tuple[Parts, bool], _Node[T]] = field(default_factory=dict)
    value: _Node[T] | None = None
    leaf: _Leaf[T] | None = None
    rest: _Leaf[T] | None = None


class PatternTable(Generic[T]):
    """Finds the target of a method and a path: the most specific pattern that has the method.

    Text is more specific than text mixed with values, that than a value, that than the rest of the
    path; segments count from the left. Of equal patterns the one added first has the method.

    Args:
        declared: Whether instead whatever was added first wins, however general it is. That costs a longer search.

    Attributes:
        exact: Path as an alias spells it, then method, to the target: the quick way for patterns
            without values. That something is not in here says nothing.
    """

    __slots__ = ("_declared", "_dynamic", "_last", "_root", "_shortcuts", "_static", "_turn", "exact")

    def __init__(self, declared: bool = False) -> None:
        self._declared = declared
        self._shortcuts = not declared
        self._turn = 0
        self._static: dict[str, _Leaf[T]] = {}
        # What lies before a value that ends the path, as in `/users/:id`, to the node there: by far the most common form.
        self._last: dict[str, _Node[T]] = {}
        self._root: _Node[T] = _Node()
        self._dynamic = False
        self.exact: dict[str, Mapping[str, T]] = {}

    def add(self, method: str, pattern: Pattern, target: T) -> bool:
        """Add an alias. Returns False where an earlier one has all of its methods already."""
        self._turn += 1
        if pattern.sensitive:
            # Its text is as specific as that of others, and is found by the whole search only.
            self._shortcuts = False
            self._last.clear()
        if not pattern.is_static or pattern.sensitive or self._declared:
            self._dynamic = True
            return self._leaf(pattern).add(method, target, pattern.names, self._turn)
        folded = fold(pattern.text)
        leaf = self._static.setdefault(folded, _Leaf())
        added = leaf.add(method, target, (), self._turn)
        self.exact[pattern.text] = self.exact[folded] = {name: found for name, (found, _) in leaf.methods.items()}
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
        search: _Search[T] = _DeclaredSearch(method) if self._declared else _Search(method)
        if leaf is not None:
            found = search.take(leaf)
            if found is not None:
                return found[0], {}
        if self._dynamic and "//" not in path:
            search.segments = path[1:].split("/") if path != "/" else []
            search.folds = search.segments if folded == path else folded[1:].split("/")
            walked = search.walk(self._root, 0, ()) or search.best
            if walked is not None:
                (target, names), values = walked
                return target, dict(zip(names, values, strict=True))
        return search.allowed()

    def _is_nowhere(self, folded: str) -> bool:
        """Whether nothing but text could match, and does not: so it is with most of what scanners ask for."""
        node = self._root
        if node.leaf is not None:
            return False
        for text in folded[1:].split("/"):
            if node.value is not None or node.mixed or node.rest is not None or node.cased:
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
                texts = node.cased if pattern.sensitive else node.texts
                text = parts[0]
                assert isinstance(text, str)
                node = texts.setdefault(text, _Node())
            elif parts == ("", None, ""):
                if at == len(pattern.segments):
                    self._note_last(pattern, node)
                node.value = node.value or _Node()
                node = node.value
            else:
                node = node.mixed.setdefault((parts, pattern.sensitive), _Node())
        if pattern.wildcard:
            node.rest = node.rest or _Leaf()
            return node.rest
        node.leaf = node.leaf or _Leaf()
        return node.leaf

    def _note_last(self, pattern: Pattern, node: _Node[T]) -> None:
        before = pattern.segments[:-1]
        if self._shortcuts and all(len(text) == 1 for text in before):
            self._last["".join(f"/{text[0]}" for text in before)] = node


_Hit: TypeAlias = "tuple[tuple[T, tuple[str, ...]], tuple[str, ...]]"


class _Search(Generic[T]):
    """One search: for the first leaf, most specific first, that has the method."""

    __slots__ = ("best", "folds", "method", "seen", "segments")

    def __init__(self, method: str) -> None:
        self.method = method
        self.segments: list[str] = []
        self.folds: list[str] = []
        self.seen: set[str] | None = None
        self.best: _Hit[T] | None = None

    def walk(self, node: _Node[T], at: int, values: tuple[str, ...]) -> _Hit[T] | None:
        """The target below this node and the values on the way to it, or None.

        Each node is entered at one depth only, so the work is bounded by the number of patterns.
        """
        if at == len(self.segments):
            return self.settle(node.leaf, values)
        if node.cased and (below := node.cased.get(self.segments[at])) is not None:
            hit = self.walk(below, at + 1, values)
            if hit is not None:
                return hit
        child = node.texts.get(self.folds[at])
        if child is not None and (hit := self.walk(child, at + 1, values)) is not None:
            return hit
        if node.mixed:
            for (parts, sensitive), child in node.mixed.items():
                segment = self.segments[at]
                got = _values(parts, segment, segment if sensitive else self.folds[at])
                if got is not None and (hit := self.walk(child, at + 1, (*values, *got))) is not None:
                    return hit
        if node.value is not None:
            hit = self.walk(node.value, at + 1, (*values, self.segments[at]))
            if hit is not None:
                return hit
        return None if node.rest is None else self.settle(node.rest, (*values, "/".join(self.segments[at:])))

    def settle(self, leaf: _Leaf[T] | None, values: tuple[str, ...]) -> _Hit[T] | None:
        """The end of the search, if the leaf has the method."""
        found = self.take(leaf)
        return None if found is None else (found, values)

    def take(self, leaf: _Leaf[T] | None) -> tuple[T, tuple[str, ...]] | None:
        """What the leaf has for the method; else its methods are remembered."""
        if leaf is None:
            return None
        method = self.answered_by(leaf)
        if method is None:
            self.seen = (self.seen or set()) | leaf.methods.keys()
            return None
        return leaf.methods[method]

    def answered_by(self, leaf: _Leaf[T]) -> str | None:
        """The method of the leaf that answers this one."""
        if self.method in leaf.methods:
            return self.method
        if self.method == "HEAD" and "GET" in leaf.methods:
            return "GET"
        return EVERY_METHOD if EVERY_METHOD in leaf.methods else None

    def allowed(self) -> frozenset[str] | None:
        if self.seen is None:
            return None
        return frozenset(self.seen | {"OPTIONS"} | ({"HEAD"} if "GET" in self.seen else set()))


class _DeclaredSearch(_Search[T]):
    """One search: for the leaf, of all that fit and have the method, that was added first."""

    __slots__ = ("_turn",)

    def __init__(self, method: str) -> None:
        super().__init__(method)
        self._turn = 0

    def settle(self, leaf: _Leaf[T] | None, values: tuple[str, ...]) -> _Hit[T] | None:
        """Keep it, if it is the earliest so far, and go on."""
        found = self.take(leaf)
        if leaf is not None and found is not None:
            turn = leaf.turns[self.answered_by(leaf) or self.method]
            if self.best is None or turn < self._turn:
                self.best, self._turn = (found, values), turn
        return None
