"""Query strings and forms, read as the `qs` package of Node reads them (gateway reference, section 3.3).

Where it differs on purpose: too much is refused rather than cut, and names such as ``__proto__`` are
ordinary keys, as they mean nothing here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, Union
from urllib.parse import unquote_to_bytes

from tautomer.errors import BadRequestError
from tautomer.web.messages.limits import DEFAULT_LIMITS, HttpLimits

__all__ = ["FORM_RULES", "QUERY_RULES", "QueryRules", "QueryValue", "parse_query"]

QueryValue: TypeAlias = Union[str, "list[QueryValue]", "dict[str, QueryValue]"]

_LIST_MAX = 20
_INDEX_MAX = 100

_OPEN = re.compile("%5B", re.IGNORECASE)
_CLOSE = re.compile("%5D", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_BRACKET = re.compile(r"[\[\]]")
_INDEX = re.compile(r"0|[1-9][0-9]*")
# Charsets whose escapes are UTF-8 (URL standard): those that have more than one byte for a character, and ASCII.
_UNICODE = frozenset({"utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be"})
_DOT = re.compile(r"\.([^.\[\]]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRules:
    """What of the syntax of `qs` is read, by its options.

    Attributes:
        depth: Brackets that nest; what is deeper stays together in one key, such as ``[g][h]``. 0: none do, a key is a key.
        list_max: An index from here on, or more values than this in ``a[]``, makes an object with index keys of a list.
        comma: ``a=1,2`` is a list. A comma that is escaped is none.
        dots: ``a.b=1`` is ``a[b]=1``.
        pairs_max: In place of `HttpLimits.pairs_max`; None for that.
        depth_max: In place of `HttpLimits.pair_depth_max`, likewise.
    """

    depth: int = 5
    list_max: int = _LIST_MAX
    comma: bool = False
    dots: bool = False
    pairs_max: int | None = None
    depth_max: int | None = None


QUERY_RULES = QueryRules()
FORM_RULES = QueryRules(depth=sys.maxsize, list_max=_INDEX_MAX)
"""Of a form all brackets nest that the limits let in, as with body-parser."""


class _Sparse(dict[int, "_Node"]):
    """A list in the making, with holes: position to value. Closed up at the end."""

    __slots__ = ()

    def push(self, value: _Node) -> None:
        self[max(self) + 1 if self else 0] = value


class _Counted(dict[str, "_Node"]):
    """A list that grew too long and became an object, but still takes values at its end."""

    __slots__ = ()

    def push(self, value: _Node) -> None:
        indexes = [int(key) for key in self if _INDEX.fullmatch(key)]
        self[str(max(indexes) + 1 if indexes else 0)] = value


_Node: TypeAlias = Union[str, _Sparse, "dict[str, _Node]"]


def parse_query(
    text: str, limits: HttpLimits = DEFAULT_LIMITS, rules: QueryRules = QUERY_RULES, charset: str = "utf-8"
) -> dict[str, QueryValue]:
    """Read ``a=1&b[]=2&c[d]=3`` into ``{"a": "1", "b": ["2"], "c": {"d": "3"}}``. Values are always strings.

    Args:
        charset: What its escapes are in, as Python names it.

    Raises:
        BadRequestError: `TOO_MANY_PARAMS` for more pairs or brackets than the limits let in, or for a list
            index over 100.
    """
    if not text:
        return {}
    plain = "&" not in text and "%" not in text and "+" not in text and "[" not in text and "]" not in text
    if plain and rules is QUERY_RULES:
        # One plain pair, as in `?page=2`, needs none of the rules.
        key, _, value = text.partition("=")
        return {key: value} if key else {}
    pairs_max = limits.pairs_max if rules.pairs_max is None else rules.pairs_max
    if pairs_max and text.count("&") + (text.count(",") if rules.comma else 0) >= pairs_max:
        raise BadRequestError("TOO_MANY_PARAMS", {"reason": f"more than {pairs_max} parameters"})
    if "%5" in text:
        text = _CLOSE.sub("]", _OPEN.sub("[", text))
    values = _collect(text, rules, _decoded if charset in _UNICODE else partial(_decoded_from, charset))
    if not rules.depth or not ("[" in text or rules.dots or rules.comma):
        return {
            key: _closed(found[0]) if len(found) == 1 else [_closed(one) for one in found]
            for key, found in values.items()
            if key
        }
    depth_max = limits.pair_depth_max if rules.depth_max is None else rules.depth_max
    root: dict[str, _Node] = {}
    for key, found in values.items():
        if key:
            branch = _branch(_segments(key, rules.depth, depth_max), found, rules.list_max)
            merged = _merge(root, branch)
            assert isinstance(merged, dict)
            assert not isinstance(merged, _Sparse)
            root = merged
    return {key: _closed(value) for key, value in root.items()}


def _collect(text: str, rules: QueryRules, decoded: Callable[[str], str]) -> dict[str, list[_Node]]:
    """Values by whole key, in order of first appearance."""
    values: dict[str, list[_Node]] = {}
    for part in text.split("&"):
        # In `a[b=c]=d` the key ends at the bracket.
        at = part.find("]=") + 1 or part.find("=")
        key, value = (part, "") if at < 0 else (part[:at], part[at + 1 :])
        listed = key.endswith("[]")
        key = decoded(key)
        found = values.setdefault(_DOT.sub(r"[\1]", key) if rules.dots else key, [])
        if not rules.comma or "," not in value:
            found.append(decoded(value))
        elif listed:
            found.append(_Sparse(enumerate(map(decoded, value.split(",")))))
        else:
            found.extend(map(decoded, value.split(",")))
    return values


def _decoded(text: str) -> str:
    """As JavaScript's decodeURIComponent, but text with a broken escape stays as it stands."""
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text or _BAD_ESCAPE.search(text):
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return text


def _decoded_from(charset: str, text: str) -> str:
    """The same for escapes in a charset of one byte for each character."""

    def read(escapes: re.Match[str]) -> str:
        try:
            return unquote_to_bytes(escapes[0]).decode(charset)
        except UnicodeDecodeError:
            return escapes[0]

    return _ESCAPES.sub(read, text.replace("+", " "))


def _segments(key: str, depth: int, depth_max: int) -> list[str]:
    """``a[b][]`` to ``["a", "[b]", "[]"]``. Brackets inside of others belong to the name; one without end takes all."""
    at = key.find("[")
    parent = key if at < 0 else key[:at]
    segments = [parent] if parent else []
    groups = 0
    while at >= 0:
        end = _group_end(key, at)
        if groups == depth or (end < 0 and groups < depth):
            segments.append(f"[{key[at:]}]")
        if end < 0:
            break
        groups += 1
        if depth_max and groups > depth_max:
            raise BadRequestError(
                "TOO_MANY_PARAMS", {"reason": f"a parameter is nested deeper than {depth_max} levels"}
            )
        if groups <= depth:
            segments.append(key[at:end])
        at = key.find("[", end)
    return segments


def _group_end(key: str, start: int) -> int:
    """Where the bracket that opens at `start` is closed; -1 where it is not."""
    level = 0
    for bracket in _BRACKET.finditer(key, start):
        level += 1 if bracket[0] == "[" else -1
        if not level:
            return bracket.end()
    return -1


def _leaf(values: list[_Node]) -> _Node:
    only = values[0] if len(values) == 1 else None
    # A list that came as the only value of `a[]` is an item of it.
    return _Sparse(enumerate(values)) if only is None or isinstance(only, _Sparse) else only


def _branch(segments: list[str], values: list[_Node], list_max: int) -> _Node:
    """The tree that holds the values at the end of this one path."""
    node = _leaf(values)
    for segment in reversed(segments):
        name = segment[1:-1] if segment[0] == "[" and segment[-1] == "]" else segment
        if segment == "[]":
            node = _listed(node, list_max)
        elif name != segment and _INDEX.fullmatch(name):
            # Length first: a name of a million digits must not be made a number.
            if len(name) > 3 or int(name) > _INDEX_MAX:
                raise BadRequestError("TOO_MANY_PARAMS", {"reason": f"a list index is over {_INDEX_MAX}"})
            node = _Sparse({int(name): node}) if int(name) < list_max else _Counted({name: node})
        else:
            node = {name: node}
    return node


def _listed(node: _Node, list_max: int) -> _Node:
    if isinstance(node, _Counted):
        return node
    if not isinstance(node, _Sparse):
        return _Sparse({0: node})
    if max(node) < list_max:
        return node
    return _Counted((str(index), item) for index, item in node.items())


def _merge(target: _Node, source: _Node) -> _Node:
    """Put two trees for the same place together; `target` came first."""
    if isinstance(source, str):
        if source == "":
            return target
        if isinstance(target, (_Sparse, _Counted)):
            target.push(source)
            return target
        return _Sparse({0: target, 1: source})
    if isinstance(target, str):
        if isinstance(source, _Sparse):
            return _listed(_Sparse({0: target, **{index + 1: value for index, value in source.items()}}), _LIST_MAX)
        if isinstance(source, _Counted):
            return _Counted({"0": target, **{str(int(key) + 1): value for key, value in source.items()}})
        return _Sparse({0: target, 1: source})
    if isinstance(target, _Sparse):
        if isinstance(source, _Sparse):
            return _merge_lists(target, source)
        target = {str(index): target[index] for index in sorted(target)}
    if isinstance(source, _Counted) and not isinstance(target, _Counted):
        target = _Counted(target)
    named = {str(index): source[index] for index in sorted(source)} if isinstance(source, _Sparse) else source
    for key, value in named.items():
        target[key] = _merge(target[key], value) if key in target else value
    return target


def _merge_lists(target: _Sparse, source: _Sparse) -> _Sparse:
    for index in sorted(source):
        item = source[index]
        there = target.get(index)
        if there is None:
            target[index] = item
        elif isinstance(there, dict) and isinstance(item, dict):
            target[index] = _merge(there, item)
        else:
            target.push(item)
    return target


def _closed(node: _Node) -> QueryValue:
    if isinstance(node, str):
        return node
    if isinstance(node, _Sparse):
        return [_closed(node[index]) for index in sorted(node)]
    return {key: _closed(value) for key, value in node.items()}
