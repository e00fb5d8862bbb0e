"""The packets of a stream that goes out: as the answer to a request, or beside one (protocol section 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from msgspec import UNSET, UnsetType

from tautomer.context import Context
from tautomer.error_wire import to_wire
from tautomer.protocol.packets import Packet, Request, Response
from tautomer.protocol.streams import OBJECT_MODE, STREAM_ERROR
from tautomer.transit.answers import bare

_FLAG: Final = {OBJECT_MODE: True}


class Way(Protocol):
    """What differs between a stream that answers and one that asks.

    Attributes:
        command: REQ or RES.
        topic: Where it goes.
        request_id, version: Of the request.
        token: Asks the transporter to tell if nobody listens, with the next packet; or None.
    """

    command: str
    topic: str
    request_id: str
    version: str
    token: str | None

    def packet(self, seq: int, item: Any, more: bool, error: dict[str, Any] | None) -> Packet:
        """The packet of this number; with `more` false it ends the stream, with this error if there is one."""


def error_forms(error: BaseException, node_id: str, stack: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The error for the wire, and the same without what may have no wire form or be too large."""
    wire = to_wire(error, node_id, stack)
    return wire, bare(wire)


class Answering:
    """The stream is the result of an action. Meta and headers of the answer go with its first packet."""

    command = "RES"

    def __init__(self, request: Request, ctx: Context[Any], topic: str, node_id: str, objects: bool) -> None:
        self.topic = topic
        self.token: str | None = None
        self.request_id = request.id
        self.version = request.ver
        self._node_id = node_id
        self._ctx = ctx
        self._flags = _FLAG if objects else {}

    def packet(self, seq: int, item: Any, more: bool, error: dict[str, Any] | None) -> Response:
        meta: dict[str, Any] = (self._ctx._meta or {}) if seq == 0 else {}
        headers: dict[str, Any] | UnsetType = UNSET
        if self.version == "4":
            meta = {**meta, **self._flags}
        else:
            headers = {**((self._ctx._response_headers or {}) if seq == 0 else {}), **self._flags}
        return Response(
            self.request_id,
            meta,
            headers,
            error is None,
            item,
            UNSET if error is None else error,
            more,
            seq,
            self.version,
            self._node_id,
        )


class Asking:
    """The stream goes along with a request, whose params, meta and headers go with its first packet.

    Attributes:
        action: Full name of the action.
        objects: Whether it is a stream of objects; to be set before the first packet is made.
    """

    command = "REQ"

    def __init__(self, request: Request, topic: str, token: str) -> None:
        self.topic = topic
        self.token: str | None = token
        self.request_id = request.id
        self.version = request.ver
        self.action = request.action
        self.objects = False
        self._request = request

    def packet(self, seq: int, item: Any, more: bool, error: dict[str, Any] | None) -> Request:
        told = self._request
        added: Mapping[str, Any] = {} if error is None else {STREAM_ERROR: error}
        if self.objects:
            added = {**_FLAG, **added}
        is_v4 = told.ver == "4"
        meta = (told.meta or {}) if seq == 0 else {}
        headers: Any = UNSET if is_v4 else (told.headers or {}) if seq == 0 else {}
        if is_v4:
            meta = {**meta, **added}
            # Node 0.14 sends the stream instead of params, and says so with a null.
            first = told.params or None
        else:
            headers = {**headers, **added}
            first = told.params
        return Request(
            told.id,
            told.action,
            first if seq == 0 else item,
            meta,
            headers,
            told.timeout,
            told.level,
            told.tracing,
            told.parent_id,
            told.request_id,
            told.caller,
            more,
            seq,
            told.ver,
            told.sender,
        )
