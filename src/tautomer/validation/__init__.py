"""Checks of params: a schema is compiled once, the function that comes of it checks each call.

A schema is a list of names (each must be there), or a mapping in the grammar of Node's
fastest-validator (Moleculer protocol section 12), in which Python's types may stand for rules:

>>> check = compile_params({"id": int, "name": "string|min:2|trim", "tags": "string[]|optional"})
>>> check({"id": 7, "name": " Ann "})
{'id': 7, 'name': 'Ann'}

Or it is a model: a dataclass, a msgspec Struct, a TypedDict or a pydantic model, of which the checker
makes an instance (see `tautomer.validation.models`).

Where it differs from fastest-validator 1.19, on purpose:

- Params are never changed in place, so an alternative of `multi` that failed leaves no trace, a
  removed field no longer counts for `minProps`, and a `$$root` value can be converted.
- `true` as a rule and ``$$strict`` beside ``$$type`` work (that version refuses the one and passes over the other).
- Labels work at every rule, not only at the fields of an object.
- `custom` functions get the object that holds the value as `parent`, to be read only. ``$$async`` is refused.
- Misspelt options and options of a wrong type are refused.
- A text's length counts code points; dates are read from ISO 8601 only; whole numbers keep all their digits;
  `base64` takes no backslash; `currency` refuses what is no text, where Node breaks off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tautomer.errors import ValidationError
from tautomer.validation.fastest import Checker, compile_schema
from tautomer.validation.models import compile_model, is_model, rules_of_model
from tautomer.validation.wire import announced

__all__ = ["Checker", "ParamsValidator", "compile_params", "wire_schema"]


def compile_params(schema: object, messages: Mapping[str, str] | None = None) -> Checker:
    """Make the checker of a schema.

    The checker takes params and returns those to use: the very same where nothing had to change,
    else a new object with defaults filled in and values converted, trimmed or removed. It never
    changes what it was given. None stands for an empty object. A second argument `meta` reaches
    `custom` functions as ``context.meta``.

    It raises ValidationError with all faults as `data`, a list of ``{"type", "message", "field",
    "expected"?, "actual"?, "label"?}`` (protocol section 12.4; `field` is left out where params
    itself is wrong). The caller adds node id and action. After 1,000 faults it looks no further.

    Args:
        schema: The grammar above, or a model.
        messages: Texts by error type, instead of ours; a rule's own `messages` go before them.

    Raises:
        ServiceSchemaError: The schema is wrong; says where, and what may have been meant.
    """
    if is_model(schema):
        return compile_model(schema, messages or {})
    return compile_schema(schema, messages or {})


def wire_schema(schema: object) -> Any:
    """The form of a schema that is announced in INFO: JSON, which Node's tools read.

    Functions and classes vanish, Python's types become rules (``int`` is ``"number|integer"``), a
    list of names becomes ``{name: "any"}``, a model the rules that say the same. It is not checked here whether the schema is right;
    `compile_params` does.

    Raises:
        ServiceSchemaError: No JSON can be made of it: it holds itself, or a Python type that stands for no rule.
    """
    return announced(rules_of_model(schema) if is_model(schema) else schema)


class ParamsValidator:
    """The `Validator` that a broker has when none is set.

    Args:
        messages: Texts by error type, instead of ours.
        halt_on_first_error: Whether only the first fault is told.
    """

    def __init__(self, messages: Mapping[str, str] | None = None, halt_on_first_error: bool = False) -> None:
        self._messages = dict(messages or {})
        self._halt = halt_on_first_error

    def compile(self, schema: object) -> Checker:
        """As `compile_params`."""
        check = compile_params(schema, self._messages)
        return _halting(check) if self._halt else check


def _halting(check: Checker) -> Checker:
    def check_first(params: Any, meta: Any = None) -> Any:
        try:
            return check(params, meta)
        except ValidationError as error:
            raise ValidationError(data=error.data[:1]) from None

    return check_first
