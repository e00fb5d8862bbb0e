"""Rules: the paths of `@http`, as Werkzeug writes them: ``/users/<int:user_id>`` (entrypoints reference, section 3).

Also ``{name}``, ``:name`` and ``{name:path}``, as aliases have them. Upper and lower case differ; one trailing slash
is nothing. What a path holds was decoded, and checked, before it is matched.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from tautomer.errors import ServiceSchemaError

__all__ = ["Rule", "RuleTable", "Variable", "parse_rule"]

T = TypeVar("T")

# Python refuses longer ones, with an error that is not the client's to see.
_DIGITS_MAX: Final = 4_300
# Two values in one segment are searched with backtracking, so what is searched has a bound.
_MIXED_CHARS_MAX: Final = 1_024
_RULE_CHARS_MAX: Final = 1_024
_VARIABLES_MAX: Final = 16

_UUID: Final = "[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
# Most specific first; text stands before all of them.
_ORDER: Final = ("int", "uuid", "float", "any", "string", "path")
_OPTIONS: Final[Mapping[str, Mapping[str, type]]] = {
    "int": {"min": int, "max": int, "fixed_digits": int, "signed": bool},
    "float": {"min": float, "max": float, "signed": bool},
    "uuid": {},
    "any": {},
    "string": {"length": int, "minlength": int, "maxlength": int},
    "path": {},
}
_NAME: Final = r"[A-Za-z_]\w*"
_VARIABLE: Final = re.compile(
    rf"<(?:(?P<converter>{_NAME})(?:\((?P<arguments>[^()<>]*)\))?:)?(?P<name>{_NAME})>"
    rf"|\{{(?P<braced>{_NAME})(?P<rest>:path)?\}}|(?<=/):(?P<colon>{_NAME})"
)
# What would mean something in the pattern of an alias.
_SPECIAL: Final = re.compile(r"[?+()\[\]!*:]")
_WRITTEN: Final = re.compile(r"""\s*(?:(\w+)\s*=\s*)?("[^"]*"|'[^']*'|[^\s,'"]+)\s*(?:,|$)""")


class Variable(msgspec.Struct, frozen=True):
    """One value of a path.

    Attributes:
        name: Of the method's parameter.
        kind: Of its converter.
        source: Expression of its text.
        convert: From text to value; raises ValueError where the text is none after all.
        schema: What documents tell of it.
    """

    name: str
    kind: str
    source: str
    convert: Callable[[str], Any]
    schema: Mapping[str, Any]


class Rule(msgspec.Struct, frozen=True):
    """A parsed rule.

    Attributes:
        written: As it was.
        template: The same as the pattern of an alias, with ``{name}`` in the place of each value.
        shape: The same without names: equal ones match the same paths.
        variables: From left to right.
        order: Sorts rules, the most specific first.
        expression: Of the whole path.
    """

    written: str
    template: str
    shape: str
    variables: tuple[Variable, ...]
    order: tuple[float, ...]
    expression: re.Pattern[str]

    @property
    def path(self) -> str | None:
        """The one path that it matches, but for a slash at the end; None where it has values."""
        return None if self.variables else self.shape or "/"

    def match(self, path: str) -> dict[str, Any] | None:
        """Values of a decoded path, or None where it is none of this rule's."""
        found = self.expression.fullmatch(path)
        if found is None:
            return None
        try:
            return {one.name: one.convert(text) for one, text in zip(self.variables, found.groups(), strict=True)}
        except ValueError:
            return None


def parse_rule(written: object) -> Rule:
    """Read a rule.

    Raises:
        ServiceSchemaError: It is none; the message says why.
    """
    if not isinstance(written, str) or not written.startswith("/"):
        raise ServiceSchemaError(f"the URL of @http begins with '/', unlike {written!r:.80}")
    if len(written) > _RULE_CHARS_MAX:
        raise _faulty(written, f"is longer than {_RULE_CHARS_MAX} characters")
    variables: list[Variable] = []
    template, shape, source, order = "", "", "", []
    for segment in written[1:].removesuffix("/").split("/") if written.strip("/") else ():
        parts = list(_parts(segment, written))
        values = [part for part in parts if isinstance(part, Variable)]
        variables += values
        if len(values) > 2 or (len(values) == 2 and any(one.kind == "path" for one in values)):
            raise _faulty(written, "has more than two values, or a path beside another one, in one segment")
        bound = f"(?=[^/]{{1,{_MIXED_CHARS_MAX}}}(?:/|$))" if len(values) == 2 else ""
        source += "/" + bound + "".join(re.escape(p) if isinstance(p, str) else f"({p.source})" for p in parts)
        template += "/" + "".join(_SPECIAL.sub(r"\\\g<0>", p) if isinstance(p, str) else f"{{{p.name}}}" for p in parts)
        shape += "/" + "".join(p if isinstance(p, str) else f"<{p.source}>" for p in parts)
        # Text beside a value makes it more specific than the value alone.
        rank = max((_ORDER.index(one.kind) + 1 for one in values), default=0)
        order.append(rank - 0.5 if values and len(parts) > len(values) else float(rank))
    names = [one.name for one in variables]
    if len(set(names)) < len(names):
        raise _faulty(written, "has two values of one name")
    if len(names) > _VARIABLES_MAX or sum(one.kind == "path" for one in variables) > 1:
        raise _faulty(written, f"has more than {_VARIABLES_MAX} values, or more than one <path:…>")
    return Rule(written, template or "/", shape, tuple(variables), tuple(order), re.compile(source + "/?", re.DOTALL))


def _faulty(written: str, what: str) -> ServiceSchemaError:
    return ServiceSchemaError(f"the URL {written!r:.200} of @http {what}")


def _parts(segment: str, written: str) -> Iterator[str | Variable]:
    """Text and values of one segment."""
    at = 0
    if segment.startswith(":"):
        segment = f"{{{segment[1:]}}}"
    for found in _VARIABLE.finditer(segment):
        if found.start() > at:
            yield _text(segment[at : found.start()], written)
        name = found["name"] or found["braced"] or found["colon"]
        kind = "path" if found["rest"] else found["converter"] or "string"
        yield _variable(name, "string" if kind == "default" else kind, found["arguments"], written)
        at = found.end()
    if at < len(segment):
        yield _text(segment[at:], written)


def _text(text: str, written: str) -> str:
    if re.search(r"[<>{}]", text):
        raise _faulty(written, f"has a value that cannot be read, at '{text}': write <name>, <int:name> or {{name}}")
    if re.search(r"[\x00-\x20\x7f?#%\\]", text) or text in (".", ".."):
        raise _faulty(written, f"has '{text}' in it; write the path as it reads when decoded, without a query")
    return text


def _variable(name: str, kind: str, arguments: str | None, written: str) -> Variable:
    if kind not in _OPTIONS:
        raise _faulty(written, f"names the converter '{kind}'; there are {', '.join(_OPTIONS)}")
    by_place, options = _arguments(kind, arguments or "", written)
    if kind == "any":
        if not by_place:
            raise _faulty(written, "lists no words in <any(…):…>")
        words = sorted(by_place, key=len, reverse=True)
        return Variable(name, kind, "|".join(map(re.escape, words)), str, {"type": "string", "enum": by_place})
    if by_place:
        raise _faulty(written, f"gives '{kind}' an argument without a name: {by_place[0]}")
    if kind == "int":
        return _int(name, options)
    if kind == "float":
        sign = "-?" if options.get("signed") else ""
        return Variable(
            name, kind, rf"{sign}[0-9]{{1,400}}\.[0-9]{{1,400}}", _within(float, options), {"type": "number"}
        )
    if kind == "uuid":
        return Variable(name, kind, _UUID, uuid.UUID, {"type": "string", "format": "uuid"})
    if kind == "path":
        return Variable(name, kind, "[^/].*", str, {"type": "string"})
    return _string(name, options, written)


def _int(name: str, options: Mapping[str, Any]) -> Variable:
    digits = options.get("fixed_digits")
    count = f"{{{digits}}}" if digits else f"{{1,{_DIGITS_MAX}}}"
    sign = "-?" if options.get("signed") else ""
    return Variable(name, "int", f"{sign}[0-9]{count}", _within(int, options), {"type": "number", "integer": True})


def _string(name: str, options: Mapping[str, Any], written: str) -> Variable:
    least, most = options.get("minlength", 1), options.get("maxlength")
    if "length" in options:
        least = most = options["length"]
    if least < 1 or (most is not None and most < least):
        raise _faulty(written, "has lengths that nothing can have")
    return Variable(name, "string", f"[^/]{{{least},{'' if most is None else most}}}", str, {"type": "string"})


def _within(number: Callable[[str], Any], options: Mapping[str, Any]) -> Callable[[str], Any]:
    least, most = options.get("min"), options.get("max")
    if least is None and most is None:
        return number

    def convert(text: str) -> Any:
        value = number(text)
        if (least is not None and value < least) or (most is not None and value > most):
            raise ValueError(text)
        return value

    return convert


def _arguments(kind: str, text: str, written: str) -> tuple[list[str], dict[str, Any]]:
    """What stands in the brackets behind a converter: by place, and by name."""
    by_place: list[str] = []
    options: dict[str, Any] = {}
    at = 0
    while at < len(text.rstrip()):
        found = _WRITTEN.match(text, at)
        if found is None:
            raise _faulty(written, f"has arguments that cannot be read: ({text})")
        at = found.end()
        key, value = found[1], found[2].strip("'\"")
        if key is None:
            by_place.append(value)
            continue
        wanted = _OPTIONS[kind].get(key)
        if wanted is None:
            known = ", ".join(_OPTIONS[kind]) or "none"
            raise _faulty(written, f"gives '{kind}' an argument '{key}'; there are: {known}")
        try:
            options[key] = {"True": True, "False": False}[value] if wanted is bool else wanted(value)
        except (KeyError, ValueError):
            raise _faulty(written, f"gives '{key}' the value {value}, which is no {wanted.__name__}") from None
    return by_place, options


class RuleTable(Generic[T]):
    """Finds the target of a method and a path: the first rule that has the method, most specific first.

    Args:
        entries: Rule, method in upper case, target.
    """

    def __init__(self, entries: list[tuple[Rule, str, T]]) -> None:
        rules: dict[str, tuple[Rule, dict[str, T]]] = {}
        for rule, method, target in entries:
            rules.setdefault(rule.shape, (rule, {}))[1][method] = target
        self._rules = sorted(rules.values(), key=lambda one: one[0].order)
        # By the first segment, where that is text: most of a table is never looked at.
        self._below: dict[str, list[tuple[Rule, dict[str, T]]]] = {}
        self._others = [one for one in self._rules if _first_text(one[0]) is None]
        for first in {_first_text(rule) for rule, _ in self._rules} - {None}:
            self._below[first] = [one for one in self._rules if _first_text(one[0]) in (first, None)]  # type: ignore[index]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def find(self, method: str, path: str) -> tuple[T, dict[str, Any]] | frozenset[str] | None:
        """The target and its values; else the methods that the path has; None where there is no such path.

        A HEAD that no rule names is answered as a GET.
        """
        seen: set[str] = set()
        end = path.find("/", 1)
        for rule, methods in self._below.get(path[1:] if end < 0 else path[1:end], self._others):
            target = methods.get(method)
            if target is None and method == "HEAD":
                target = methods.get("GET")
            if target is None and seen.issuperset(methods):
                continue
            values = rule.match(path)
            if values is not None:
                if target is not None:
                    return target, values
                seen.update(methods)
        return frozenset(seen) or None

    def at(self, path: str) -> list[T]:
        """All targets of a path, by the names of their methods."""
        found = [methods for rule, methods in self._rules if rule.match(path) is not None]
        return [target for methods in found for _, target in sorted(methods.items())]


def _first_text(rule: Rule) -> str | None:
    first = rule.shape[1:].partition("/")[0]
    return None if "<" in first else first
