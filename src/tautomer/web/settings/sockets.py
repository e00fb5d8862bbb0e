"""`websocket` of a gateway: where its WebSockets are, and what a stranger may ask of them (entrypoints reference, section 12)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn

from tautomer.settings import a_size
from tautomer.web.routing.aliases import join_path
from tautomer.web.settings.cors import Cors
from tautomer.web.settings.guards import named, read_guards
from tautomer.web.settings.hooks import hook
from tautomer.web.settings.jsonrpc import read_jsonrpc
from tautomer.web.settings.origins import Origins
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_list, a_text, a_whole_number, in_flight
from tautomer.web.settings.records import Guards, Sites, SocketSettings
from tautomer.web.websocket.line import LineLimits

if TYPE_CHECKING:
    from tautomer.web.exchange import AnyStage, Handler

__all__ = ["SocketDoor", "read_sockets"]

_REFUSED_LATER: Final[dict[str, str]] = {"path_to_regexp_options": "", "mount": "use 'path'"}


class SocketDoor:
    """What the alias of a gateway's WebSockets leads to.

    Attributes:
        guard: First of what stands before the handshake.
        open: Answers the handshake.
    """

    __name__ = "websocket"

    def __init__(self, guard: AnyStage, open: Handler) -> None:
        self.guard = guard
        self.open = open

    def __call__(self, request: object) -> NoReturn:
        """It is called by `open` only; this makes it fit for an alias."""
        raise AssertionError("a handshake is answered with its exchange")


def read_sockets(
    given: bool | Mapping[str, object] | None, gateway: Guards, cors: Cors | None, notes: Notes
) -> SocketSettings | None:
    """The record; None where there are to be none.

    Args:
        given: ``True``, a mapping, ``False``; None for what was not said.
        gateway: `use` and `rate_limit` of the gateway.
        cors: Its sites may open sockets, if they are listed: that a page may read answers of all sites does not mean
            that it may act in a user's name.
    """
    if given is False:
        return None
    reader = Reader(given if isinstance(given, Mapping) else {}, "settings.websocket", notes, _REFUSED_LATER)
    listed = cors.origin if cors is not None and isinstance(cors.origin, Origins) else None
    settings = SocketSettings(
        path=join_path(reader.take("path", "/ws", a_text)),
        asked_for=given is not None,
        line=_line(reader),
        connections_max=_whole(reader, "max_connections", 0),
        max_in_flight=reader.take("max_in_flight", 1, in_flight),
        messages_per_second=_whole(reader, "messages_per_second", 100),
        idle_timeout=reader.seconds("idle_timeout", 0.0) or 0.0,
        origins=reader.take("origins", listed, _sites),
        compression=reader.take("compression", False, a_bool),
        protocols=reader.take("protocols", (), lambda value: tuple(a_text(one) for one in a_list(value))),
        events=reader.take("events", (), _patterns),
        guards=read_guards(reader, gateway),
        on_before_call=reader.take("on_before_call", None, named(hook("ctx", "route", "request"), notes.methods)),
        debug=reader.take("debug", False, a_bool),
        jsonrpc=read_jsonrpc(reader),
    )
    reader.close()
    return settings


def _line(reader: Reader) -> LineLimits:
    usual = LineLimits()
    interval = reader.seconds("heartbeat_interval", None)
    close_time = reader.seconds("close_time", None)
    return LineLimits(
        message_bytes_max=_size(reader, "max_message", usual.message_bytes_max),
        fragments_max=_whole(reader, "max_fragments", usual.fragments_max),
        queue_messages_max=_whole(reader, "send_queue", usual.queue_messages_max),
        queue_bytes_max=_size(reader, "send_queue_bytes", usual.queue_bytes_max),
        heartbeat_interval=usual.heartbeat_interval if interval is None else interval,
        close_time=usual.close_time if close_time is None else close_time,
    )


def _whole(reader: Reader, name: str, default: int) -> int:
    found = reader.take(name, None, a_whole_number)
    return default if found is None else found


def _size(reader: Reader, name: str, default: int) -> int:
    found: Any = reader.take(name, None, _a_size)
    return default if found is None else int(found)


_a_size: Callable[[object], object] = a_size


def _patterns(value: object) -> tuple[str, ...]:
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) and one for one in entries):
        raise ValueError(f"is a list of event names and patterns, such as 'order.*', not {value!r:.80}")
    return tuple(dict.fromkeys(entries))


def _sites(value: object) -> Sites:
    if callable(value):
        return value
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(one, str) for one in entries):
        raise ValueError(f"is '*', an origin, a list of these, or a function that takes an origin, not {value!r:.80}")
    return "*" if "*" in entries else Origins(entries)
