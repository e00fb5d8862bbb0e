"""HttpCall: in the place of the function that an alias leads to, a method with `@http`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tautomer.context import CallOptions
from tautomer.errors import ServiceUnavailableError
from tautomer.web.answers.finishing import Finish
from tautomer.web.entrypoint.results import payload_of
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import RouteSettings
from tautomer.web.stages.calling import answer

if TYPE_CHECKING:
    from tautomer.broker import Broker
    from tautomer.web.entrypoint.rules import Rule

__all__ = ["HttpCall", "http_handler"]


class HttpCall:
    """Calls the action of a method with `@http`, at this node, with the request and the values of its path.

    Attributes:
        action: Full name.
        entry: What documents tell of it.
    """

    def __init__(self, broker: Broker, action: str, rule: Rule, description: str) -> None:
        self._broker = broker
        self.action = self.__name__ = action
        self.__doc__ = description
        self.entry: dict[str, Any] = {"description": description}
        if rule.variables:
            self.entry["params"] = {one.name: dict(one.schema) for one in rule.variables}

    async def __call__(self, exchange: Exchange) -> Any:
        """What the method returns.

        Raises:
            ServiceUnavailableError: Its service is not offered: not yet, or no longer.
            Exception: What the method raised.
        """
        broker, ctx = self._broker, exchange.ctx
        if self.action not in broker.registry.actions:
            raise ServiceUnavailableError()
        ctx.params = {"request": exchange.request, "values": exchange.values or {}}
        options = CallOptions(node_id=broker.node_id)
        return await broker.call_nested(ctx, self.action, ctx.params, options, False)


def http_handler(route: RouteSettings, call: HttpCall, finish: Finish) -> Handler:
    """Call it, and make the reply of what it returns."""

    async def handle(exchange: Exchange) -> Reply:
        payload = payload_of(await call(exchange), exchange.ctx)
        return await answer(route, exchange, payload, {}, finish)

    return handle
