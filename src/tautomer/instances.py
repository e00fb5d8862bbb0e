"""Instances of models (dataclasses, Structs, attrs classes, pydantic models) as plain values: what travels is JSON.

Nothing is imported for it: a pydantic model is known by what it has.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

__all__ = ["is_instance_of_model", "json_form", "to_plain"]

_KEPT: Final = (bytes, bytearray, datetime, date, time, timedelta, UUID, Decimal)


def is_instance_of_model(value: object) -> bool:
    """Whether it is an instance of a dataclass, a Struct, an attrs class or a pydantic model."""
    kind = type(value)
    return (
        hasattr(kind, "__struct_fields__")
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__pydantic_validator__")
    )


def to_plain(value: Any) -> Any:
    """Dicts and lists in the place of instances of models; dates and the like stay what they are."""
    return msgspec.to_builtins(value, builtin_types=_KEPT, enc_hook=_plain_dict)


def json_form(value: Any) -> Any:
    """For msgspec's encoders: what stands for a value that they do not know. A pydantic model says it itself.

    Raises:
        TypeError: Nothing does.
    """
    return _dumped(value, "json")


def _plain_dict(value: Any) -> Any:
    return _dumped(value, "python")


def _dumped(value: Any, mode: str) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise TypeError(f"Encoding objects of type {type(value).__name__} is unsupported")
    return dump(mode=mode, by_alias=True)
