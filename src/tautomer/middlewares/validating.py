"""Validation of params where an action or a listener has a schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tautomer.context import Context
from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.middleware import Middleware
from tautomer.ports import Handler
from tautomer.registry.endpoints import Endpoint, EventEndpoint


class Validating(Middleware):
    """Checks the params before the handler sees them; they are what the schema makes of them."""

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        schema = None if endpoint.definition is None else endpoint.definition.params
        return next_handler if schema is None else _checked(next_handler, endpoint, schema, "action")

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Handler:
        schema = endpoint.params
        return next_handler if schema is None else _checked(next_handler, endpoint, schema, "event")


def _checked(next_handler: Handler, endpoint: Endpoint, schema: object, kind: str) -> Handler:
    check = _compiled(schema, endpoint)

    # A plain function that hands on the inner coroutine: one layer less to await.
    def validate(ctx: Context[Any]) -> Any:
        try:
            ctx.params = check(ctx.params, ctx)
        except ValidationError as error:
            return _refuse(error, ctx, kind, endpoint.name)
        return next_handler(ctx)

    return validate


def _compiled(schema: object, endpoint: Endpoint) -> Callable[[Any, Any], Any]:
    # Imported when the first schema is seen: a tenth of the package, which a service without schemas does not need.
    from tautomer.validation import compile_params

    try:
        return compile_params(schema)
    except ServiceSchemaError as error:
        raise ServiceSchemaError(f"'{endpoint.name}': {error.message}", error.data) from error


async def _refuse(error: ValidationError, ctx: Context[Any], kind: str, name: str) -> Any:
    """Each fault says where it was found; as in Node, `nodeID` is the caller's (protocol section 12.4)."""
    node_id = ctx.node_id or ctx.broker.node_id
    if isinstance(error.data, list):
        error.data = [{**fault, "nodeID": node_id, kind: name} for fault in error.data]
    raise error
