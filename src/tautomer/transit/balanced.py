"""BalancedTopics: where the message broker, and not we, chooses who is asked (protocol section 2.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tautomer._tasks import TaskScope
from tautomer.errors import BrokerOptionsError, MoleculerError
from tautomer.ports import Transporter
from tautomer.protocol.membership import Membership
from tautomer.protocol.topics import Topics
from tautomer.registry.endpoints import BalancedEndpoint, EndpointList
from tautomer.registry.registry import Registry, ServiceEntry

log = logging.getLogger("tautomer.transit")

ANSWER_WAIT: Final = 5.0
"""Seconds that the message broker may take to take in what is subscribed."""

Subscription = tuple[str, str]
"""Topic and group."""


class BalancedTopics:
    """The topics on which this node is one of those that are chosen from, and the version to speak there.

    Args:
        transporter: One that `balances`.
        topics: Names of topics.
        commands: Topic to command, for what is received; topics come and go in it.
        registry: What this node offers.
        membership: Which versions the others speak.
        versions: Which versions this node speaks, the newest last.
    """

    def __init__(
        self,
        transporter: Transporter,
        topics: Topics,
        commands: dict[str, str],
        registry: Registry,
        membership: Membership,
        versions: tuple[str, ...],
    ) -> None:
        self._transporter = transporter
        self._topics = topics
        self._commands = commands
        self._registry = registry
        self._membership = membership
        self._versions = versions
        self._scope = TaskScope("balanced")
        self._turn = asyncio.Lock()
        self._subscribed: dict[Subscription, None] = {}
        self._found: dict[str, tuple[EndpointList, int, int, str]] = {}
        self._warned: set[Subscription] = set()

    async def renew(self, without: ServiceEntry | None = None) -> None:
        """Listen for what this node's services offer, `without` one that is about to go; and for nothing else.

        Never raises: what could not be asked of the message broker is asked when the line is up.
        """
        async with self._turn:
            if not self._transporter.connected:
                return
            wanted = self._wanted(without)
            try:
                async with asyncio.timeout(ANSWER_WAIT):
                    await self._change(wanted)
            except TimeoutError:
                log.warning("the message broker is slow to take in what is subscribed")
            except MoleculerError as error:
                log.error("balanced topics not subscribed: %s", error)

    def renew_soon(self) -> None:
        """The line is up again: what changed meanwhile is to be asked for."""
        if not self._scope.closed:
            self._scope.spawn(self.renew(), "renew")

    async def leave(self) -> None:
        """Be chosen no more."""
        await self._scope.close(0)
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_WAIT):
                    await self._change({})
            except (TimeoutError, MoleculerError) as error:
                log.warning("balanced topics not unsubscribed: %s: %s", type(error).__name__, error)

    def version(self, endpoint: BalancedEndpoint) -> str:
        """The version in which an action is asked for: one that all who offer it speak.

        Raises:
            BrokerOptionsError: There is none.
        """
        among = endpoint.among
        # With the list itself: an action that nobody offered for a while has a new one, which counts from the beginning.
        state = (among, among.revision, self._membership.voices)
        found = self._found.get(among.name)
        if found is None or found[:3] != state:
            if len(self._found) >= 10_000:
                self._found.clear()
            nodes = (one.node_id for one in among.all)
            found = self._found[among.name] = (*state, self.common_version(f"action '{among.name}'", nodes))
        return found[3]

    def common_version(self, what: str, node_ids: Iterable[str]) -> str:
        """The newest version that all these nodes speak.

        Raises:
            BrokerOptionsError: There is none.
        """
        peers = self._membership.peers
        spoken = [peer.spoken for node_id in node_ids if (peer := peers.get(node_id)) is not None and peer.spoken]
        for version in reversed(self._versions):
            if all(version in its for its in spoken):
                return version
        raise BrokerOptionsError(
            f"{what} is offered by nodes of Moleculer 0.14 and of 0.15, which share no protocol version, and with "
            "disable_balancer the message broker could hand the message to either; set `protocol` to '4' or '5', or "
            "offer it on nodes of one of them only"
        )

    def _wanted(self, without: ServiceEntry | None) -> dict[Subscription, str]:
        """What to listen to, and the command that comes there."""
        wanted: dict[Subscription, str] = {}
        for service in self._registry.services_of(self._registry.local_node.id):
            if service is without:
                continue
            for name in service.actions:
                endpoints = self._registry.actions.get(name)
                if endpoints is not None and endpoints.local is not None and not endpoints.local.closed:
                    wanted[self._topics.balanced_request(name), name] = "REQ"
            for entry in service.events.values():
                group = entry.get("group") or service.name
                wanted[self._topics.balanced_event(group, entry["name"]), group] = "EVENT"
        return {key: command for key, command in wanted.items() if self._can_carry(*key)}

    def _can_carry(self, topic: str, group: str) -> bool:
        parts = topic.split(".")
        whole = all(
            part and part.isprintable() and " " not in part and not ({"*", "?", ">"} & set(part) and part != "*")
            for part in (parts[:-1] if parts[-1] == "**" else parts)
        )
        if whole and " " not in group:
            return True
        if (topic, group) not in self._warned:
            self._warned.add((topic, group))
            log.warning(
                "not heard with disable_balancer: a message broker knows '*' as a whole part of a name and '**' as the "
                "last one, and no blanks",
                extra={"topic": topic, "group": group},
            )
        return False

    async def _change(self, wanted: Mapping[Subscription, str]) -> None:
        gone = [key for key in self._subscribed if key not in wanted]
        fresh = [key for key in wanted if key not in self._subscribed]
        for key in fresh:
            self._commands[key[0]] = wanted[key]
            self._subscribed[key] = None
        asked: list[Any] = [self._transporter.subscribe_balanced(*key) for key in fresh]
        for key in gone:
            del self._subscribed[key]
            asked.append(self._transporter.unsubscribe_balanced(*key))
        if asked:
            await asyncio.gather(*asked)
        for topic, _ in gone:
            if not any(topic == other for other, _ in self._subscribed):
                self._commands.pop(topic, None)
