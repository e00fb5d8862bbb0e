"""How deep a decoded value is nested."""

from __future__ import annotations


def is_deeper(value: object, most: int) -> bool:
    """Whether lists and objects stand in each other more than `most` levels deep; ``[[1]]`` has two.

    It takes time by the size of the value, and no stack by its depth.
    """
    level: list[list[object] | dict[str, object]] = [value] if type(value) is list or type(value) is dict else []
    for _ in range(most):
        if not level:
            return False
        level = [
            part
            for one in level
            for part in (one.values() if type(one) is dict else one)
            if type(part) is dict or type(part) is list
        ]
    return bool(level)
