"""Query strings and forms, read as the `qs` package of Node reads them (gateway reference, section 3.3).

Where it differs on purpose: too much is refused rather than cut, and names such as ``__proto__`` are
ordinary keys, as they mean nothing here.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TypeAlias, Union
from urllib.parse import unquote_to_bytes

from tautomer.errors import BadRequestError
from tautomer.web.limits import DEFAULT_LIMITS, HttpLimits

__all__ = ["QueryValue", "parse_query"]

QueryValue: TypeAlias = Union[str, "list[QueryValue]", "dict[str, QueryValue]"]

# Of `qs`: an index from here on, or more values than this in `a[]`, makes an object with index keys of a list.
_LIST_MAX = 20
# Of `qs`: what is deeper stays together in one key, such as "[g][h]".
_DEPTH_MAX = 5
_INDEX_MAX = 100

_OPEN = re.compile("%5B", re.IGNORECASE)
_CLOSE = re.compile("%5D", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_GROUP = re.compile(r"\[[^\[\]]*\]")
_INDEX = re.compile(r"0|[1-9][0-9]*")


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


def parse_query(text: str, limits: HttpLimits = DEFAULT_LIMITS) -> dict[str, QueryValue]:
    """Read ``a=1&b[]=2&c[d]=3`` into ``{"a": "1", "b": ["2"], "c": {"d": "3"}}``. Values are always strings.

    Raises:
        BadRequestError: `TOO_MANY_PARAMS` for more pairs or brackets than the limits let in, or for a list
            index over 100.
    """
    if not text:
        return {}
    if "&" not in text and "%" not in text and "+" not in text and "[" not in text and "]" not in text:
        # One plain pair, as in `?page=2`, needs none of the rules.
        key, _, value = text.partition("=")
        return {key: value} if key else {}
    if limits.pairs_max and text.count("&") >= limits.pairs_max:
        raise BadRequestError("TOO_MANY_PARAMS", {"reason": f"more than {limits.pairs_max} parameters"})
    if "%5" in text:
        text = _CLOSE.sub("]", _OPEN.sub("[", text))
    values = _collect(text)
    if "[" not in text:
        return {key: value[0] if len(value) == 1 else list(value) for key, value in values.items() if key}
    root: dict[str, _Node] = {}
    for key, found in values.items():
        if key:
            branch = _branch(_segments(key, limits.pair_depth_max), found)
            merged = _merge(root, branch)
            assert isinstance(merged, dict)
            assert not isinstance(merged, _Sparse)
            root = merged
    return {key: _closed(value) for key, value in root.items()}


def _collect(text: str) -> dict[str, list[str]]:
    """Values by whole key, in order of first appearance."""
    values: dict[str, list[str]] = {}
    for part in text.split("&"):
        # In `a[b=c]=d` the key ends at the bracket.
        at = part.find("]=") + 1 or part.find("=")
        key, value = (part, "") if at < 0 else (part[:at], part[at + 1 :])
        values.setdefault(_decoded(key), []).append(_decoded(value))
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


def _segments(key: str, depth_max: int) -> list[str]:
    """``a[b][]`` to ``["a", "[b]", "[]"]``."""
    groups = list(islice(_GROUP.finditer(key), depth_max + 1 if depth_max else None))
    if depth_max and len(groups) > depth_max:
        raise BadRequestError("TOO_MANY_PARAMS", {"reason": f"a parameter is nested deeper than {depth_max} levels"})
    parent = key[: groups[0].start()] if groups else key
    segments = [parent] if parent else []
    segments += [group.group() for group in groups[:_DEPTH_MAX]]
    if len(groups) > _DEPTH_MAX:
        segments.append(f"[{key[groups[_DEPTH_MAX].start() :]}]")
    return segments


def _branch(segments: list[str], values: list[str]) -> _Node:
    """The tree that holds the values at the end of this one path."""
    node: _Node = values[0] if len(values) == 1 else _Sparse(enumerate(values))
    for segment in reversed(segments):
        name = segment[1:-1] if segment[0] == "[" and segment[-1] == "]" else segment
        if segment == "[]":
            node = _listed(node)
        elif name != segment and _INDEX.fullmatch(name):
            # Length first: a name of a million digits must not be made a number.
            if len(name) > 3 or int(name) > _INDEX_MAX:
                raise BadRequestError("TOO_MANY_PARAMS", {"reason": f"a list index is over {_INDEX_MAX}"})
            node = _Sparse({int(name): node}) if int(name) < _LIST_MAX else _Counted({name: node})
        else:
            node = {name: node}
    return node


def _listed(node: _Node) -> _Node:
    if isinstance(node, _Counted):
        return node
    if not isinstance(node, _Sparse):
        return _Sparse({0: node})
    if max(node) < _LIST_MAX:
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
            return _listed(_Sparse({0: target, **{index + 1: value for index, value in source.items()}}))
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
