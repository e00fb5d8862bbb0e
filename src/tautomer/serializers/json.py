"""JSON by msgspec: no NaN on the wire (it becomes null, as in Node), sets become lists, dates ISO 8601.

Instances of dataclasses, Structs, attrs classes and pydantic models become objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from tautomer.instances import json_form

T = TypeVar("T")


class JSONSerializer:
    """The default of every Moleculer node."""

    name = "JSON"

    def __init__(self) -> None:
        self.encode: Callable[[object], bytes] = msgspec.json.Encoder(enc_hook=json_form).encode

    def decoder(self, record_type: type[T]) -> Callable[[bytes], T]:
        return msgspec.json.Decoder(record_type).decode
