"""Receiving: from the bytes that a transporter hands over to the one who handles their packet."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from tautomer.middleware import Middleware, compose_verb
from tautomer.protocol.codec import Codec, Refused
from tautomer.protocol.topics import Topics

log = logging.getLogger("tautomer.transit")

Take: TypeAlias = Callable[[bytes], None]


class Receiving:
    """Decodes what comes and hands it on.

    Args:
        handlers: By command. Others may take the place of one at any time.
        refused: Told of each packet that is dropped, with its command.

    Attributes:
        received: What the transporter calls for each message: topic, bytes.
        is_plain: Whether no middleware sees the packets.
    """

    def __init__(
        self,
        middlewares: Sequence[Middleware],
        topics: Topics,
        codec: Codec,
        handlers: Mapping[str, Callable[[Any], None]],
        refused: Callable[[str, Refused], None],
    ) -> None:
        self._topics = topics
        self._commands = topics.subscribed
        self._codec = codec
        self._handlers = handlers
        self._refused = refused
        self._handle = compose_verb(middlewares, "transit_received", self._dispatch)
        self.is_plain = self._handle == self._dispatch
        # What was encrypted last is to be decrypted first: the receiving side folds the other way round.
        received = compose_verb(middlewares[::-1], "transporter_receive", self._take)
        self.received = received if received == self._take else self._guarded(received)
        self._takers: dict[str, Take] = {}

    def receiver(self, topic: str) -> Take:
        """What the transporter calls for each message on this topic: `received`, for those who bind it beforehand."""
        command = self._commands.get(topic, "")
        # On others (an id that is asked about, a balanced name that is withdrawn) a message may come too late.
        if self.received == self._take and topic == self._topics.targeted(command, self._topics.node_id):
            return self._taker(command)
        return partial(self.received, topic)

    def _guarded(self, received: Callable[[str, bytes], Any]) -> Callable[[str, bytes], None]:
        """Bytes that a middleware cannot undo (not encrypted, cut off) are dropped as what cannot be decoded."""

        def receive(topic: str, data: bytes) -> None:
            try:
                received(topic, data)
            except Refused as refused:
                self._refused(self._commands.get(topic, ""), refused)
            except Exception as error:
                detail = f"a middleware cannot read it: {type(error).__name__}: {error}"
                self._refused(self._commands.get(topic, ""), Refused("undecodable", detail))

        return receive

    def _take(self, topic: str, data: bytes) -> None:
        command = self._commands.get(topic)
        if command is not None:
            take = self._takers.get(command) or self._taker(command)
            take(data)

    def _taker(self, command: str) -> Take:
        """What takes the messages of one command. Made once: what is the same for all of them is not asked for each."""
        decode, handlers, handle = self._codec.decode, self._handlers, None if self.is_plain else self._handle

        def take(data: bytes) -> None:
            try:
                packet = decode(command, data)
            except Refused as refused:
                self._refused(command, refused)
                return
            try:
                if handle is None:
                    handlers[command](packet)
                else:
                    handle(command, packet)
            except Exception:
                # A packet must not end the reader (promise M4); what got here is a bug of ours or of a middleware.
                log.exception("packet not handled", extra={"command": command, "sender": packet.sender})

        return self._takers.setdefault(command, take)

    def _dispatch(self, command: str, packet: Any) -> None:
        self._handlers[command](packet)
