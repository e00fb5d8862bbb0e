"""The registry against a naive model of it: whatever happens in whatever order, they agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tautomer.protocol.packets import ServiceInfo
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.registry.registry import ServiceEntry

from .making import ME, info, registry

NODES = st.sampled_from(["a", "b", "c"])
ACTIONS = ["add", "math.add", "math.sub", "mail.send"]
EVENTS = ["x", "x.*", "**"]

Entry = dict[str, Any]
Offered = dict[str, tuple[dict[str, Entry], dict[str, Entry]]]
"""Service name to its actions and events."""


def entries(names: list[str], extra: st.SearchStrategy[Entry]) -> st.SearchStrategy[dict[str, Entry]]:
    return st.dictionaries(st.sampled_from(names), extra, max_size=3).map(
        lambda found: {name: {"name": name, **more} for name, more in found.items()}
    )


ACTION_EXTRAS = st.sampled_from([{}, {}, {"timeout": 5000}, {"visibility": "protected"}])
EVENT_EXTRAS = st.sampled_from([{}, {}, {"group": "shared"}])
SERVICES: st.SearchStrategy[Offered] = st.dictionaries(
    st.sampled_from(["math", "mail", "log"]),
    st.tuples(entries(ACTIONS, ACTION_EXTRAS), entries(EVENTS, EVENT_EXTRAS)),
    max_size=3,
)


class Agreement(RuleBasedStateMachine):
    """Says everything to both. The model keeps what each node said last, and derives all else by going through it."""

    def __init__(self) -> None:
        super().__init__()
        self.known = registry()
        self.said: dict[str, Offered] = {ME: {}}
        self.local: dict[str, ServiceEntry] = {}
        self.order: dict[str, list[str]] = {}
        self.actions: dict[tuple[str, str], Endpoint] = {}
        self.seq = 1

    @rule(node=NODES, offered=SERVICES)
    def info(self, node: str, offered: Offered) -> None:
        self.seq += 1
        before = self.said.get(node, {})
        services = [ServiceInfo(name, actions=actions, events=events) for name, (actions, events) in offered.items()]

        changed = self.known.apply(info(node, *services, seq=self.seq), 0.0)

        assert changed == (before != offered)
        self._becomes(node, offered)

    @rule(node=NODES, offered=SERVICES)
    def info_again(self, node: str, offered: Offered) -> None:
        self.info(node, offered)
        kept = {key: one for key, one in self._endpoints().items() if key[1] == node}
        self.info(node, offered)

        assert kept == {key: one for key, one in self._endpoints().items() if key[1] == node}

    @rule(node=NODES)
    def lost(self, node: str) -> None:
        assert bool(self.said.get(node)) == self.known.forget(node, 1.0)
        self._becomes(node, {})

    @rule(node=NODES)
    def dropped(self, node: str) -> None:
        self.known.remove_node(node)
        self._becomes(node, {})
        assert node not in self.known.nodes

    @rule(
        name=st.sampled_from(["math", "mine"]),
        actions=entries(ACTIONS, st.just({})),
        events=entries(EVENTS, EVENT_EXTRAS),
    )
    def register(self, name: str, actions: dict[str, Entry], events: dict[str, Entry]) -> None:
        mine = self.said[ME]
        if name in mine or any(action in other for action in actions for other, _ in mine.values()):
            return
        service = ServiceEntry(ME, True, name, None, name, {}, {}, actions, events)
        self.known.register_local(
            service,
            [Endpoint(action, ME, True, service, entry, _answer) for action, entry in actions.items()],
            [
                EventEndpoint(event, ME, True, service, entry, _answer, entry.get("group", name))
                for event, entry in events.items()
            ],
        )
        self.local[name] = service
        self._becomes(ME, {**mine, name: (actions, events)})

    @rule(name=st.sampled_from(["math", "mine"]))
    def unregister(self, name: str) -> None:
        if name in self.local:
            self.known.unregister_local(self.local.pop(name))
            self._becomes(ME, {other: said for other, said in self.said[ME].items() if other != name})

    @invariant()
    def agree_on_services(self) -> None:
        expected = {(node, name) for node, said in self.said.items() for name in said}

        assert expected == {(one.node_id, one.full_name) for one in self.known.services}
        assert len(expected) == len(self.known.services)
        for name in ("math", "mail", "log", "mine"):
            assert any(name == other for _, other in expected) == self.known.has_service(name)
        assert sorted((one.local for one in self.known.services), reverse=True) == [
            one.local for one in self.known.services
        ]

    @invariant()
    def agree_on_actions_and_their_order(self) -> None:
        for action in ACTIONS:
            found = self.known.actions.get(action)
            assert self.order.get(action, []) == ([] if found is None else [one.node_id for one in found.all])
            for node in self.order.get(action, []):
                service, entry = _offers(self.said[node], action, node == ME) or ("", {})
                assert found is not None
                endpoint = found.on_node(node)
                assert endpoint is not None
                assert (service, entry) == (endpoint.service.full_name, endpoint.entry)

    @invariant()
    def agree_on_choices(self) -> None:
        for action in ACTIONS:
            found = self.known.actions.get(action)
            nodes = self.order.get(action, [])
            picked = None if found is None else found.next(None)
            expected = {ME} if ME in nodes else set(nodes) or {None}
            assert (None if picked is None else picked.node_id) in expected

    @invariant()
    def agree_on_listeners(self) -> None:
        expected = sorted(
            (event, entry.get("group", name), node, name)
            for node, said in self.said.items()
            for name, (_, events) in said.items()
            for event, entry in events.items()
        )

        assert expected == sorted(
            (one.pattern, one.group, endpoint.node_id, endpoint.service.full_name)
            for one in self.known.events.lists
            for endpoint in one.all
        )

    def _becomes(self, node: str, offered: Offered) -> None:
        """An endpoint keeps its place while its node offers the action; who comes stands last."""
        self.said[node] = offered
        for action in ACTIONS:
            nodes = self.order.setdefault(action, [])
            offers = _offers(offered, action, node == ME) is not None
            if offers and node not in nodes:
                nodes.append(node)
            elif not offers and node in nodes:
                nodes.remove(node)

    def _endpoints(self) -> dict[tuple[str, str], Endpoint]:
        return {(name, one.node_id): one for name, found in self.known.actions.items() for one in found.all}


def _offers(said: Offered, action: str, local: bool) -> tuple[str, Entry] | None:
    """The service and entry by which a node offers an action: the last one counts."""
    found = None
    for name, (actions, _) in said.items():
        if action in actions:
            found = (name, actions[action])
    return None if found is None or (found[1].get("visibility") == "protected" and not local) else found


async def _answer(_ctx: Any) -> None: ...


TestAgreement = pytest.mark.slow(Agreement.TestCase)
TestAgreement.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
