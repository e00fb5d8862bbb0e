"""MethodTable: from a method's name to the action it stands for, if the endpoint leads there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tautomer.keywords import REQUEST
from tautomer.protocol.jsonrpc import UNAVAILABLE, Failure, not_found
from tautomer.providers.shapes import order_of
from tautomer.registry.endpoints import Endpoint, EndpointList
from tautomer.web.routing.access import AccessRules
from tautomer.web.settings.jsonrpc import JsonRpcSettings

__all__ = ["MethodTable", "Target"]

log = logging.getLogger("tautomer.web")

SPECS: Final = "get_service_specs"
"""Every `MicroService` has one."""

MARKS: Final = ("public", "private")


class Target:
    """An action behind a name; valid for one set of endpoints.

    Attributes:
        action: Its full name.
        offered: All who offer it.
        endpoints: They, as a set; another tuple means that this is stale.
        entry: What one of them announces.
        local: Whether this node has one.
        private: Whether it takes a token.
        bare: Whether it takes neither that nor the request.
        order: Its params by position; None where nobody said.
    """

    __slots__ = ("action", "bare", "endpoints", "entry", "local", "offered", "order", "private")

    def __init__(self, action: str, offered: EndpointList) -> None:
        self.action = action
        self.offered = offered
        endpoints = self.endpoints = offered.all
        self.entry = endpoints[0].entry
        self.local = any(one.local for one in endpoints)
        # One that says so shuts the door for all, as nobody knows which of them will be asked.
        self.private = any(one.entry.get("rpc") == "private" for one in endpoints)
        self.bare = not self.private and not any(REQUEST in one.entry for one in endpoints)
        self.order = order_of(self.entry)

    @property
    def service(self) -> str:
        return self.endpoints[0].service.full_name


class MethodTable:
    """The methods of one endpoint.

    Args:
        actions: By full name, as the registry has them.
        access: The route's lists.
        own_service: Full name of the gateway's service, whose actions are never among them.
    """

    def __init__(
        self, actions: Mapping[str, EndpointList], settings: JsonRpcSettings, access: AccessRules, own_service: str
    ) -> None:
        self._actions = actions
        self._services = settings.services
        self._access = access
        self._own_service = own_service
        self._found: dict[str, Target] = {}
        self._short: dict[str, list[str]] = {}
        self._count = -1
        # Names of several services that the log has told of.
        self._told: dict[str, list[str]] = {}

    def refresh(self) -> None:
        """Look anew at what the mesh offers."""
        self._found.clear()
        self._count = -1
        self._index()

    def find(self, name: str) -> Target | Failure:
        """What a client means by a name: a full action name, or a marked method's own, where only one service has it."""
        known = self._found.get(name)
        if known is not None:
            offered = self._actions.get(known.action)
            if offered is known.offered and offered.all is known.endpoints and _is_there(offered):
                return known
        return self._look_up(name)

    def all(self) -> Iterator[Target]:
        """Everything that the endpoint leads to, by name."""
        for action in sorted(self._actions):
            if self._leads_to(action):
                yield Target(action, self._actions[action])

    def own_name(self, target: Target) -> str:
        """How clients best call it: its own name where only one service has it."""
        self._index()
        own = str(target.entry.get("rawName") or target.action)
        return own if self._short.get(own) == [target.action] and own not in self._actions else target.action

    def _look_up(self, name: str) -> Target | Failure:
        self._found.pop(name, None)
        action = name
        if not self._leads_to(name):
            self._index()
            candidates = self._short.get(name, ())
            if len(candidates) != 1 or not self._leads_to(candidates[0]):
                return not_found(name, candidates)
            action = candidates[0]
        offered = self._actions[action]
        if not _is_there(offered):
            return Failure(UNAVAILABLE, data={"action": action})
        # Only names that lead somewhere are kept: strangers choose them.
        found = self._found[name] = Target(action, offered)
        return found

    def _index(self) -> None:
        """Gather the own names of marked methods anew, where actions have come or gone."""
        if len(self._actions) == self._count:
            return
        self._count = len(self._actions)
        self._short = {}
        for action in sorted(self._actions):
            entry = self._actions[action].all[0].entry if self._actions[action].all else {}
            own = entry.get("rawName")
            if isinstance(own, str) and entry.get("rpc") in MARKS and self._leads_to(action):
                self._short.setdefault(own, []).append(action)
        shared = {own: actions for own, actions in self._short.items() if len(actions) > 1 and own != SPECS}
        for own, actions in shared.items():
            if self._told.get(own) != actions:
                log.warning(
                    "json-rpc method of several services: it is reached by its full names only",
                    extra={"method": own, "actions": ", ".join(actions)[:200]},
                )
        self._told = shared

    def _leads_to(self, action: str) -> bool:
        offered = self._actions.get(action)
        if offered is None or not offered.all:
            return False
        marks = [one.entry.get("rpc") for one in offered.all]
        if all(mark in MARKS for mark in marks) and self._is_ours(offered.all):
            # Who takes a token is not published, or another door of the gateway would lead there without one.
            doors = ("published", "public") if "private" in marks else ("published",)
            return all(one.visibility in doors for one in offered.all) and self._access.permits(action)
        if self._access.whitelist is None or "private" in marks:
            return False
        published = all(one.visibility == "published" for one in offered.all)
        return published and self._access.permits_direct(action, self._own_service)

    def _is_ours(self, endpoints: Sequence[Endpoint]) -> bool:
        return self._services is None or all(one.service.full_name in self._services for one in endpoints)


def _is_there(offered: EndpointList) -> bool:
    # `only` is set in the usual case, and then it is available.
    return offered.only is not None or any(one.available for one in offered.all)
