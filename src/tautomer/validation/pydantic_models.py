"""Pydantic models as params: pydantic checks them by its own rules, and its faults are told in fastest-validator's words.

Imported with the first such model only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sized
from typing import Any, Final

import pydantic
from pydantic.json_schema import GenerateJsonSchema

from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.instances import is_instance_of_model, to_plain
from tautomer.validation.faults import FAULTS_MAX, MESSAGES, Report, Run, under
from tautomer.validation.javascript import MISSING
from tautomer.validation.rules_nested import field_part
from tautomer.validation.schema_rules import rules_of_json_schema

__all__ = ["compile_pydantic", "rules_of_pydantic"]


def rules_of_pydantic(model: Any) -> Any:
    """The announced form. Where a field has no form in JSON, no more is told than that params are an object."""
    try:
        return rules_of_json_schema(_adapter(model).json_schema(schema_generator=_Quietly))
    except pydantic.errors.PydanticInvalidForJsonSchema:
        return {"$$root": True, "type": "object"}


def compile_pydantic(model: Any, messages: Mapping[str, str]) -> Callable[..., Any]:
    """The checker of a model."""
    adapter = _adapter(model)
    validate = adapter.validator.validate_python
    kind = model if isinstance(model, type) else ()
    report = Report(messages, None)

    def check(params: Any, meta: Any = None) -> Any:
        if type(params) is not dict:
            if params is None:
                params = {}
            elif is_instance_of_model(params) and not isinstance(params, kind):
                params = to_plain(params)
        try:
            return validate(params)
        except pydantic.ValidationError as error:
            raise ValidationError(data=_told(error, params, report)) from None

    return check


class _Quietly(GenerateJsonSchema):
    """Defaults without a form in JSON are left out, as functions are in the rules of others."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}


def _adapter(model: Any) -> pydantic.TypeAdapter[Any]:
    try:
        return pydantic.TypeAdapter(model)
    except pydantic.errors.PydanticUserError as error:
        name = getattr(model, "__name__", repr(model))
        raise ServiceSchemaError(f"params: the model '{name}' cannot be read: {error}", {"model": name}) from error


# Pydantic's type, Node's, and which of the context says what was expected. What is not here keeps pydantic's type.
_KINDS: Final[Mapping[str, tuple[str, str | None]]] = {
    "missing": ("required", None),
    "greater_than_equal": ("numberMin", "ge"),
    "greater_than": ("numberOver", "gt"),
    "less_than_equal": ("numberMax", "le"),
    "less_than": ("numberUnder", "lt"),
    "multiple_of": ("numberMultiple", "multiple_of"),
    "finite_number": ("number", None),
    "int_from_float": ("numberInteger", None),
    "string_too_short": ("stringMin", "min_length"),
    "string_too_long": ("stringMax", "max_length"),
    "string_pattern_mismatch": ("stringPattern", "pattern"),
    "too_short": ("arrayMin", "min_length"),
    "too_long": ("arrayMax", "max_length"),
    "enum": ("enumValue", "expected"),
    "literal_error": ("enumValue", "expected"),
    "union_tag_invalid": ("enumValue", "expected_tags"),
    "union_tag_not_found": ("required", None),
    "dict_type": ("object", None),
    "model_type": ("object", None),
    "model_attributes_type": ("object", None),
    "dataclass_type": ("object", None),
}

# The same for whole families, by how their names begin.
_FAMILIES: Final = (
    ("int_", "number"),
    ("float_", "number"),
    ("decimal_", "number"),
    ("bool_", "boolean"),
    ("string_", "string"),
    ("list_", "array"),
    ("set_", "array"),
    ("frozen_set_", "array"),
    ("tuple_", "tuple"),
    ("datetime_", "date"),
    ("date_", "date"),
    ("timezone_", "date"),
    ("time_delta_", "duration"),
    ("time_", "time"),
    ("uuid_", "uuid"),
    ("url_", "url"),
)

_UNKNOWN: Final = ("extra_forbidden", "unexpected_keyword_argument")
_LENGTHS: Final = ("stringMin", "stringMax", "arrayMin", "arrayMax")


def _told(error: pydantic.ValidationError, params: Any, report: Report) -> list[dict[str, Any]]:
    run = Run(params, None)
    unknown: dict[tuple[int | str, ...], list[str]] = {}
    for one in error.errors(include_url=False)[:FAULTS_MAX]:
        *holder, last = one["loc"] or ("",)
        if one["type"] in _UNKNOWN:
            unknown.setdefault(tuple(holder), []).append(str(last))
        else:
            _add(run, dict(one), params, report)
    for place, names in unknown.items():
        _at(run, place, params, lambda names=names: report(run, "objectStrict", ", ".join(names)))  # type: ignore[misc]  # A lambda has no types.
    return [fault.written() for fault in run.faults]


def _add(run: Run, one: dict[str, Any], params: Any, report: Report) -> None:
    kind, names_expected = _KINDS.get(one["type"], (_family(one["type"]), None))
    given, context = one.get("input"), one.get("ctx", {})
    expected = _expected(context.get(names_expected, MISSING), kind) if names_expected else MISSING

    def tell() -> None:
        if one["type"] == "missing" or kind == "required":
            report(run, "required")
        elif given is None and kind in MESSAGES:
            report(run, "required", None)  # As in Node: None is not there.
        elif kind in ("numberOver", "numberUnder"):
            at_zero = "numberPositive" if kind == "numberOver" else "numberNegative"
            usual = "numberMin" if kind == "numberOver" else "numberMax"
            if expected == 0:
                report(run, at_zero, given)
            else:
                report(run, usual, given, expected, kind)
        elif kind in MESSAGES:
            report(run, kind, len(given) if kind in _LENGTHS and isinstance(given, Sized) else given, expected)
        else:
            # The model's own words, which may be those of the user's own check.
            report.add_custom(run, {"type": kind, "message": f"The '{{field}}' field is not valid: {one['msg']}"})

    _at(run, one["loc"], params, tell)


def _expected(value: Any, kind: str) -> Any:
    if kind == "enumValue":
        return str(value).replace(" or ", ", ").replace("'", "")
    return f"/{value}/" if kind == "stringPattern" else value


def _family(name: str) -> str:
    return next((kind for begin, kind in _FAMILIES if name.startswith(begin)), name)


def _at(run: Run, place: tuple[int | str, ...], params: Any, tell: Callable[[], None]) -> None:
    """Tell a fault at a place. Of a union pydantic adds which of its types it tried; that is no field."""
    before = len(run.faults)
    tell()
    value, steps = params, []
    for step in place:
        if isinstance(step, int) and isinstance(value, list | tuple):
            steps.append((f"[{step}]", f"[{step}]"))
            value = value[step] if step < len(value) else MISSING
        elif isinstance(value, Mapping) and (step in value or step == place[-1]):
            steps.append(field_part(str(step)))
            value = value.get(step, MISSING)
    for part in reversed(steps):
        under(run, before, part)
