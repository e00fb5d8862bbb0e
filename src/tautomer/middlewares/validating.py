"""Validation of params where an action or a listener has a schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tautomer.context import Context
from tautomer.errors import BrokerOptionsError, ServiceSchemaError, ValidationError
from tautomer.middleware import Middleware
from tautomer.ports import Handler, Validator
from tautomer.registry.endpoints import Endpoint, EventEndpoint
from tautomer.settings import nearest

Check: TypeAlias = Callable[[Any, Any], Any]
"""Params and context in, params out."""

Compile: TypeAlias = Callable[[object], Check]


class Validating(Middleware):
    """Checks the params before the handler sees them; they are what the schema makes of them.

    Args:
        validator: As in `Settings`.

    Raises:
        BrokerOptionsError: It is none.
    """

    def __init__(self, validator: bool | str | Mapping[str, Any] | Validator = True) -> None:
        self._validator = _compiler_of(validator)

    def local_action(self, next_handler: Handler, endpoint: Endpoint) -> Handler:
        schema = None if endpoint.definition is None else endpoint.definition.params
        return next_handler if schema is None else self._checked(next_handler, endpoint, schema, "action")

    def local_event(self, next_handler: Handler, endpoint: EventEndpoint) -> Handler:
        schema = endpoint.params
        return next_handler if schema is None else self._checked(next_handler, endpoint, schema, "event")

    def _checked(self, next_handler: Handler, endpoint: Endpoint, schema: object, kind: str) -> Handler:
        if self._validator is None:
            return next_handler
        try:
            check = self._validator(schema)
        except ServiceSchemaError as error:
            raise ServiceSchemaError(f"'{endpoint.name}': {error.message}", error.data) from error
        return _checking(next_handler, endpoint, check, kind)


def _checking(next_handler: Handler, endpoint: Endpoint, check: Check, kind: str) -> Handler:

    # A plain function that hands on the inner coroutine: one layer less to await.
    def validate(ctx: Context[Any]) -> Any:
        try:
            ctx.params = check(ctx.params, ctx)
        except ValidationError as error:
            return _refuse(error, ctx, kind, endpoint.name)
        return next_handler(ctx)

    return validate


def _compiler_of(validator: bool | str | Mapping[str, Any] | Validator) -> Compile | None:
    """What makes the check of a schema; None: nothing is checked."""
    if validator is False:
        return None
    if not isinstance(validator, bool | str | Mapping):
        if not callable(getattr(validator, "compile", None)):
            raise BrokerOptionsError(
                f"validator is True, False, 'Fastest', a mapping or a Validator, not {validator!r}"
            )
        return _of_its_own(validator)
    kind: object = "Fastest" if validator is True else validator
    options: Mapping[str, Any] = {}
    if isinstance(validator, Mapping):
        kind, options = validator.get("type", "Fastest"), validator.get("options") or {}
    if str(kind).lower() != "fastest":
        raise BrokerOptionsError(f"validator {kind!r} is not known; known: 'Fastest', or a Validator of your own")
    known = {"messages": {}, "halt_on_first_error": options.get("haltOnFirstError", False)}
    if unknown := [name for name in options if name not in (*known, "haltOnFirstError")]:
        raise BrokerOptionsError(f"validator has no option '{unknown[0]}'{nearest(unknown[0], list(known))}")
    chosen = {**known, **{name: value for name, value in options.items() if name in known}}

    def compile_schema(schema: object) -> Check:
        # Imported when the first schema is seen: a tenth of the package, which a service without schemas does not need.
        from tautomer.validation import ParamsValidator

        return ParamsValidator(**chosen).compile(schema)

    return compile_schema


def _of_its_own(validator: Validator) -> Compile:
    def compile_schema(schema: object) -> Check:
        check = validator.compile(schema)
        return lambda params, _ctx: check(params)

    return compile_schema


async def _refuse(error: ValidationError, ctx: Context[Any], kind: str, name: str) -> Any:
    """Each fault says where it was found; as in Node, `nodeID` is the caller's (protocol section 12.4)."""
    node_id = ctx.node_id or ctx.broker.node_id
    if isinstance(error.data, list):
        error.data = [{**fault, "nodeID": node_id, kind: name} for fault in error.data]
    raise error
