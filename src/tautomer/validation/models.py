"""Models as params: dataclasses, msgspec Structs, TypedDicts and pydantic models.

What arrives becomes an instance of the model (of a TypedDict a dict), which is what the handler finds as `ctx.params`.
msgspec makes it, or pydantic where the model is one of its own; pydantic is imported with the first of those. Texts count
as the numbers, truth values and dates that they hold, since a path and a query have nothing but text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_origin, is_typeddict

import msgspec

from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.instances import is_instance_of_model, to_plain
from tautomer.validation.faults import MESSAGES, Report, Run

if TYPE_CHECKING:
    from tautomer.validation.structs import Part

__all__ = ["compile_model", "is_model", "rules_of_model"]

Check = Callable[..., Any]


def is_model(schema: object) -> bool:
    """Whether params may be described by this class (or generic alias of one)."""
    kind = get_origin(schema) or schema
    return isinstance(kind, type) and (
        hasattr(kind, "__struct_fields__")
        or hasattr(kind, "__dataclass_fields__")
        or hasattr(kind, "__attrs_attrs__")
        or _is_pydantic(kind)
        or is_typeddict(kind)
    )


def _is_pydantic(model: Any) -> bool:
    return hasattr(get_origin(model) or model, "__pydantic_validator__")


def rules_of_model(model: Any) -> Any:
    """The announced form of a model: the rules that say the same, as far as rules can.

    Raises:
        ServiceSchemaError: A field has a type that cannot be read.
    """
    if _is_pydantic(model):
        from tautomer.validation.pydantic_models import rules_of_pydantic

        return rules_of_pydantic(model)
    return _read(model).announced()


def compile_model(model: Any, messages: Mapping[str, str]) -> Check:
    """The checker of a model; as `compile_params`, but that it returns an instance.

    Raises:
        ServiceSchemaError: A field has a type that cannot be read.
    """
    texts = {**MESSAGES, **messages}
    if _is_pydantic(model):
        from tautomer.validation.pydantic_models import compile_pydantic

        return compile_pydantic(model, texts)
    part = _read(model)
    convert, unfit = msgspec.convert, (msgspec.ValidationError, RecursionError)

    def check(params: Any, meta: Any = None) -> Any:
        if type(params) is not dict:
            params = _as_dict(params)
        try:
            return convert(params, model)
        except unfit:
            return convert_texts(params)

    def convert_texts(params: Any) -> Any:
        """Once more, with texts taken for what they hold; then with all faults."""
        try:
            made = convert(params, model, strict=False)
        except unfit as error:
            raise ValidationError(data=_faults(part, params, texts) or [_last_word(error)]) from None
        if part.has_floats and (faults := _faults(part, params, texts)):  # "nan" is no number to anybody else.
            raise ValidationError(data=faults)
        return made

    return check


def _as_dict(params: Any) -> Any:
    if params is None:
        return {}
    return to_plain(params) if is_instance_of_model(params) else params


def _read(model: Any) -> Part:
    from tautomer.validation.structs import read

    name = getattr(get_origin(model) or model, "__name__", repr(model))
    try:
        return read(msgspec.inspect.type_info(model))
    except (TypeError, NameError, ValueError) as error:
        raise ServiceSchemaError(f"params: the model '{name}' cannot be read: {error}", {"model": name}) from error


def _faults(part: Part, params: Any, messages: Mapping[str, str]) -> list[dict[str, Any]]:
    run = Run(params, None)
    try:
        part.check(params, run, Report(messages, None))
    except RecursionError:
        return []  # It holds itself, or is deeper than Python follows.
    return [fault.written() for fault in run.faults]


_PLACE = re.compile(r"^(?P<words>.*?)(?: - at `(?P<path>.*)`)?$", re.DOTALL)


def _last_word(error: Exception) -> dict[str, Any]:
    """What only the model itself knows, such as what its own constructor raised."""
    found = _PLACE.match(str(error))
    words, path = (found["words"], found["path"] or "") if found else ("", "")
    if isinstance(error, RecursionError):
        words = "nested too deep"
    where = path.removeprefix("$").removeprefix(".").replace("...", "")
    if not where:
        return {"type": "value", "message": f"The params are not valid: {words}"}
    return {"type": "value", "message": f"The '{where}' field is not valid: {words}", "field": where}
