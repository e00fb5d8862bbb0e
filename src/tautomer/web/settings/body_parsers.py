"""Body parsers of a route: which bodies are read, how, and how long they may be (gateway reference, section 3.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias, get_args

from tautomer.settings import a_size, record
from tautomer.web.messages.content import CHARSETS
from tautomer.web.messages.message import Request
from tautomer.web.messages.query import FORM_RULES, QueryRules
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_bool_or_mapping, a_list, a_text, a_whole_number

__all__ = ["BodyParser", "BodyParsers", "read_body_parsers"]

Kind: TypeAlias = Literal["json", "urlencoded", "text", "raw", "multipart"]

_USUAL_TYPES: Final[dict[str, str]] = {
    "json": "application/json",
    "urlencoded": "application/x-www-form-urlencoded",
    "text": "text/plain",
    "raw": "application/octet-stream",
    "multipart": "multipart/form-data",
}
# Short names that people write for a type, as body-parser takes them.
_SHORT_TYPES: Final[dict[str, str]] = {
    "json": "application/json",
    "urlencoded": "application/x-www-form-urlencoded",
    "multipart": "multipart/*",
    "text": "text/plain",
    "txt": "text/plain",
    "html": "text/html",
    "css": "text/css",
    "csv": "text/csv",
    "js": "text/javascript",
    "xml": "application/xml",
    "bin": "application/octet-stream",
}
_TYPE = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+/[!#$%&'*+\-.^_`|~0-9a-z]+")
# As deep as the limits let JSON be.
_DEPTH_MAX: Final = 64

_COMMON_LATER: Final[dict[str, str]] = {"verify": "use 'onBeforeCall', which has the bytes as 'request.body'"}
_LATER: Final[dict[str, dict[str, str]]] = {
    "json": {"reviver": "it belongs to JavaScript's JSON.parse", "default_charset": "JSON is UTF-8"},
    "urlencoded": {"charset_sentinel": "", "interpret_numeric_entities": ""},
    "text": {},
    "raw": {},
    "multipart": {},
}


@record
class BodyParser:
    """Reads bodies of some content types.

    Attributes:
        kind: What it makes of them.
        types: Content types, in lower case: ``text/plain``, ``text/*``, ``*/*+json``, ``*/*``.
        test: ``(request)``, says whether it reads a body; in place of `types`.
        bytes_max: Longest body, also after unpacking; None for `limits.body_bytes_max`, 0 for no end.
        inflate: Whether packed bodies are unpacked; else they are refused.
        strict: ``json``: objects and lists only.
        rules: ``urlencoded``: which syntax is read.
        charset: ``urlencoded`` and ``text``: of bodies that do not name theirs.
    """

    kind: Kind = "json"
    types: tuple[str, ...] = ("application/json",)
    test: Callable[..., object] | None = None
    bytes_max: int | None = None
    inflate: bool = True
    strict: bool = True
    rules: QueryRules = FORM_RULES
    charset: str = "utf-8"

    def takes(self, request: Request, mimetype: str) -> bool:
        """Whether it reads this body; `mimetype` is the request's."""
        if self.test is not None:
            return bool(self.test(request))
        return mimetype in self.types or any(_fits(wanted, mimetype) for wanted in self.types)


JSON: Final = BodyParser()
# Of routes that do not name their parsers: nested, as a form with brackets is meant.
URLENCODED: Final = BodyParser(kind="urlencoded", types=("application/x-www-form-urlencoded",))


@record
class BodyParsers:
    """Which bodies a route reads. With none on, bodies are left alone; with one on, others get 415.

    Attributes:
        in_order: The first that takes a body reads it.
    """

    in_order: tuple[BodyParser, ...] = (JSON, URLENCODED)

    def bytes_max(self, usual: int) -> int:
        """How long a body of the route may be, whoever reads it; 0 for no end."""
        most = [usual if parser.bytes_max is None else parser.bytes_max for parser in self.in_order] or [usual]
        return 0 if 0 in most else max(most)


def read_body_parsers(given: bool | Mapping[str, object], where: str, notes: Notes) -> BodyParsers:
    """`bodyParsers` of a route: true for the usual two, false for none, or ``{kind: true | false | options}``."""
    if isinstance(given, bool):
        return BodyParsers() if given else BodyParsers(in_order=())
    reader = Reader(given, where, notes)
    wanted = {kind: reader.take(kind, False, a_bool_or_mapping) for kind in get_args(Kind)}
    reader.close()
    # The order is the one in which they were written.
    written = [key.lower() for key in given]
    kinds = sorted((kind for kind in wanted if wanted[kind] is not False), key=written.index)
    return BodyParsers(in_order=tuple(_parser(kind, wanted[kind], f"{where}.{kind}", notes) for kind in kinds))


def _parser(kind: Kind, given: bool | Mapping[str, object], where: str, notes: Notes) -> BodyParser:
    reader = Reader({} if isinstance(given, bool) else given, where, notes, {**_COMMON_LATER, **_LATER[kind]})
    types = reader.take("type", (_USUAL_TYPES[kind],), _types)
    bytes_max = reader.take("limit", None, a_size)
    inflate = reader.take("inflate", True, a_bool)
    strict = reader.take("strict", True, a_bool) if kind == "json" else True
    rules = _form_rules(reader) if kind == "urlencoded" else FORM_RULES
    charset = reader.take("default_charset", "utf-8", _charset) if kind in ("urlencoded", "text") else "utf-8"
    reader.close()
    return BodyParser(
        kind=kind,
        types=types if isinstance(types, tuple) else (),
        test=None if isinstance(types, tuple) else types,
        bytes_max=bytes_max,
        inflate=inflate,
        strict=strict,
        rules=rules,
        charset=charset,
    )


def _form_rules(reader: Reader) -> QueryRules:
    # As body-parser has it since 2.0, and with it moleculer-web since 0.11.
    extended = reader.take("extended", False, a_bool)
    pairs_max = reader.take("parameter_limit", None, a_whole_number)
    depth = reader.take("depth", None, a_depth)
    if not extended:
        if depth is not None:
            reader.notes.faults.append(f"{reader.where}.depth says nothing without 'extended: true'")
        return QueryRules(depth=0, pairs_max=pairs_max)
    if pairs_max is None and depth is None:
        return FORM_RULES
    usual = FORM_RULES
    return QueryRules(
        depth=usual.depth if depth is None else depth, list_max=usual.list_max, pairs_max=pairs_max, depth_max=depth
    )


def _fits(wanted: str, mimetype: str) -> bool:
    """Whether a type with ``*`` in it stands for this one."""
    if "*" not in wanted:
        return False
    main, _, below = wanted.partition("/")
    given_main, slash, given_below = mimetype.partition("/")
    if not slash or main not in ("*", given_main):
        return False
    return below in ("*", given_below) or (below.startswith("*+") and given_below.endswith(below[1:]))


# --- checks: the value in its type, or ValueError whose text goes on after the setting's name ---


def a_depth(value: object) -> int:
    depth = a_whole_number(value)
    if depth is None or depth > _DEPTH_MAX:
        raise ValueError(f"is a number of brackets, at most {_DEPTH_MAX}, not {value!r:.80}")
    return depth


def _charset(value: object) -> str:
    name = a_text(value).lower()
    if name not in CHARSETS:
        raise ValueError(f"is one of {', '.join(CHARSETS)}, not {value!r:.80}")
    return name


def _types(value: object) -> tuple[str, ...] | Callable[..., object]:
    if callable(value):
        return value
    return tuple(_type(one) for one in (a_list(value) if isinstance(value, list | tuple) else [value]))


def _type(value: object) -> str:
    text = a_text(value).lower()
    text = _SHORT_TYPES.get(text, text)
    if text.startswith("+"):
        text = f"*/*{text}"
    if not _TYPE.fullmatch(text):
        raise ValueError(
            f"is a content type such as 'text/*', '+json' or '*/*', one of {', '.join(_SHORT_TYPES)}, a list of these, "
            f"or a function that takes the request; not {value!r:.80}"
        )
    return text
