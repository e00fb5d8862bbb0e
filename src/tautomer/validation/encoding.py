"""From instances of models to plain values: what travels is JSON, whatever class it was made of."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

__all__ = ["is_instance_of_model", "to_plain"]

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


def _plain_dict(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if dump is None:
        raise NotImplementedError(f"an instance of {type(value).__name__} has no plain form")
    return dump(by_alias=True)
