"""Answers: results and errors on their way back to who asked."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import UNSET

from tautomer.context import Context
from tautomer.error_wire import to_wire
from tautomer.errors import BrokerDisconnectedError, MoleculerError, ValidationError
from tautomer.protocol.packets import Packet, Request, Response
from tautomer.protocol.topics import Topics

log = logging.getLogger("tautomer.transit")

Publish = Callable[[str, Packet, str], None]

TEXTS = ("name", "message", "nodeID", "code", "type")


class Answers:
    """Sends the answers of one node.

    Attributes:
        unsent: Answers that could not be sent, as the line was away.
    """

    def __init__(self, node_id: str, topics: Topics, publish: Publish) -> None:
        self._node_id = node_id
        self._answer_topic = topics.cached("RES")
        self._publish = publish
        self.unsent = 0

    def result(self, packet: Request, ctx: Context[Any], result: Any) -> None:
        """Answer with what the handler returned."""
        version, publish, extras = packet.ver, self._publish, ctx._extras
        response = Response(
            packet.id,
            ctx._meta or {},
            UNSET if version == "4" else {} if extras is None else (extras.response_headers or {}),
            True,
            result,
            UNSET,
            UNSET,
            UNSET,
            version,
            self._node_id,
        )
        try:
            publish("RES", response, self._answer_topic[packet.sender])
        except BrokerDisconnectedError:
            self.unsent += 1
        except MoleculerError as error:
            error.message = f"result of '{packet.action}' cannot be sent: {error.message}"
            self.error(packet, error, ctx)

    def error(self, packet: Request, error: BaseException, ctx: Context[Any] | None) -> None:
        """Answer with an error. Whoever asked is told something, even where the error's data has no wire form."""
        stack = None if isinstance(error, MoleculerError) else stack_of(error)
        if stack is not None:
            log.error("action failed", exc_info=error, extra={"action": packet.action, "caller": packet.sender})
        meta = {} if ctx is None else (ctx._meta or {})
        headers: Any = None if ctx is None else (ctx._response_headers or {})
        wire = to_wire(error, self._node_id, stack)
        for told in (wire, bare(wire)):
            response = Response(
                packet.id,
                meta,
                UNSET if packet.ver == "4" else headers,
                False,
                None,
                told,
                UNSET,
                UNSET,
                packet.ver,
                self._node_id,
            )
            try:
                self._publish("RES", response, self._answer_topic[packet.sender])
                return
            except BrokerDisconnectedError:
                break
            except Exception as reason:
                # Too large, or without a wire form: at least its name and words are to arrive.
                meta, headers, failure = {}, None if ctx is None else {}, reason
        else:
            log.error("answer not sent", exc_info=failure, extra={"action": packet.action, "caller": packet.sender})
        self.unsent += 1

    def malformed(self, request_id: str, sender: str, version: str, detail: str) -> None:
        """A REQ that is wrong in form, but says who asks: tell them."""
        packet = Request(request_id, "?", ver=version, sender=sender)
        fault = {"type": "malformed", "field": "", "message": detail}
        self.error(packet, ValidationError("Malformed request packet", data=[fault]), None)


def stack_of(error: BaseException) -> str:
    """The stack of an error for the wire: its innermost frames."""
    return "".join(traceback.format_exception(error, limit=-8))[-4_000:]


def bare(wire: dict[str, Any]) -> dict[str, Any]:
    """The same error without what may have no wire form or be too large. Data that is an object stays one (see `to_wire`)."""
    code = wire.get("code")
    return {
        "message": "",
        "code": code if isinstance(code, int) and 0 < code < 1_000 else 500,
        **{key: wire[key][:1_000] for key in TEXTS if isinstance(wire.get(key), str)},
        "retryable": wire.get("retryable") is True,
        **({"data": {}} if isinstance(wire.get("data"), Mapping) else {}),
    }
