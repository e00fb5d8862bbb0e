"""The rules whose values are text: string, email, url, uuid, mac, luhn, currency.

Lengths count code points, as Python does. JavaScript counts UTF-16 units, so there an emoji is 2
long; limits on lengths are for people, who count it once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tautomer.validation.faults import Report, Run
from tautomer.validation.grammar import Rule
from tautomer.validation.javascript import MISSING, WHITESPACE, identity_key, to_text
from tautomer.validation.options import wrong

__all__ = [
    "TextTest",
    "currency_check",
    "email_check",
    "is_email",
    "is_url",
    "luhn_check",
    "mac_check",
    "sanitizers",
    "string_check",
    "string_tests",
    "url_check",
    "uuid_check",
    "uuid_fault",
]

Check = Callable[[Any, Any, Run], Any]


@dataclass(frozen=True, slots=True)
class TextTest:
    """One thing that is asked of a text.

    Attributes:
        kind: The error type when it fails.
        passes: The test.
        expected: What the fault says was expected, or None for nothing.
        shown: What the fault says was found: "value" (as it came), "text" (cleaned), "length", or "" for nothing.
    """

    kind: str
    passes: Callable[[str], object]
    expected: object = None
    shown: str = "value"


_CHARACTERS = {
    "numeric": ("stringNumeric", re.compile(r"-?[0-9]+(?:\.[0-9]+)?")),
    "alpha": ("stringAlpha", re.compile(r"[a-zA-Z]+")),
    "alphanum": ("stringAlphanum", re.compile(r"[a-zA-Z0-9]+")),
    "alphadash": ("stringAlphadash", re.compile(r"[a-zA-Z0-9_-]+")),
    "hex": ("stringHex", re.compile(r"(?:[0-9a-fA-F]{2})+")),
    "singleLine": ("stringSingleLine", re.compile(r"[^\n]*")),
    "base64": (
        "stringBase64",
        re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
    ),
}


def string_tests(rule: Rule) -> list[TextTest]:
    """What a `string` rule asks beside being text, in the order in which faults are told."""
    options = rule.options
    tests = []
    if options.get("empty") is False:
        tests.append(TextTest("stringEmpty", bool, None, "text"))
    if (least := options.get("min")) is not None:
        tests.append(TextTest("stringMin", lambda text: len(text) >= least, least, "length"))
    if (most := options.get("max")) is not None:
        tests.append(TextTest("stringMax", lambda text: len(text) <= most, most, "length"))
    if (length := options.get("length")) is not None:
        tests.append(TextTest("stringLength", lambda text: len(text) == length, length, "length"))
    if options.get("pattern") is not None:
        pattern, shown = _pattern(rule, "pattern")
        tests.append(TextTest("stringPattern", pattern.search, shown))
    if options.get("contains") is not None:
        part = to_text(options["contains"])
        tests.append(TextTest("stringContains", lambda text: part in text, part))
    if options.get("enum") is not None:
        allowed = frozenset(identity_key(value) for value in options["enum"])
        tests.append(TextTest("stringEnum", allowed.__contains__, listed(options["enum"])))
    for name, (kind, characters) in _CHARACTERS.items():
        if options.get(name) is True:
            tests.append(TextTest(kind, characters.fullmatch, None, "" if name == "singleLine" else "value"))
    return tests


def listed(values: Any) -> str:
    """Allowed values as one text, as the wire has them."""
    return ", ".join("" if value is None else to_text(value) for value in values)


def string_check(rule: Rule, report: Report) -> Check:
    tests, clean = string_tests(rule), sanitizers(rule.options)
    convert, empty_is_fine = rule.options.get("convert") is True, rule.options.get("empty") is True

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, str):
            if not convert:
                report(run, "string", value)
                return value
            value = to_text(value)
        text: str = value
        for sanitize in clean:
            text = sanitize(text)
        if empty_is_fine and not text:
            return text
        for test in tests:
            if not test.passes(text):
                _tell(report, run, test, text, value)
        # A text that is only equal is handed back as it came, so that nothing counts as changed.
        return value if text == value else text

    return check


def _tell(report: Report, run: Run, test: TextTest, text: str, original: str) -> None:
    found = {"value": original, "text": text, "length": len(text), "": MISSING}[test.shown]
    report(run, test.kind, found, MISSING if test.expected is None else test.expected)


def sanitizers(options: Mapping[str, Any]) -> list[Callable[[str], str]]:
    """What is done to a text before it is looked at, in fastest-validator's order."""
    fill = to_text(options["padChar"]) if options.get("padChar") is not None else " "
    steps: list[tuple[str, Callable[[str], str]]] = [
        ("trim", lambda text: text.strip(WHITESPACE)),
        ("trimLeft", lambda text: text.lstrip(WHITESPACE)),
        ("trimRight", lambda text: text.rstrip(WHITESPACE)),
        ("padStart", lambda text: _padding(text, options["padStart"], fill) + text),
        ("padEnd", lambda text: text + _padding(text, options["padEnd"], fill)),
        ("lowercase", str.lower),
        ("uppercase", str.upper),
        # Python knows no locale here; JavaScript's differ in Turkish, Azeri and Lithuanian only.
        ("localeLowercase", str.lower),
        ("localeUppercase", str.upper),
    ]
    return [step for name, step in steps if options.get(name)]


def _padding(text: str, length: int | float, fill: str) -> str:
    """What is missing to `length`: `fill` over and over, cut where it is enough."""
    missing = int(length) - len(text)
    if missing <= 0 or not fill:
        return ""
    return (fill * (missing // len(fill) + 1))[:missing]


_FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL}
_FLAGS_WITHOUT_EFFECT = "dguvy"

# An escaped character, a character class, the two things that Python writes otherwise, or anything else.
_PATTERN_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?<(?![=!])|\$|.", re.DOTALL)


def _pattern(rule: Rule, option: str) -> tuple[re.Pattern[str], str]:
    """The compiled pattern of an option, and how a fault shows it.

    Text is read as JavaScript's: ``\\d`` and ``\\w`` are ASCII, ``$`` is the very end (Python's also
    matches before a last line feed, which lets ``"admin\\n"`` through ``^admin$``), and
    ``(?<name>`` names a group. A pattern that was compiled with `re` is taken as it is.
    """
    given = rule.options[option]
    if isinstance(given, re.Pattern):
        return given, f"/{given.pattern}/"
    letters = rule.options.get("patternFlags") or ""
    flags = re.ASCII
    for letter in letters:
        if letter not in _FLAGS and letter not in _FLAGS_WITHOUT_EFFECT:
            raise wrong(rule.path, f"'patternFlags' knows no flag {letter!r}")
        flags |= _FLAGS.get(letter, re.ASCII)
    end = "$" if flags & re.MULTILINE else r"\Z"
    python = {"$": end, "(?<": "(?P<"}
    source = _PATTERN_TOKEN.sub(lambda token: python.get(token[0], token[0]), given)
    try:
        return re.compile(source, flags), f"/{given}/{letters}"
    except (re.error, OverflowError, RecursionError) as exc:
        raise wrong(rule.path, f"'{option}' is no regular expression that Python reads: {exc}") from exc


_SPACE = re.compile(f"[{WHITESPACE}]")
_ATOMS = re.compile(rf"[^<>()\[\]\\.,;:@\"{WHITESPACE}]+(?:\.[^<>()\[\]\\.,;:@\"{WHITESPACE}]+)*")
_QUOTED = re.compile('"[^\n\r\u2028\u2029]+"')
_ADDRESS = re.compile(r"\[[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\]")
_DOMAIN = re.compile(r"(?:[a-zA-Z0-9-]+\.)+[a-zA-Z]{2,}")


def is_email(text: str) -> bool:
    """Quick mode: no white space, an @ after something, later a dot with something on both sides.

    Looks for the first @ and the last dot instead of asking a regular expression, which would
    need quadratic time for a long row of @.
    """
    at, dot = text.find("@", 1), text.rfind(".", 0, len(text) - 1)
    return at > 0 and dot >= at + 2 and not _SPACE.search(text)


def _is_precise_email(text: str) -> bool:
    """Precise mode: a dotted or quoted name, at a domain with a top level of letters or at [an address]."""
    name, _, host = text.rpartition("@")
    if not (_ATOMS.fullmatch(name) or _QUOTED.fullmatch(name)):
        return False
    return bool(_DOMAIN.fullmatch(host) or _ADDRESS.fullmatch(host))


def email_check(rule: Rule, report: Report) -> Check:
    options = rule.options
    passes = _is_precise_email if options.get("mode") == "precise" else is_email
    normalize, empty_is_fine = options.get("normalize"), options.get("empty")
    least, most = options.get("min"), options.get("max")

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, str):
            report(run, "string", value)
            return value
        if not value:
            if not empty_is_fine:
                report(run, "emailEmpty", value)
            return value
        text = value.strip(WHITESPACE).lower() if normalize else value
        if least is not None and len(text) < least:
            report(run, "emailMin", len(text), least)
        if most is not None and len(text) > most:
            report(run, "emailMax", len(text), most)
        if not passes(text):
            report(run, "email", text)
        return text if text != value else value

    return check


is_url = re.compile(f"https?://[^{WHITESPACE}]").match


def url_check(rule: Rule, report: Report) -> Check:
    empty_is_fine = rule.options.get("empty")

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, str):
            report(run, "string", value)
        elif not value:
            if not empty_is_fine:
                report(run, "urlEmpty", value)
        elif not is_url(value):
            report(run, "url", value)
        return value

    return check


_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_NIL_UUID = "00000000-0000-0000-0000-000000000000"
_VERSIONS_WITH_VARIANT = "34578"


def uuid_fault(text: str, version: int | None) -> tuple[str, int | None] | None:
    """What is wrong with a UUID: error type and the version found, or None if it is right."""
    if text != _NIL_UUID and not _UUID.fullmatch(text):
        return ("uuid", None)
    if version is not None and int(text[14]) != version:
        return ("uuidVersion", int(text[14]))
    if text[14] in _VERSIONS_WITH_VARIANT and text[19] not in "89abAB":
        return ("uuid", None)
    return None


def uuid_check(rule: Rule, report: Report) -> Check:
    version = uuid_version(rule)

    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, str):
            report(run, "string", value)
        elif fault := uuid_fault(value, version):
            kind, found = fault
            if kind == "uuid":
                report(run, kind, value)
            else:
                report(run, kind, found, version)
        return value

    return check


def uuid_version(rule: Rule) -> int | None:
    given = rule.options.get("version")
    return None if given is None else int(given)


_HEX2, _HEX4 = "[0-9a-fA-F]{2}", "[0-9a-fA-F]{4}"
# Node takes longer groups, too, all but the last.
_MAC = re.compile(
    f"(?:{_HEX2[:-1]},}}-){{5}}{_HEX2}|(?:{_HEX2[:-1]},}}:){{5}}{_HEX2}|(?:{_HEX4[:-1]},}}\\.){{2}}{_HEX4}"
)


def _text_check(kind: str, passes: Callable[[str], object], report: Report) -> Check:
    def check(value: Any, parent: Any, run: Run) -> Any:
        if not isinstance(value, str):
            report(run, "string", value)
        elif not passes(value):
            report(run, kind, value)
        return value

    return check


def mac_check(rule: Rule, report: Report) -> Check:
    return _text_check("mac", _MAC.fullmatch, report)


_NOT_DIGITS = re.compile("[^0-9]+")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def _has_luhn_digit(text: str) -> bool:
    """The checksum of card numbers, over whatever digits the text has (ISO/IEC 7812-1, annex B)."""
    digits = [int(digit) for digit in _NOT_DIGITS.sub("", text)]
    total = sum(digits[-1::-2]) + sum(_DOUBLED[digit] for digit in digits[-2::-2])
    return total > 0 and total % 10 == 0


def luhn_check(rule: Rule, report: Report) -> Check:
    return _text_check("luhn", _has_luhn_digit, report)


def _currency_pattern(options: Mapping[str, Any]) -> str:
    symbol = re.escape(options.get("currencySymbol") or "")
    if symbol and options.get("symbolOptional"):
        symbol = f"(?:{symbol})?"
    thousand = re.escape(options.get("thousandSeparator") or ",")
    decimal = re.escape(options.get("decimalSeparator") or ".")
    whole = f"[0-9]{{1,3}}(?:{thousand}[0-9]{{3}})*"
    return f"(?:-?{symbol}|{symbol}-?)(?:{whole}(?:{decimal}[0-9]{{1,2}})?|{decimal}[0-9]{{1,2}})"


def currency_check(rule: Rule, report: Report) -> Check:
    if rule.options.get("customRegex") is not None:
        passes: Callable[[str], object] = _pattern(rule, "customRegex")[0].search
    else:
        passes = partial(re.fullmatch, _currency_pattern(rule.options))

    def check(value: Any, parent: Any, run: Run) -> Any:
        # Node breaks off with a TypeError where the value is no text.
        if not isinstance(value, str) or not passes(value):
            report(run, "currency", value)
        return value

    return check
