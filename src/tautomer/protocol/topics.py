"""Topic names for a namespace, plain and balanced (protocol reference, section 2.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BROADCAST_COMMANDS: Final = ("DISCOVER", "INFO", "DISCONNECT", "HEARTBEAT", "PING")
TARGETED_COMMANDS: Final = ("EVENT", "REQ", "RES", "DISCOVER", "INFO", "PING", "PONG")

GOSSIP_COMMANDS: Final = ("GOSSIP_REQ", "GOSSIP_RES", "GOSSIP_HELLO")
"""Targeted, and only where nodes find each other without a broker."""

NAME_CHARS_MAX: Final = 255
TOPICS_KEPT: Final = 10_000
_RESERVED = frozenset("*>")


def is_topic_part(name: object) -> bool:
    """Whether a node id may stand in a topic: 1 to 255 characters, no blank, control, ``*`` or ``>``.

    Dots may part it, but nothing between two dots is no part of a NATS subject.
    """
    return (
        isinstance(name, str)
        and 0 < len(name) <= NAME_CHARS_MAX
        and name.isprintable()
        and _RESERVED.isdisjoint(name)
        and " " not in name
        and all(name.split("."))
    )


class Topics:
    """Names the topics of one node in one namespace.

    Attributes:
        prefix: ``MOL``, or ``MOL-<namespace>``.
        subscribed: Topic to command, for each topic that the node listens on.
    """

    __slots__ = ("node_id", "prefix", "subscribed")

    def __init__(self, namespace: str, node_id: str) -> None:
        self.prefix = f"MOL-{namespace}" if namespace else "MOL"
        self.node_id = node_id
        self.subscribed: dict[str, str] = {self.broadcast(command): command for command in BROADCAST_COMMANDS}
        self.subscribed.update({self.targeted(command, node_id): command for command in TARGETED_COMMANDS})

    def subscribe_gossip(self) -> None:
        """Listen to gossip, too."""
        self.subscribed.update({self.targeted(command, self.node_id): command for command in GOSSIP_COMMANDS})

    def broadcast(self, command: str) -> str:
        """Every node listens here."""
        return f"{self.prefix}.{command}"

    def targeted(self, command: str, node_id: str) -> str:
        """One node listens here."""
        return f"{self.prefix}.{command}.{node_id}"

    def balanced_request(self, action: str) -> str:
        """Of all who offer the action, one gets each message."""
        return f"{self.prefix}.REQB.{action}"

    def balanced_event(self, group: str, event: str) -> str:
        """Of all in the group who listen to the event (a pattern, for who subscribes), one gets each message."""
        return f"{self.prefix}.EVENTB.{group}.{event}"

    def cached(self, command: str) -> Mapping[str, str]:
        """`targeted` for one command by node id, remembering the names it made."""
        return _Targeted(f"{self.prefix}.{command}.")


class _Targeted(dict[str, str]):
    """Makes what it is asked for. A mapping, since to look into one calls no function where the name is known."""

    def __init__(self, head: str) -> None:
        super().__init__()
        self._head = head

    def __missing__(self, node_id: str) -> str:
        if len(self) >= TOPICS_KEPT:
            self.clear()
        made = self[node_id] = self._head + node_id
        return made
