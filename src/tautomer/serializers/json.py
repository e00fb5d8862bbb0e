"""JSON by msgspec: no NaN on the wire (it becomes null, as in Node), sets become lists, dates ISO 8601."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


class JSONSerializer:
    """The default of every Moleculer node."""

    name = "JSON"

    def __init__(self) -> None:
        self.encode: Callable[[object], bytes] = msgspec.json.Encoder().encode

    def decoder(self, record_type: type[T]) -> Callable[[bytes], T]:
        return msgspec.json.Decoder(record_type).decode
