"""Services as they are once a broker has taken them in, without a broker."""

from __future__ import annotations

from typing import Any, cast

from tautomer.broker import Broker
from tautomer.definitions import ActionDef, EventDef
from tautomer.service import Service

NOBODY = cast(Broker, object())


def attached(made: Service | type[Service]) -> Any:
    """A service as it is once a broker has taken it in."""
    service = made() if isinstance(made, type) else made
    service.attach(NOBODY)
    return service


def actions_of(made: Service | type[Service]) -> dict[str, ActionDef]:
    return {definition.name: definition for definition in attached(made).action_defs()}


def events_of(made: Service | type[Service]) -> dict[tuple[str, str | None], EventDef]:
    return {(definition.name, definition.group): definition for definition in attached(made).event_defs()}
