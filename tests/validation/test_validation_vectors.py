"""What fastest-validator 1.19.1 answered on Node 22, for schemas and values of our own making.

`vectors.json` is a list of ``{"schema", "cases": [[params, outcome], ...]}``; an outcome is
``{"value": params to use}`` or ``{"errors": [...]}`` without the message texts. Left out on purpose are the
cases in which we differ knowingly (see the package's docstring).
"""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tautomer.errors import ValidationError
from tautomer.validation import compile_params
from tautomer.validation.fastest import compile_rule
from tautomer.validation.faults import MESSAGES
from tautomer.validation.grammar import parse

VECTORS = json.loads(Path(__file__).with_name("vectors.json").read_text())


def outcome(check: Any, params: Any) -> Any:
    try:
        return {"value": check(params)}
    except ValidationError as error:
        return {"errors": [{key: value for key, value in fault.items() if key != "message"} for fault in error.data]}


def full_checker(schema: Any) -> Any:
    """The checker without the generated function before it."""
    return compile_rule(parse(schema), MESSAGES)


def with_types(value: Any) -> Any:
    """The same, so that True and 1 differ, and 1 and 1.0 do not."""
    if isinstance(value, dict):
        return {key: with_types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_types(item) for item in value]
    return ("truth", value) if isinstance(value, bool) else value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: json.dumps(vector["schema"])[:60])
def test_a_schema_means_here_what_it_means_on_node(vector):
    schema = vector["schema"]
    for check, (params, expected) in product([compile_params(schema), full_checker(schema)], vector["cases"]):
        answer = outcome(check, params)
        for fault in answer.get("errors", []):
            if fault["type"] == "stringPattern":
                del fault["expected"]  # Node loses the backslashes of the pattern there.

        assert with_types(expected) == with_types(answer), params
