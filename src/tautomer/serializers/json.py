"""JSON by msgspec: no NaN on the wire (it becomes null, as in Node), sets become lists, dates ISO 8601.

Instances of dataclasses, Structs, attrs classes and pydantic models become objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def plain_form(value: Any) -> Any:
    """What stands for a value that msgspec does not know: a pydantic model says it itself.

    Raises:
        TypeError: Nothing does.
    """
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    return dump(mode="json", by_alias=True)


class JSONSerializer:
    """The default of every Moleculer node."""

    name = "JSON"

    def __init__(self) -> None:
        self.encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=plain_form).encode

    def decoder(self, record_type: type[T]) -> Callable[[bytes], T]:
        return msgspec.json.Decoder(record_type).decode
