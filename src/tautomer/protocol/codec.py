"""Record <-> bytes through any serializer. Refuses what does not fit, and never crashes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection
from typing import Any, Final, NoReturn

import msgspec

from tautomer.errors import SerializationError
from tautomer.ports import Serializer
from tautomer.protocol.nesting import Uncollected, is_deeper
from tautomer.protocol.packets import (
    ID_CHARS_MAX,
    READ_AS,
    VERSIONS,
    Event,
    Info,
    Packet,
    ReceivedResponse,
    Request,
    Response,
    WholeResponse,
)
from tautomer.protocol.topics import is_topic_part

SENDERS_KEPT: Final = 10_000
INFO_BYTES_MAX: Final = 1024 * 1024

DEPTH_MAX: Final = 100
"""Levels of lists and objects in a packet, the packet itself among them."""

FLAT_BYTES: Final = 260
"""A packet of JSON up to this size has no room for so many pairs of brackets beside its own fields."""

LISTLESS_BYTES: Final = 5 * DEPTH_MAX
"""And up to this size not for so many objects, if it holds no list: each in another takes five, as ``{"":}`` has."""

CONTAINERS_MAX: Final = 100_000
"""More lists and objects in one packet than this stand close together, or it is refused: see `CONTAINER_BYTES`."""

CONTAINER_BYTES: Final = 5
"""Bytes for each of them. Nothing that somebody would send is as empty as that; a MiB of it would hold up the loop."""

_BRACKET: Final = ord("[")
"""As a number: a text of one character would be taken for one first, at five times the cost of the search."""

_BINARY: Final[frozenset[type]] = frozenset({bytes, bytearray, memoryview})


class Refused(Exception):
    """A packet that is dropped.

    Attributes:
        reason: The counter's name; of the codec ``undecodable``, ``version``, ``sender`` or ``malformed``.
        sender: Who sent it, as far as it can be told; fit to be part of a topic, or empty.
        detail: What was wrong, for the log.
        request_id: For a REQ that can still be answered, its id.
        version: The `ver` it carried, as far as it can be told.
    """

    def __init__(
        self, reason: str, detail: str, sender: str = "", request_id: str | None = None, version: str = ""
    ) -> None:
        super().__init__(reason, detail, sender)
        self.reason = reason
        self.detail = detail
        self.sender = sender
        self.request_id = request_id
        self.version = version


class Codec:
    """Encodes and decodes the packets of one node.

    Attributes:
        is_json: Whether the mesh speaks JSON.
        versions: Those of the protocol that are read; all others are refused.
    """

    def __init__(self, serializer: Serializer) -> None:
        self.versions: Collection[str] = VERSIONS
        self._serializer = serializer
        self._encode = serializer.encode
        self._decoders: dict[str, Callable[[bytes], Packet]] = {
            command: serializer.decoder(record) for command, record in READ_AS.items()
        }
        self._loose: Callable[[bytes], dict[str, Any]] = serializer.decoder(dict[str, Any])
        self._value: Callable[[bytes], Any] = serializer.decoder(object)
        self._senders: set[str] = set()
        # Passing JSON on undecoded to an HTTP client is only right when the mesh speaks JSON.
        self.is_json = serializer.name == "JSON"
        self._flat_bytes = FLAT_BYTES if self.is_json else DEPTH_MAX
        self._listless_bytes = LISTLESS_BYTES if self.is_json else DEPTH_MAX
        # Answers in one pass, which is cheaper for all but those who pass them on as they came.
        self._readers: dict[str, Callable[[bytes], Packet]] = {
            **self._decoders,
            "RES": serializer.decoder(WholeResponse),
        }

    def keep_raw(self) -> None:
        """From now on the `data` of answers stays undecoded, for somebody who passes it on as it came."""
        self._readers["RES"] = self._raw_response

    def encode(self, packet: Packet) -> bytes:
        """Serialise a packet.

        In JSON, bytes as the whole of `params` or `data` become Node's Buffer object; inside a larger
        value they are base64 text.

        Raises:
            SerializationError: A value has no wire form.
        """
        if type(packet) is Request:
            if type(packet.params) in _BINARY and self.is_json:
                packet.params = _buffer(packet.params)
        elif (type(packet) is Response or type(packet) is Event) and type(packet.data) in _BINARY and self.is_json:
            packet.data = _buffer(packet.data)
        encode = self._encode
        try:
            return encode(packet)
        except _UNFIT as error:
            if isinstance(error, UnicodeEncodeError) and self.is_json:
                return _escaped(packet)
            raise SerializationError(f"A value has no wire form: {error}") from error

    def decode(self, command: str, data: bytes, is_flat: bool = False) -> Packet:
        """Read a packet of a known command. `is_flat` says that it is not to be looked at for its depth.

        Raises:
            Refused: Nothing else, whatever the bytes are.
        """
        size = len(data)
        # The second question answers for most requests, and costs a tenth of the third.
        if (
            size > self._flat_bytes
            and (size > self._listless_bytes or _BRACKET in data)
            and not is_flat
            and (opened := self._opened(data)) > DEPTH_MAX
        ):
            return self._decode_nested(command, data, opened)
        if size > INFO_BYTES_MAX and command == "INFO":
            raise Refused("undecodable", f"an INFO of {size} bytes, at most {INFO_BYTES_MAX} are read")
        try:
            packet = self._readers[command](data)
        except (ValueError, RecursionError) as error:
            packet = self._second_try(command, data, error)
        if packet.sender not in self._senders or packet.ver not in self.versions:
            self._greet(packet)
        return packet

    def _opened(self, data: bytes) -> int:
        """How many lists and objects a packet may hold; fewer than there are only where that is over `DEPTH_MAX`."""
        if not self.is_json:
            return len(data)
        # To take them out searches by whole words of the machine; to count goes byte by byte, and so does to split:
        # that is 5 to 6 µs in 10 kB of text, instead of a third of one.
        size, most = len(data), DEPTH_MAX + 1
        few = 2 * size - len(data.replace(b"{", b"", most)) - len(data.replace(b"[", b"", most))
        return few if few <= DEPTH_MAX else data.count(b"{") + data.count(b"[")

    def _decode_nested(self, command: str, data: bytes, opened: int) -> Packet:
        """Decode what has room for nesting too deep. `opened` is how many lists and objects it may hold."""
        if self.is_json and opened > CONTAINERS_MAX and opened * CONTAINER_BYTES > len(data):
            raise Refused("undecodable", f"{opened} lists and objects in {len(data)} bytes")
        with Uncollected(opened):
            packet = self.decode(command, data, True)
        if command == "RES" and _is_too_deep(packet, opened):
            packet = self._decoders["RES"](data)  # The caller is to hear that of the answer; the rest is looked at.
        if _is_too_deep(packet, opened):
            request_id = packet.id if isinstance(packet, Request) else None  # Who asks is to hear it.
            detail = f"nested deeper than {DEPTH_MAX} levels"
            raise Refused("undecodable", detail, packet.sender, request_id, packet.ver)
        return packet

    def _raw_response(self, data: bytes) -> Packet:
        # The answer itself stays undecoded, so that nobody else would see what is wrong in its text.
        if self.is_json and not data.isascii():
            _check_utf8(data)
        return self._decoders["RES"](data)

    def _greet(self, packet: Packet) -> None:
        """Look at a sender of which no good packet came so far."""
        _check_origin(packet.ver, packet.sender, self.versions)
        if len(self._senders) < SENDERS_KEPT:
            self._senders.add(packet.sender)

    def value(self, raw: msgspec.Raw) -> Any:
        """Decode a value that was kept raw.

        Raises:
            SerializationError: It cannot be decoded.
        """
        try:
            value = self._value(raw)  # Raw is a buffer as bytes are, and spares a copy.
        except (ValueError, RecursionError) as error:
            try:
                value = _lenient(bytes(raw))
            except (ValueError, RecursionError):
                raise SerializationError(f"An answer cannot be decoded: {error}") from error
        if memoryview(raw).nbytes >= 2 * DEPTH_MAX and is_deeper(value, DEPTH_MAX - 1, self._opened(bytes(raw))):
            raise SerializationError(f"An answer is nested deeper than {DEPTH_MAX} levels")
        return value

    def _second_try(self, command: str, data: bytes, error: Exception) -> Packet:
        """Lone surrogates are valid JSON to Node but not to msgspec; the standard library reads them."""
        if command == "RES":
            # The caller is to hear what is wrong with the answer, so the rest of the packet is read.
            try:
                return self._raw_response(data)
            except (ValueError, RecursionError):
                pass
        loose = self._loosely(data)
        if loose is None:
            raise Refused("undecodable", str(error)) from error
        if isinstance(error, msgspec.ValidationError):
            _refuse_malformed(command, loose, error)
        if not self.is_json:
            raise Refused("undecodable", str(error)) from error
        answer = {"data": loose.pop("data")} if command == "RES" and "data" in loose else {}
        try:
            packet = msgspec.convert(loose, READ_AS[command])
            if answer and isinstance(packet, ReceivedResponse):
                packet.data = msgspec.Raw(json.dumps(answer["data"], allow_nan=False).encode())
        except msgspec.ValidationError as malformed:
            _refuse_malformed(command, loose, malformed)
        except (ValueError, RecursionError) as unfit:
            raise Refused("undecodable", str(unfit)) from unfit
        return packet

    def _loosely(self, data: bytes) -> dict[str, Any] | None:
        """The packet as a plain object, or None if it cannot be read as one."""
        try:
            return self._loose(data)
        except (ValueError, RecursionError):
            if not self.is_json or b"\\u" not in data:
                return None
        try:
            loose = _lenient(data)
        except (ValueError, RecursionError):
            return None
        return loose if isinstance(loose, dict) else None


_UNFIT: Final = (TypeError, ValueError, AttributeError, OverflowError, RecursionError, msgspec.MsgspecError)
"""What encoding a user's value may raise: unknown types, broken records, integers without end, circles."""


def _check_origin(version: object, sender: object, versions: Collection[str] = VERSIONS) -> None:
    """Who sent a packet, and in which version.

    Raises:
        Refused: One of them is of no use.
    """
    fit = isinstance(sender, str) and is_topic_part(sender)
    if version not in versions:
        told = version[:20] if isinstance(version, str) else ""
        shown = repr(told) if isinstance(version, str) else f"of type {type(version).__name__}"
        raise Refused("version", f"protocol version {shown}", str(sender) if fit else "", version=told)
    if not fit:
        shown = repr(sender[:80]) if isinstance(sender, str) else f"of type {type(sender).__name__}"
        raise Refused("sender", f"sender {shown} cannot be part of a topic")


def _is_too_deep(packet: Packet, opened: int) -> bool:
    if isinstance(packet, Info):
        services = [getattr(service, field) for service in packet.services for field in service.__struct_fields__]
        values = [packet.metadata, packet.client, packet.config, *services]
    else:
        values = [getattr(packet, field) for field in packet.__struct_fields__]
    return any(is_deeper(value, DEPTH_MAX - 1, opened) for value in values)


def _refuse_malformed(command: str, loose: dict[str, Any], error: Exception) -> NoReturn:
    """Wrong in form: a REQ that still says who asks, and under which id, can be told so."""
    version, sender, request_id = loose.get("ver"), loose.get("sender"), loose.get("id")
    _check_origin(version, sender)
    usable = command == "REQ" and isinstance(request_id, str) and 0 < len(request_id) <= ID_CHARS_MAX
    raise Refused("malformed", str(error), str(sender), request_id if usable else None, str(version)) from error


def _check_utf8(data: bytes) -> None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise Refused("undecodable", "it is not UTF-8") from error


def _buffer(data: bytes) -> dict[str, Any]:
    return {"type": "Buffer", "data": list(data)}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("Number out of range")
    return number


def _lenient(data: bytes) -> Any:
    # Decoded here: given bytes, `json.loads` would take UTF-16, UTF-32 and broken UTF-8, too.
    return json.loads(data.decode(), parse_constant=_no_constant, parse_float=_finite)


def _escaped(packet: Packet) -> bytes:
    """The way back for what only the second try can read: text with lone surrogates, as escapes."""
    try:
        plain = msgspec.to_builtins(packet, str_keys=True)
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    except _UNFIT as error:
        raise SerializationError(f"A value has no wire form: {error}") from error
