"""HeaderLines: headers that a hook may read and change, in their order, with those that come several times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from typing import TypeAlias

__all__ = ["HeaderLines", "HeaderValue"]

HeaderValue: TypeAlias = "str | int | Sequence[str]"


class HeaderLines(MutableMapping[str, str]):
    """Header lines, by names in any case. Several of one name are read as one text, joined by ``", "``.

    Setting a name replaces all its lines; a list sets several. Iterates over the names as they came, each once.

    Args:
        lines: Pairs, or a mapping whose values may be lists.

    Attributes:
        pairs: Every line: (name, value).
    """

    __slots__ = ("pairs",)

    def __init__(self, lines: Iterable[tuple[str, str]] | Mapping[str, HeaderValue] = ()) -> None:
        self.pairs: list[tuple[str, str]] = []
        if isinstance(lines, HeaderLines):
            self.pairs = [*lines.pairs]
        elif isinstance(lines, Mapping):
            for name, value in lines.items():
                self.pairs += [(name, one) for one in _values(value)]
        else:
            self.pairs = [*lines]

    def __getitem__(self, name: str) -> str:
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        return ("; " if name.lower() == "cookie" else ", ").join(values)

    def __setitem__(self, name: str, value: HeaderValue) -> None:
        lower = name.lower()
        at = next((at for at, (known, _) in enumerate(self.pairs) if known.lower() == lower), len(self.pairs))
        after = [pair for pair in self.pairs[at:] if pair[0].lower() != lower]
        self.pairs = [*self.pairs[:at], *((name, one) for one in _values(value)), *after]

    def __delitem__(self, name: str) -> None:
        left = [pair for pair in self.pairs if pair[0].lower() != name.lower()]
        if len(left) == len(self.pairs):
            raise KeyError(name)
        self.pairs = left

    def __iter__(self) -> Iterator[str]:
        seen: dict[str, str] = {}
        for name, _ in self.pairs:
            seen.setdefault(name.lower(), name)
        return iter(seen.values())

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.pairs})

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(known.lower() == name.lower() for known, _ in self.pairs)

    def __repr__(self) -> str:
        return f"HeaderLines({', '.join(self)})"  # Without values: they may be secrets.

    def getlist(self, name: str) -> list[str]:
        """The lines of one name, not joined."""
        return [value for known, value in self.pairs if known.lower() == name.lower()]

    def add(self, name: str, value: str) -> None:
        """One line more, at the end."""
        self.pairs.append((name, value))


def _values(value: HeaderValue) -> list[str]:
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return [str(value)]
