"""Source of a function that says "right as it is" in a few comparisons, or hands over to the full check.

Trick: it need not know everything. Whatever it does not understand, or finds wrong, missing or in
need of a change, it leaves to the full checker; so the one thing to prove of it is that it never
returns params which the full one would refuse or change. Two validated numbers cost about 0.1 µs
so, against 1 µs for the closures alone.

Nothing of a schema is ever written into the source: names, limits and patterns are bound in the
namespace of the function, under names made here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tautomer.validation.grammar import Rule
from tautomer.validation.javascript import MISSING
from tautomer.validation.rules_text import is_email, is_url, sanitizers, string_tests, uuid_fault, uuid_version

__all__ = ["generate"]

# CPython takes at most 20 blocks within each other; params that deep are not on anybody's hot path.
_LOOPS_MAX = 8


def generate(rule: Rule, full: Callable[..., Any]) -> Callable[..., Any] | None:
    """The quick function, or None if it could never say "right as it is" for this schema."""
    if rule.has_customs():
        return None
    source = _Source(full)
    try:
        source.value(rule, "params", 1, 0)
    except _NeverQuick:
        return None
    return source.function()


class _NeverQuick(Exception):
    """The full checker has to look at every value of this rule."""


class _Source:
    """Lines of a function body under construction, and the namespace that they use."""

    def __init__(self, full: Callable[..., Any]) -> None:
        self._lines: list[str] = []
        self._namespace: dict[str, Any] = {"full": full, "MISSING": MISSING}
        self._count = 0

    def function(self) -> Callable[..., Any]:
        text = "\n".join(["def check(params, meta=None):", *self._lines, "    return params"])
        exec(compile(text, "<tautomer params>", "exec"), self._namespace)
        made: Callable[..., Any] = self._namespace["check"]
        return made

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _bind(self, value: object) -> str:
        """A name in the source that stands for `value`."""
        name = f"C{len(self._namespace)}"
        self._namespace[name] = value
        return name

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _unless(self, depth: int, condition: str) -> None:
        """Where `condition` does not hold, the full checker decides."""
        self._line(depth, f"if not ({condition}): return full(params, meta)")

    def value(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        """Lines that ask whether the variable `name` is right as it is."""
        missing_is_fine, none_is_fine = rule.allows
        if none_is_fine:
            self._line(depth, f"if {name} is not None:")
            depth += 1
        start = len(self._lines)
        try:
            _EMIT.get(rule.kind, _Source._unknown)(self, rule, name, depth, loops)
        except _NeverQuick:
            if not missing_is_fine:
                raise
            # As long as it is not there, all is well.
            self._lines[start:] = []
            self._line(depth, "return full(params, meta)")

    def _unknown(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        raise _NeverQuick

    def _any(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        self._unless(depth, f"{name} is not None and {name} is not MISSING")

    def _boolean(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        self._unless(depth, f"{name} is True or {name} is False")

    def _number(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        options = rule.options
        # What is not finite is not 0 when it is taken from itself.
        self._unless(depth, f"type({name}) is int or type({name}) is float and {name} - {name} == 0.0")
        for option, sign in (("min", ">="), ("max", "<="), ("equal", "=="), ("notEqual", "!=")):
            if options.get(option) is not None:
                self._unless(depth, f"{name} {sign} {self._bind(options[option])}")
        if options.get("integer") is True:
            self._unless(depth, f"type({name}) is int or {name} % 1 == 0")
        if options.get("positive") is True:
            self._unless(depth, f"{name} > 0")
        if options.get("negative") is True:
            self._unless(depth, f"{name} < 0")

    def _string(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        self._unless(depth, f"type({name}) is str")
        for sanitize in sanitizers(rule.options):
            self._unless(depth, f"{self._bind(sanitize)}({name}) == {name}")
        if rule.options.get("empty") is True:
            self._line(depth, f"if {name}:")
            depth += 1
            self._line(depth, "pass")
        for test in string_tests(rule):
            match test.kind:
                case "stringEmpty":
                    self._unless(depth, name)
                case "stringMin":
                    self._unless(depth, f"len({name}) >= {self._bind(test.expected)}")
                case "stringMax":
                    self._unless(depth, f"len({name}) <= {self._bind(test.expected)}")
                case _:
                    self._unless(depth, f"{self._bind(test.passes)}({name})")

    def _email(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        options = rule.options
        if options.get("mode") == "precise" or options.get("normalize") or "min" in options or "max" in options:
            raise _NeverQuick
        self._unless(depth, f"type({name}) is str and {self._bind(is_email)}({name})")

    def _url(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        self._unless(depth, f"type({name}) is str and {self._bind(is_url)}({name})")

    def _uuid(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        version = self._bind(uuid_version(rule))
        self._unless(depth, f"type({name}) is str and not {self._bind(uuid_fault)}({name}, {version})")

    def _enum(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        texts = frozenset(value for value in rule.options["values"] if isinstance(value, str))
        self._unless(depth, f"type({name}) is str and {name} in {self._bind(texts)}")

    def _object(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        self._unless(depth, f"type({name}) is dict")
        if rule.fields:
            get = self._name()
            self._line(depth, f"{get} = {name}.get")
            for field_name, field in rule.fields.items():
                value, key = self._name(), self._bind(field_name)
                # Only where None and missing differ must they be told apart.
                missing_is_fine, none_is_fine = field.allows
                self._line(depth, f"{value} = {get}({key}{', MISSING' if none_is_fine > missing_is_fine else ''})")
                self.value(field, value, depth, loops)
        if rule.strict and rule.fields is not None:
            self._unless(depth, f"{name}.keys() <= {self._bind(frozenset(rule.fields))}")
        for option, sign in (("minProps", ">="), ("maxProps", "<=")):
            if rule.options.get(option) is not None:
                self._unless(depth, f"len({name}) {sign} {self._bind(rule.options[option])}")

    def _array(self, rule: Rule, name: str, depth: int, loops: int) -> None:
        options = rule.options
        if loops == _LOOPS_MAX or any(options.get(option) is not None for option in ("unique", "contains", "enum")):
            raise _NeverQuick
        self._unless(depth, f"type({name}) is list")
        if options.get("empty") is False:
            self._unless(depth, name)
        for option, sign in (("min", ">="), ("max", "<="), ("length", "==")):
            if options.get(option) is not None:
                self._unless(depth, f"len({name}) {sign} {self._bind(options[option])}")
        if rule.items is not None:
            item = self._name()
            self._line(depth, f"for {item} in {name}:")
            self.value(rule.items, item, depth + 1, loops + 1)


# A rule that is not here is left to the full checker.
_EMIT: dict[str, Callable[[_Source, Rule, str, int, int], None]] = {
    "any": _Source._any,
    "array": _Source._array,
    "boolean": _Source._boolean,
    "email": _Source._email,
    "enum": _Source._enum,
    "number": _Source._number,
    "object": _Source._object,
    "string": _Source._string,
    "url": _Source._url,
    "uuid": _Source._uuid,
}
