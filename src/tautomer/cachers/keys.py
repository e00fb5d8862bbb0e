"""Keys of cached results, byte for byte as Moleculer for Node.js makes them (protocol section 11.3).

Node's text of params can be read in two ways: ``{"a": {"b": 1}, "c": 2}`` and ``{"a": {"b": 1, "c": 2}}`` give the same,
and a text with quotes can look like two. Whoever chooses the params could then be given, or leave behind, the
answer to somebody else's question (promise S3). So where it can be misread, a hash of the params is appended: such
an entry is not shared with Node's, and is never the wrong one. Everything else has Node's very key.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import chain
from typing import Any, Final, Literal, TypeAlias

import msgspec

from tautomer.context import Context
from tautomer.instances import is_instance_of_model, to_plain
from tautomer.validation.javascript import MISSING, to_text

__all__ = ["HASH_CHARS", "KeyFormat", "Keygen", "key_maker", "limited"]

KeyFormat: TypeAlias = Literal["0.15", "0.14"]
Keygen: TypeAlias = Callable[[Context[Any]], str | None]

HASH_CHARS: Final = 44
"""Of SHA-256 in base 64. Node takes a limit under it for none."""

_BIG: Final = 10**21  # From here on JavaScript writes an exponent.
_STEPS: Final = re.compile(r"[^.\[\]\"']+")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_INDEX_MAX: Final = 2**32 - 2
_NAME_RISKS: Final = re.compile(r"[|\"\[\]~]|^$")
_BARE_RISKS: Final = re.compile(r"[|\[\]~]|^(?:null|undefined|true|false|)$|^.{43,}=$", re.DOTALL)


class _Text:
    """Text of values for one key.

    Attributes:
        plain: Whether nothing else has the same text.
    """

    __slots__ = ("_quoted", "plain")

    def __init__(self, quoted: bool) -> None:
        self._quoted = quoted
        self.plain = True

    def of(self, value: Any, depth: int = 0) -> str:
        """Of any value.

        Raises:
            TypeError: It has none.
        """
        if isinstance(value, str):
            return self._of_text(value)
        if value is MISSING:
            return "undefined" if self._quoted else "null"
        if value is None or isinstance(value, bool | int | float):
            return to_text(value)
        if isinstance(value, Mapping):
            return self._of_mapping(value, depth)
        if isinstance(value, list | tuple):
            return f"[{'|'.join([self.of(one, depth + 1) for one in value])}]"
        if isinstance(value, datetime):
            return str(round(value.timestamp() * 1000))
        return self.of(msgspec.to_builtins(value), depth)

    def _of_text(self, text: str) -> str:
        if self._quoted:
            self.plain = self.plain and '"' not in text
            return f'"{text}"'
        self.plain = self.plain and not _BARE_RISKS.search(text)
        return text

    def _of_mapping(self, value: Mapping[Any, Any], depth: int) -> str:
        named = {name if type(name) is str else to_text(name): one for name, one in value.items()}
        self.plain = self.plain and not depth and not any(map(_NAME_RISKS.search, named))
        pairs = ((name, self.of(named[name], depth + 1)) for name in _in_order(named))
        return "|".join(chain.from_iterable(pairs))


def key_maker(
    name: str, keys: Sequence[str] | None, key_format: KeyFormat = "0.15", length_max: int = 0, exact: bool = False
) -> Keygen:
    """What makes the keys of one action.

    Args:
        name: Of the action, in full.
        keys: What of a call its result depends on: paths in the params, in the meta (``#user.id``) and, for 0.15, in
            the headers (``@name``). None: all params.
        length_max: Characters after the name; what is longer ends in a hash. Under 44: no limit.
        exact: Node's keys even where they can be misread.

    Returns:
        A function from a context to its key, or to None: not to be cached, as a value of the meta is missing (or null), or
        the params have no text.
    """
    if keys is not None and not keys:
        return lambda _ctx: name
    quoted = key_format == "0.15"
    looks = None if keys is None else [_look(key, quoted) for key in keys]
    private = [] if keys is None else [n for n, key in enumerate(keys) if key.startswith("#")]

    def make(ctx: Context[Any]) -> str | None:
        text = _Text(quoted)
        values = [_plain(ctx.params)] if looks is None else [look(ctx) for look in looks]
        for place in private:
            if values[place] is None or values[place] is MISSING:
                return None
        try:
            part = _part(text, values, quoted, length_max, single=looks is None or len(looks) == 1)
            mark = "" if exact or text.plain else f"~{_digest(values)}"
        except (TypeError, ValueError, RecursionError):
            return None
        return f"{name}:{part}{mark}"

    if not quoted:
        return make
    room = length_max // 2 if length_max >= HASH_CHARS else _BIG
    if keys is None or looks is None:
        return _of_all(name, room, make)
    if len(keys) == 1 and _STEPS.fullmatch(keys[0]) and keys[0][0] not in "#@":
        return _of_one(name, keys[0], room, make)
    return _of_some(name, looks, frozenset(private), room, make)


def _of_all(name: str, room: int, otherwise: Keygen) -> Keygen:
    """The usual case, flat params, without all that other cases need. `room`: characters that are surely not too many."""

    def make(ctx: Context[Any]) -> str | None:
        params = ctx.params
        if type(params) is not dict:
            return otherwise(ctx)
        parts = []
        for key, value in params.items():
            # An identifier is no index, and cannot be misread.
            if type(key) is not str or not key.isidentifier() or (text := _quick(value)) is None:
                return otherwise(ctx)
            parts.append(f"{key}|{text}")
        part = "|".join(parts)
        return f"{name}:{part}" if len(part) <= room else otherwise(ctx)

    return make


def _of_some(
    name: str,
    looks: Sequence[Callable[[Context[Any]], Any]],
    private: frozenset[int],
    room: int,
    otherwise: Keygen,
) -> Keygen:
    """The same for values that were named."""

    def make(ctx: Context[Any]) -> str | None:
        parts = []
        for place, find in enumerate(looks):
            value = find(ctx)
            if (value is None and place in private) or (text := _quick(value)) is None:
                return otherwise(ctx)
            parts.append(text)
        part = "|".join(parts)
        return f"{name}:{part}" if len(part) <= room else otherwise(ctx)

    return make


def _of_one(name: str, key: str, room: int, otherwise: Keygen) -> Keygen:
    """The same for one name in the params, the most usual of all; nothing here is called but what C does."""

    def make(ctx: Context[Any]) -> str | None:
        params = ctx.params
        if type(params) is dict:
            value: Any = params.get(key)
            kind = type(value)
            if kind is int:
                if -_BIG < value < _BIG:
                    return f"{name}:{value}"
            elif kind is str and '"' not in value and len(value) < room - 1:
                return f'{name}:"{value}"'
        return otherwise(ctx)

    return make


def _quick(value: Any) -> str | None:
    """Text of a value as 0.15 has it, where it is simple; None: ask `_Text`."""
    kind = type(value)
    if kind is str:
        return None if '"' in value else f'"{value}"'
    if kind is int:
        return str(value) if -_BIG < value < _BIG else None
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    return None


def _part(text: _Text, values: Sequence[Any], quoted: bool, length_max: int, *, single: bool) -> str:
    if single:
        (value,) = values
        # 0.14 writes a value that is not there as such only where it stands alone or in a row.
        return limited("undefined" if value is MISSING else text.of(value), length_max)
    parts = []
    for value in values:
        part = "undefined" if value is MISSING else text.of(value, int(isinstance(value, Mapping)))
        is_simple = value is MISSING or value is None or isinstance(value, str | bool | int | float)
        parts.append(part if is_simple else limited(part, length_max))
    return limited("|".join(parts), length_max)


def limited(part: str, length_max: int) -> str:
    """A text that is too long with a hash in place of its end. As Node's `_hashedKey` it counts and cuts UTF-16 units."""
    if length_max < HASH_CHARS or (len(part) * 2 <= length_max or (len(part) <= length_max and part.isascii())):
        return part
    units = part.encode("utf-16-le", "surrogatepass")
    if len(units) <= 2 * length_max:
        return part
    head = units[: 2 * (length_max - HASH_CHARS)].decode("utf-16-le", "replace")
    return head + b64encode(sha256(part.encode("utf-8", "replace")).digest()).decode()


def _digest(values: Sequence[Any]) -> str:
    """Of what the values are, told so that nothing else is told alike."""
    told = msgspec.json.encode([None if value is MISSING else [value] for value in values])
    return b64encode(sha256(told).digest()[:16], b"-_").decode().rstrip("=")


def _in_order(named: Mapping[str, Any]) -> list[str]:
    """The names in JavaScript's order: indexes first, by size, then as they were put in."""
    names = list(named)
    indexes = [name for name in names if _INDEX.fullmatch(name) and int(name) <= _INDEX_MAX]
    return names if not indexes else [*sorted(indexes, key=int), *(name for name in names if name not in indexes)]


def _look(key: str, with_headers: bool) -> Callable[[Context[Any]], Any]:
    """What finds the value that a key names, `MISSING` if there is none."""
    in_meta, in_headers = key.startswith("#"), with_headers and key.startswith("@")
    path = key[1:] if in_meta or in_headers else key
    steps = _STEPS.findall(path)
    if in_meta:
        return lambda ctx: _at(ctx._meta, path, steps)
    if in_headers:
        return lambda ctx: _at(ctx._headers, path, steps)
    if steps != [path]:
        return lambda ctx: _at(_plain(ctx.params), path, steps)

    def look(ctx: Context[Any]) -> Any:
        params = ctx.params
        return params.get(path, MISSING) if type(params) is dict else _at(_plain(params), path, steps)

    return look


def _plain(params: Any) -> Any:
    """An instance of a model as it would arrive at another node: it has no items to be found by their names."""
    return to_plain(params) if is_instance_of_model(params) else params


def _at(place: Any, path: str, steps: Sequence[str]) -> Any:
    """lodash's `get`: the whole path may be a name by itself."""
    if isinstance(place, dict | Mapping) and path in place:
        return place[path]
    for step in steps:
        if isinstance(place, dict | Mapping):  # `dict` by itself as asking about a Mapping is dear.
            place = place.get(step, MISSING)
        elif isinstance(place, list | tuple | str):
            if step == "length":
                place = len(place)
            else:
                place = place[int(step)] if _INDEX.fullmatch(step) and int(step) < len(place) else MISSING
        else:
            return MISSING
    return place
