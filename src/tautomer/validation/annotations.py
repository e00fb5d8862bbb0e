"""Params from the annotation of a handler: ``ctx: Context[GetUser]``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_args, get_origin, get_type_hints

from tautomer.context import Context
from tautomer.errors import ServiceSchemaError
from tautomer.validation.models import is_model

__all__ = ["model_of"]


def model_of(method: Callable[..., Any], name: str) -> Any:
    """The model in the annotation of a handler's context, or None where there is none.

    Args:
        name: Of the action or event, for errors.

    Raises:
        ServiceSchemaError: The annotation cannot be read.
    """
    function = inspect.unwrap(getattr(method, "__func__", method))
    first = next(iter(inspect.signature(method).parameters), None)
    written = function.__annotations__.get(first)
    holder = SimpleNamespace(__annotations__={"ctx": written})
    try:
        found = get_type_hints(holder, function.__globals__)["ctx"]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ServiceSchemaError(
            f"'{name}': the annotation {written!r} cannot be read ({error}); have the model at the top level of its"
            " module and not only imported for type checkers, or say `params=`, which goes before it"
        ) from error
    if get_origin(found) is not Context:
        return None
    (model,) = get_args(found)
    return model if is_model(model) else None
