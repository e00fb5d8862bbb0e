"""Path patterns: the syntax of aliases.

Segment by segment: text; ``:id`` or ``{id}`` (one segment); both mixed with text, such as ``:name.json`` or
``{from}-{to}``; ``:id(\\d+)`` (one that fits an expression); ``*rest`` or ``{rest:path}`` at the end (one segment or
more). Braces around anything else make it optional: ``users{/:id}``. A backslash takes its meaning from what follows.

What moleculer-web 0.10 spelt otherwise means the same: ``/:id?`` is ``{/:id}``, ``/:rest+`` is ``/*rest``,
``/:rest*`` is ``{/*rest}``, ``/:rest(.*)`` is ``/*rest``, and ``/(.*)`` a rest by the name of ``0``.

The one matching rule, for prefixes and aliases alike: text matches in upper and lower case alike
(ASCII letters, as moleculer-web's patterns do), values keep theirs; one trailing slash is nothing;
an empty segment (a doubled slash) matches nothing.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = [
    "ANY_METHOD",
    "EVERY_METHOD",
    "METHODS",
    "Part",
    "Pattern",
    "PatternError",
    "fold",
    "parse_patterns",
    "trimmed",
]

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
"""What an alias without a method answers to. OPTIONS and rarer ones must be named: they never run an action by accident."""

ANY_METHOD: Final = "*"

EVERY_METHOD: Final = "**"
"""What takes OPTIONS and methods of which nobody has heard, too, unless an alias of the same path names them."""

# Patterns come from peers, too (`rest` annotations), so what they can make grow has a bound.
PATTERN_CHARS_MAX: Final = 1_024
SEGMENTS_MAX: Final = 64
# Each doubles the number of patterns that are kept for one alias.
OPTIONAL_MAX: Final = 5
OPTIONAL_OF_PEERS_MAX: Final = 2
EXPRESSION_CHARS_MAX: Final = 100
REPEATS_MAX: Final = 3

Part: TypeAlias = "str | re.Pattern[str] | None"

_CONTROL: Final = re.compile(r"[\x00-\x20\x7f]")
# Text and `:id` only, as most are; and there may be thousands.
_SIMPLE: Final = re.compile(r"[^\\(){}\[\]?+*!#%\"\x00-\x20\x7f]*")
_REJECTED: Final = re.compile(r"[?+()\[\]!\\%#]")
_UPPER: Final = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

# No path holds control characters, so these stand for what has been read already.
_HIDDEN: Final = {char: chr(code) for code, char in enumerate("!\"$&'()*+,-.:;<=>?@[]^_`{|}~", 1)}
_SHOWN: Final = {ord(hidden): char for char, hidden in _HIDDEN.items()}
_REST: Final = "\x1e"
_EDGE: Final = "\x7f"

_NAME: Final = r"(?:[^\W\d]|\$)[\w$]*"
_PART: Final = re.compile(
    rf':(?:"([^"/]+)"|({_NAME}))(?:{_EDGE}(\d+){_EDGE})?'
    rf"|\{{([^\W\d]\w*)\}}|\{{([^\W\d]\w*):path\}}|\*({_NAME}|{_REST})|([:*{{}}{_EDGE}])"
)
_OPTIONAL: Final = re.compile(r"\{(?![^\W\d]\w*(?::path)?\})")
_SPECIAL: Final = frozenset(f":*{{}}{_EDGE}")
_OLD_SPELLINGS: Final = (
    (re.compile(rf":({_NAME}){_REST}"), r"*\1"),
    (re.compile(_REST), f"*{_REST}"),
    (re.compile(rf"/:({_NAME})\+(?=[/{{}}]|$)"), r"/*\1"),
    (re.compile(rf"/:({_NAME})\*(?=[/{{}}]|$)"), r"{/*\1}"),
    (re.compile(rf"([^{{}}]?:{_NAME}(?:{_EDGE}\d+{_EDGE})?)\?"), r"{\1}"),
)

_UNSAFE: Final = (
    (re.compile(r"\((?!\?:)"), "a group is written '(?:...)'"),
    (re.compile(r"\\[1-9]"), "what was matched before cannot be asked for"),
    (re.compile(r"\)[*+{]"), "a repeated group may take for ever on a path that is made for it"),
)
_REPEAT: Final = re.compile(r"(?<!\\)[*+]|\{\d*,\d*\}")


class PatternError(ValueError):
    """A pattern that cannot be one; the text says why."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed path pattern; one of several where parts of it are optional.

    Attributes:
        path: As written, tidied: begins with a slash, has none at its end and no doubled ones.
        text: The same without what is optional and left out here. Without values, it is the path that matches.
        segments: Each as its parts: text (folded, if not `sensitive`) and, at the odd places, None for a value or the
            expression that it must fit. ``("users",)``, ``("", None, "")``, ``("", None, ".json")``.
        names: Names of the values, from left to right.
        wildcard: Whether the last name takes the whole rest of the path.
        sensitive: Whether upper and lower case of its text differ.
    """

    path: str
    text: str
    segments: tuple[tuple[Part, ...], ...]
    names: tuple[str, ...] = ()
    wildcard: bool = False
    sensitive: bool = False

    @property
    def is_static(self) -> bool:
        return not self.names

    @property
    def template(self) -> str:
        """The path with ``{name}`` in the place of each value, as OpenAPI writes it."""
        names = iter(self.names)
        return _PART.sub(lambda _: f"{{{next(names)}}}", self.text)


def fold(text: str) -> str:
    """The form in which text is compared: ASCII letters in lower case.

    Other letters stay: that a Kelvin sign is a k to Unicode is no reason to reach an action by it.
    """
    return text.lower() if text.isascii() else text.translate(_UPPER)


def trimmed(path: str) -> str:
    """Without the one trailing slash that means nothing. ``//`` and ``/a//`` keep theirs, and so match nothing."""
    return path[:-1] if len(path) > 1 and path[-1] == "/" and path[-2] != "/" else path


def parse_patterns(path: str, *, sensitive: bool = False, trusted: bool = True) -> tuple[Pattern, ...]:
    """Read a pattern. What is optional makes several of it, the longest first: matching then knows of none.

    Args:
        sensitive: Whether upper and lower case of its text differ.
        trusted: Whether the gateway's own settings hold it. What a peer has written may hold no expression, as nothing
            received is compiled (promise S7), and few optional parts.

    Raises:
        PatternError: It is none; the text says what is wrong.
    """
    if len(path) > PATTERN_CHARS_MAX:
        raise PatternError(f"a path of {len(path)} characters; at most {PATTERN_CHARS_MAX} are taken")
    if _SIMPLE.fullmatch(path):
        return (_Reading(path, sensitive, []).parse(path),)
    control = _CONTROL.search(path)
    if control is not None:
        raise PatternError(f"{control[0]!r} cannot stand in a path")
    text, compiled = _take_out(path, sensitive, trusted)
    for old, new in _OLD_SPELLINGS:
        text = old.sub(new, text)
    rejected = _REJECTED.search(text)
    if rejected is not None:
        raise PatternError(_why_rejected(rejected[0], path))
    optional_max = OPTIONAL_MAX if trusted else OPTIONAL_OF_PEERS_MAX
    if len(_OPTIONAL.findall(text)) > optional_max:
        raise PatternError(f"more than {optional_max} optional parts in '{path}'; write several aliases")
    reading = _Reading(path, sensitive, compiled)
    return tuple(reading.parse(one) for one in dict.fromkeys(_variants(text, path)))


def _take_out(path: str, sensitive: bool, trusted: bool) -> tuple[str, list[re.Pattern[str]]]:
    """The path with marks for escaped characters and expressions, so that these are not read as syntax."""
    made: list[str] = []
    compiled: list[re.Pattern[str]] = []
    at = 0
    while at < len(path):
        char, start = path[at], at
        at += 1
        if char == "\\":
            if path[at : at + 1] not in _HIDDEN:
                raise PatternError(f"a '\\' in '{path}' stands before one of {' '.join(_HIDDEN)}")
            char, at = _HIDDEN[path[at]], at + 1
        elif char == "(":
            at = _closing(path, start)
            source = path[start + 1 : at - 1]
            if source in (".*", ".+"):
                char = _REST
            elif not trusted:
                raise PatternError(f"an expression in '{path[:80]}': only the gateway's own settings may hold one")
            else:
                char = f"{_EDGE}{len(compiled)}{_EDGE}"
                compiled.append(_expression(source, sensitive))
        made.append(char)
    return "".join(made), compiled


def _closing(path: str, start: int) -> int:
    """Where the expression ends that begins with the bracket at `start`: behind the closing one."""
    depth, at, in_class = 0, start, False
    while at < len(path):
        char = path[at]
        if char == "\\":
            at += 1
        elif in_class:
            in_class = char != "]"
        elif char == "[":
            in_class = True
        elif char in "()":
            depth += 1 if char == "(" else -1
            if depth == 0:
                return at + 1
        at += 1
    raise PatternError(f"a '(' in '{path}' is not closed")


def _expression(source: str, sensitive: bool) -> re.Pattern[str]:
    """The expression of a value, if none of what makes one slow is in it."""
    if not 0 < len(source) <= EXPRESSION_CHARS_MAX:
        raise PatternError(f"an expression of {len(source)} characters; 1 to {EXPRESSION_CHARS_MAX} are taken")
    for unsafe, reason in _UNSAFE:
        if unsafe.search(source):
            raise PatternError(f"the expression '({source})': {reason}")
    if len(_REPEAT.findall(source)) > REPEATS_MAX:
        raise PatternError(f"the expression '({source})' repeats more than {REPEATS_MAX} things")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # As JavaScript has it, `\d` and `\w` are ASCII.
            return re.compile(source, re.ASCII if sensitive else re.ASCII | re.IGNORECASE)
    except (re.error, OverflowError, Warning) as error:
        raise PatternError(f"'({source})' is no expression: {error}") from None


def _variants(text: str, path: str) -> list[str]:
    """Every way to keep or leave out what is optional, the longest first."""
    optional = _OPTIONAL.search(text)
    if optional is None:
        return [text]
    start = at = optional.start()
    depth = 0
    while at < len(text):
        depth += (text[at] == "{") - (text[at] == "}")
        at += 1
        if depth == 0:
            break
    else:
        raise PatternError(f"a '{{' in '{path}' is not closed")
    before, inside, after = text[:start], text[start + 1 : at - 1], text[at:]
    if not inside:
        raise PatternError(f"'{{}}' in '{path}' holds nothing")
    return _variants(before + inside + after, path) + _variants(before + after, path)


def _why_rejected(char: str, path: str) -> str:
    if char == "%":
        return f"'%' in '{path[:80]}': write the path as it reads when decoded"
    if char in "?+":
        return f"'{char}' in '{path[:80]}' follows no value: an optional part is written '{{/:id}}', a rest '*rest'"
    return f"'{char}' in '{path[:80]}' is no text; write '\\{char}' if it is meant as such"


@dataclass(frozen=True, slots=True)
class _Reading:
    """The reading of one pattern's variants."""

    path: str
    sensitive: bool
    compiled: list[re.Pattern[str]]

    def parse(self, variant: str) -> Pattern:
        written = [segment for segment in variant.split("/") if segment]
        if len(written) > SEGMENTS_MAX:
            raise PatternError(f"a path of {len(written)} segments; at most {SEGMENTS_MAX} are taken")
        segments: list[tuple[Part, ...]] = []
        names: list[str] = []
        wildcard = False
        for index, segment in enumerate(written):
            if _shown(segment) in (".", ".."):
                raise PatternError(f"'{_shown(segment)}' is no segment: requests that hold one are refused")
            parts, found, wild = self._segment(segment)
            if wild:
                if index != len(written) - 1:
                    raise PatternError(f"what takes the rest of the path must stand at the end of '{self.path}'")
                wildcard = True
            else:
                segments.append(parts)
            names += found
        if len(set(names)) != len(names):
            raise PatternError(f"'{self.path}' uses one name twice")
        tidied = "/" + "/".join(segment for segment in self.path.split("/") if segment)
        text = "/" + _shown("/".join(written))
        return Pattern(tidied, text, tuple(segments), tuple(names), wildcard, self.sensitive)

    def _segment(self, segment: str) -> tuple[tuple[Part, ...], list[str], bool]:
        """Its parts, the names in it, and whether it takes the rest of the path."""
        if _SPECIAL.isdisjoint(segment):
            return (self._text(segment),), [], False
        parts: list[Part] = []
        names: list[str] = []
        at = 0
        for match in _PART.finditer(segment):
            quoted, name, expression, braced, braced_rest, rest, stray = match.groups()
            if stray:
                shown = "(" if stray == _EDGE else stray
                raise PatternError(
                    f"'{shown}' in '{self.path}' names no value: write ':id' or '{{id}}' for one segment, "
                    "'*rest' for the rest of the path, '{/:id}' for an optional part"
                )
            if rest or braced_rest:
                if match.group() != segment:
                    raise PatternError(f"what takes the rest of '{self.path}' must be a segment of its own")
                return (), [(rest or braced_rest).replace(_REST, "0")], True
            if names and match.start() == at:
                raise PatternError(f"two values with nothing between them in '{self.path}'")
            parts += [
                self._text(segment[at : match.start()]),
                None if expression is None else self.compiled[int(expression)],
            ]
            names.append(quoted or name or braced)
            at = match.end()
        return (*parts, self._text(segment[at:])), names, False

    def _text(self, text: str) -> str:
        return _shown(text) if self.sensitive else fold(_shown(text))


def _shown(text: str) -> str:
    """With what was escaped as it was meant."""
    return text if text.isprintable() else text.translate(_SHOWN)
