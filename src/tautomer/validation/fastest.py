"""From a tree of rules to one function that checks params.

Two functions are made of a schema. The *full* one is composed of a closure for each rule; it knows
everything, collects faults and changes values. The *quick* one (see `quick`) is generated source
that can only say "right as it is", which is what nearly every call needs, and hands over to the
full one in every other case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from inspect import Parameter, signature
from types import MappingProxyType
from typing import Any, Protocol

from tautomer.errors import ValidationError
from tautomer.instances import is_instance_of_model, to_plain
from tautomer.validation import quick, rules_nested, rules_plain, rules_text
from tautomer.validation.faults import MESSAGES, Report, Run
from tautomer.validation.grammar import Rule, parse
from tautomer.validation.javascript import MISSING

__all__ = ["Checker", "compile_rule", "compile_schema"]

Check = Callable[[Any, Any, Run], Any]


class Checker(Protocol):
    """Checks one call's params; see `tautomer.validation.compile_params`."""

    def __call__(self, params: Any, meta: Any = None) -> Any: ...


_PLAIN: dict[str, Callable[[Rule, Report], Check]] = {
    "any": rules_plain.any_check,
    "boolean": rules_plain.boolean_check,
    "class": rules_plain.class_check,
    "currency": rules_text.currency_check,
    "date": rules_plain.date_check,
    "email": rules_text.email_check,
    "enum": rules_plain.enum_check,
    "equal": rules_plain.equal_check,
    "forbidden": rules_plain.forbidden_check,
    "function": rules_plain.function_check,
    "luhn": rules_text.luhn_check,
    "mac": rules_text.mac_check,
    "number": rules_plain.number_check,
    "objectID": rules_plain.object_id_check,
    "string": rules_text.string_check,
    "url": rules_text.url_check,
    "uuid": rules_text.uuid_check,
}

_NESTED: dict[str, Callable[[Rule, Report, rules_nested.Build], Check]] = {
    "array": rules_nested.array_check,
    "multi": rules_nested.multi_check,
    "object": rules_nested.object_check,
    "record": rules_nested.record_check,
    "tuple": rules_nested.tuple_check,
}


def compile_schema(schema: object, messages: Mapping[str, str]) -> Checker:
    """The checker of a whole schema. Raises ServiceSchemaError if it is wrong."""
    rule = parse(schema)
    full = compile_rule(rule, {**MESSAGES, **messages})
    return quick.generate(rule, full) or full


def compile_rule(rule: Rule, messages: Mapping[str, str]) -> Checker:
    """The full checker: all rules, all faults, all conversions."""
    root = _build(rule, messages)
    # Node validates missing params as an empty object. A `$$root` rule that says what None is for is left alone.
    none_is_empty = rule.kind == "object" and not rule.allows[1] and rule.options.get("default") is None

    def full(params: Any, meta: Any = None) -> Any:
        if params is None and none_is_empty:
            params = {}
        elif is_instance_of_model(params):
            params = to_plain(params)  # As it would have arrived from another node.
        run = Run(params, meta)
        out = root(params, None, run)
        if run.faults:
            raise ValidationError(data=[fault.written() for fault in run.faults])
        return None if out is MISSING else out

    return full


def _build(rule: Rule, messages: Mapping[str, str]) -> Check:
    own = rule.options.get("messages")
    report = Report({**messages, **own} if own else messages, rule.options.get("label"))
    if rule.kind == "custom":
        inner = _asking(rule.options.get("check"), rule, report)
    elif plain := _PLAIN.get(rule.kind):
        inner = plain(rule, report)
    else:
        inner = _NESTED[rule.kind](
            rule, report, lambda child: _build(child, _of_keys(messages) if child is rule.key else messages)
        )
    check = _with_presence(rule, inner, report)
    custom = rule.options.get("custom")
    if custom is None:
        return check
    ask = _asking(custom, rule, report)
    return lambda value, parent, run: ask(check(value, parent, run), parent, run)


def _of_keys(messages: Mapping[str, str]) -> dict[str, str]:
    """A key of a record is no field."""
    return {kind: text.replace(" field ", " key ", 1) for kind, text in messages.items()}


def _with_presence(rule: Rule, inner: Check, report: Report) -> Check:
    """Decide about values that are missing or None; all others go to `inner`."""
    missing_is_fine, none_is_fine = rule.allows
    default = _default(rule)

    def check(value: Any, parent: Any, run: Run) -> Any:
        if value is not None and value is not MISSING:
            return inner(value, parent, run)
        if none_is_fine if value is None else missing_is_fine:
            return value
        if default is not None:
            return default(parent, run)
        report(run, "required", value)
        return value

    return check


def _default(rule: Rule) -> Callable[[Any, Run], Any] | None:
    """What makes the default: a fresh copy each time, or the function's result. It is not validated, as in Node."""
    given = rule.options.get("default")
    if given is None:
        return None
    if callable(given):
        make, schema = _with_arity(given, 4), MappingProxyType(dict(rule.options))
        return lambda parent, run: make(schema, rule.path, _view(parent), run)
    if isinstance(given, str | int | float):
        return lambda parent, run: given
    return lambda parent, run: deepcopy(given)


def _asking(customs: Any, rule: Rule, report: Report) -> Check:
    """Let the user's own functions look at the value, one after the other. What each returns is the value."""
    asked = customs if isinstance(customs, list | tuple) else [] if customs is None else [customs]
    functions = [_with_arity(function, 6) for function in asked]
    schema = MappingProxyType(dict(rule.options))

    def check(value: Any, parent: Any, run: Run) -> Any:
        found: list[Any] = []
        for function in functions:
            new = function(None if value is MISSING else value, found, schema, rule.path, _view(parent), run)
            if new is not None or value is not MISSING:
                value = new
        for entry in found:
            report.add_custom(run, entry)
        return value

    return check


def _view(parent: Any) -> Any:
    """The object around a value, to be read only: it may be the very one that came in."""
    return None if parent is None else MappingProxyType(parent)


def _with_arity(function: Callable[..., Any], most: int) -> Callable[..., Any]:
    """Call `function` with as many arguments as it asks for; JavaScript drops the rest, too.

    Only parameters without default count, so ``list`` is called without and ``str.strip`` with one.
    """
    try:
        parameters = signature(function).parameters.values()
    except (TypeError, ValueError):  # Some built-in types, such as dict, do not tell.
        count = 0
    else:
        if any(one.kind is Parameter.VAR_POSITIONAL for one in parameters):
            return function
        positional = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        count = min(most, sum(one.kind in positional and one.default is Parameter.empty for one in parameters))
    return lambda *given: function(*given[:count])
