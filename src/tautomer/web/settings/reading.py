"""Reading what a person wrote: each value checked, every fault kept, unknown keys told with the nearest known one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from tautomer.settings import nearest
from tautomer.web.routing.aliases import snake
from tautomer.web.settings.methods import Methods

D = TypeVar("D")
T = TypeVar("T")

IN_FLIGHT_MAX: Final = 100

# Values that ask for nothing, so that it does no harm that nothing comes of them.
_NOTHING: Final[tuple[object, ...]] = (None, False)
# Nobody lets a client wait for a quarter of an hour; milliseconds begin here.
_SECONDS_DOUBTFUL: Final = 1000.0
_HARMLESS: Final[dict[str, tuple[object, ...]]] = {}


class Notes:
    """What was found wrong (`faults`) or doubtful (`warnings`) while reading, in order.

    Args:
        methods: Methods of the gateway's service that settings may name.
    """

    def __init__(self, methods: Methods | None = None) -> None:
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.methods = methods or Methods({})


class Reader:
    """Takes the values of one mapping out, each checked. `close` names what is left over.

    Args:
        given: What a person wrote; anything but a mapping is a fault.
        where: Place of the mapping for messages, such as ``settings.routes[0]``.
        later: Keys that are known but not built yet, with a hint for each.
    """

    def __init__(self, given: object, where: str, notes: Notes, later: Mapping[str, str] | None = None) -> None:
        self.where = where
        self.notes = notes
        self._later = later or {}
        self._known: list[str] = []
        self._left: dict[str, tuple[str, object]] = {}
        if not isinstance(given, Mapping):
            notes.faults.append(f"{where} is a mapping, not {given!r:.80}")
            return
        for key, value in given.items():
            short = snake(str(key))
            if short in self._left:
                notes.faults.append(f"{where}.{key} is given twice, in both spellings")
            self._left[short] = (str(key), value)

    def take(self, name: str, default: D, check: Callable[[object], T]) -> D | T:
        """The value under `name`, or the default. None counts as not given. `check` raises ValueError on a bad one."""
        self._known.append(name)
        key, value = self._left.pop(name, (name, None))
        if value is None:
            return default
        try:
            return check(value)
        except ValueError as error:
            self.notes.faults.append(f"{self.where}.{key} {error}")
            return default

    def seconds(self, name: str, default: float | None) -> float | None:
        """A duration: under a camelCase key of several words milliseconds, else seconds."""
        key = self._left.get(name, (name, None))[0]
        found = self.take(name, None, a_number)
        if found is None:
            return default
        if key != name:
            return found / 1000
        if found >= _SECONDS_DOUBTFUL:
            self.notes.warnings.append(f"{self.where}.{key} is {found:g} seconds; was it meant as milliseconds?")
        return found

    def close(self) -> None:
        """Report the keys that nobody took."""
        for name, (key, value) in self._left.items():
            if name in self._later:
                if not any(value is none or value == none for none in _HARMLESS.get(name, _NOTHING)):
                    hint = f": {self._later[name]}" if self._later[name] else ""
                    self.notes.faults.append(f"{self.where}.{key} is not supported yet{hint}")
            else:
                self.notes.faults.append(f"{self.where}.{key} is not a setting{nearest(key, self._known)}")


# --- checks: the value in its type, or ValueError whose text goes on after the setting's name ---


def as_it_is(value: object) -> object:
    """For what has a reader of its own."""
    return value


def a_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is a text, not {value!r:.80}")
    return value


def a_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is true or false, not {value!r:.80}")
    return value


def a_bool_or_mapping(value: object) -> bool | Mapping[str, object]:
    if not isinstance(value, bool | Mapping):
        raise ValueError(f"is true, false or a mapping, not {value!r:.80}")
    return value


def a_mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ValueError(f"is a mapping, not {value!r:.80}")
    return value


def a_list(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"is a list, not {value!r:.80}")
    return list(value)


def a_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise ValueError(f"is a number, 0 or more, not {value!r:.80}")
    return float(value)


def a_whole_number(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"is a whole number, 0 or more, not {value!r:.80}")
    return value


def in_flight(value: object) -> int:
    """How many calls of one socket run at a time."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= IN_FLIGHT_MAX:
        raise ValueError(f"is a whole number from 1 to {IN_FLIGHT_MAX}, not {value!r:.80}")
    return value
