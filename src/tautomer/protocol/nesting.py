"""How deep a decoded value is nested."""

from __future__ import annotations

import gc
from typing import Final

CROWDED: Final = 10_000
"""Lists and objects in one text of which the garbage collector is not to count each."""


class Uncollected:
    """Pauses the garbage collector: ``with Uncollected(containers): …``, where over `CROWDED` of them are made.

    Collecting garbage again and again while nothing but new objects come takes longer than making them.
    """

    __slots__ = ("_paused",)

    def __init__(self, containers: int) -> None:
        self._paused = containers > CROWDED and gc.isenabled()

    def __enter__(self) -> None:
        if self._paused:
            gc.disable()

    def __exit__(self, *_failure: object) -> None:
        if self._paused:
            gc.enable()


def is_deeper(value: object, most: int, containers: int) -> bool:
    """Whether lists and objects stand in each other more than `most` levels deep; ``[[1]]`` has two.

    It takes time by the size of the value, and no stack by its depth.

    Args:
        containers: How many lists and objects there are, or more: once so few are left that they could not go deeper,
            nothing more is looked at.
    """
    level: list[list[object] | dict[str, object]] = [value] if type(value) is list or type(value) is dict else []
    for depth in range(1, most + 1):
        containers -= len(level)
        if not level or depth + containers <= most:
            return False
        level = [
            part
            for one in level
            for part in (one.values() if type(one) is dict else one)
            if type(part) is dict or type(part) is list
        ]
    return bool(level)
