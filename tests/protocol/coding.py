"""A codec for several tests, one more serializer, and a way to see all of a record."""

from __future__ import annotations

from typing import Any

import msgspec

from tautomer.protocol.codec import Codec
from tautomer.protocol.packets import Info, Packet
from tautomer.serializers.json import JSONSerializer

CODEC = Codec(JSONSerializer())
CODEC.keep_raw()


class BinarySerializer:
    """A serializer with native bytes, as the binary ones of Moleculer are."""

    name = "MsgPack"

    def encode(self, record: object) -> bytes:
        return msgspec.msgpack.encode(record)

    def decoder(self, record_type: type[Any]) -> Any:
        return msgspec.msgpack.Decoder(record_type).decode


def plain(packet: Packet) -> dict[str, Any]:
    """The fields of a record, an answer's data decoded."""
    fields = {name: getattr(packet, name) for name in packet.__struct_fields__}
    if isinstance(fields.get("data"), msgspec.Raw):
        fields["data"] = CODEC.value(fields["data"])
    if isinstance(packet, Info):
        fields["services"] = msgspec.to_builtins(packet.services)
    return fields
