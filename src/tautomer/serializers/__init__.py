"""Serializers by the name that Node gives them."""

from __future__ import annotations

from tautomer.errors import BrokerOptionsError
from tautomer.ports import Serializer
from tautomer.serializers.json import JSONSerializer

__all__ = ["JSONSerializer", "resolve"]


def resolve(chosen: str | Serializer | None) -> Serializer:
    """The serializer of that name, or the one given. None means JSON.

    Raises:
        BrokerOptionsError: No serializer has that name.
    """
    if chosen is None:
        return JSONSerializer()
    if not isinstance(chosen, str):
        return chosen
    if chosen.upper() == "JSON":
        return JSONSerializer()
    raise BrokerOptionsError(f"serializer '{chosen}' is not known; known: JSON", {"serializer": chosen})
