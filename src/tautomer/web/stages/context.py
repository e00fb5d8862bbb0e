"""The context of a request: the root of all calls made for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tautomer.context import Context
from tautomer.registry.endpoints import Endpoint
from tautomer.web.exchange import Exchange, Stage
from tautomer.web.messages.message import Request
from tautomer.web.settings.records import Hook, RouteSettings

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["context_stage"]


def context_stage(
    route: RouteSettings, broker: Broker, caller: Endpoint, root_options: dict[str, Any] | Hook | None
) -> Stage:
    """Make the context; its params come later, when whoever stands before has let the request through.

    Args:
        root_options: Meta for the contexts of all routes, or a function of the request that gives it; under the route's.
    """
    own = route.call_options.get("meta")
    asked = root_options if callable(root_options) else None
    meta = {**(root_options if isinstance(root_options, dict) else {}), **(own or {})}

    def stage(exchange: Exchange) -> None:
        request = exchange.request
        exchange.ctx = request.ctx = Context(
            broker,
            {},
            caller,
            _meta=_meta(asked, request, meta) if asked else dict(meta) if meta else None,
            deadline=request.ends,
            _id=exchange.id,
            _request_id=request.id,
        )
        request.alias = exchange.alias

    return stage


def _meta(root_options: Hook, request: Request, own: dict[str, Any]) -> dict[str, Any]:
    """The meta that `rootCallOptions` gives for a request, with the route's above it."""
    options: dict[str, Any] = {"meta": {}}
    made = root_options(options, request)
    options = options if made is None else made
    if not isinstance(options, Mapping) or set(options) != {"meta"} or not isinstance(options["meta"], Mapping):
        raise TypeError(f"rootCallOptions gives {{'meta': {{...}}}}, not {options!r:.200}")
    return {**options["meta"], **own}
