"""Subscriptions: which socket hears which channel. Pure bookkeeping (entrypoints reference, section 11)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tautomer.web.errors import ChannelError

__all__ = ["CHANNELS_MAX", "CHANNEL_CHARS_MAX", "Subscriptions"]

CHANNELS_MAX: Final = 100
"""Channels that one socket may hear (reliability reference, section 5.2)."""

CHANNEL_CHARS_MAX: Final = 200


class Subscriptions:
    """Who hears what on this node, both ways round. Sockets and channels are kept in the order in which they came.

    A channel is there as long as somebody hears it.
    """

    __slots__ = ("_channels", "_members")

    def __init__(self) -> None:
        # Dicts, as sets have no order to replay.
        self._channels: dict[str, dict[str, None]] = {}
        self._members: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        """How many channels somebody hears."""
        return len(self._members)

    def subscribe(self, socket_id: str, channel: object) -> None:
        """Let a socket hear a channel. Repeating it is harmless.

        Raises:
            ChannelError: The channel is no text of 1 to `CHANNEL_CHARS_MAX` characters, or the socket hears
                `CHANNELS_MAX` others already.
        """
        if not isinstance(channel, str) or not 1 <= len(channel) <= CHANNEL_CHARS_MAX:
            raise ChannelError(f"a channel is a text of 1 to {CHANNEL_CHARS_MAX} characters, not {channel!r:.80}")
        heard = self._channels.get(socket_id)
        if heard is None:
            heard = self._channels[socket_id] = {}
        elif channel not in heard and len(heard) >= CHANNELS_MAX:
            raise ChannelError(f"a socket hears {CHANNELS_MAX} channels at most")
        heard[channel] = None
        self._members.setdefault(channel, {})[socket_id] = None

    def unsubscribe(self, socket_id: str, channel: str) -> None:
        """Let a socket hear a channel no more. One that it does not hear is no error."""
        heard = self._channels.get(socket_id)
        if heard is None or channel not in heard:
            return
        del heard[channel]
        if not heard:
            del self._channels[socket_id]
        self._leave(socket_id, channel)

    def forget(self, socket_id: str) -> list[str]:
        """Drop all that a socket hears, and return what that was."""
        heard = self._channels.pop(socket_id, {})
        for channel in heard:
            self._leave(socket_id, channel)
        return list(heard)

    def channels(self, socket_id: str) -> list[str]:
        """What a socket hears, sorted."""
        return sorted(self._channels.get(socket_id, ()))

    def members(self, channel: str) -> Iterable[str]:
        """Who hears a channel now. Whoever sends to them takes a copy first, as they may leave meanwhile."""
        return self._members.get(channel, ())

    def _leave(self, socket_id: str, channel: str) -> None:
        members = self._members[channel]
        del members[socket_id]
        if not members:
            del self._members[channel]
