"""Reading what a gateway shows of itself, and the paths that settings name."""

from __future__ import annotations

from collections.abc import Mapping

from tautomer.web.routing.aliases import join_path
from tautomer.web.routing.patterns import PatternError, parse_patterns
from tautomer.web.settings.reading import Notes, Reader, a_list, a_text
from tautomer.web.settings.records import OpenApiSettings

__all__ = ["a_prefix", "is_static", "read_openapi"]


def read_openapi(given: bool | Mapping[str, object], notes: Notes) -> OpenApiSettings | None:
    """The document and its page; None where neither is wanted."""
    if given is False:
        return None
    usual = OpenApiSettings()
    reader = Reader({} if given is True else given, "settings.openapi", notes)
    settings = OpenApiSettings(
        path=reader.take("path", usual.path, _plain_path),
        docs=reader.take("docs", usual.docs, lambda value: None if value is False else _plain_path(value)),
        title=reader.take("title", usual.title, a_text),
        version=reader.take("version", usual.version, a_text),
        description=reader.take("description", usual.description, a_text),
        servers=reader.take("servers", usual.servers, _texts),
    )
    reader.close()
    return settings


def is_static(path: str) -> bool:
    """Whether a path holds no values and nothing optional.

    Raises:
        PatternError: It is no path.
    """
    variants = parse_patterns(path)
    return len(variants) == 1 and variants[0].is_static


def _plain_path(value: object) -> str:
    path = a_prefix(value)
    if path == "/" or not is_static(path):
        raise ValueError(f"is a path without values, such as '/openapi.json', not {value!r:.80}")
    return path


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(a_text, a_list(value)))


def a_prefix(value: object) -> str:
    path = join_path(a_text(value))
    try:
        parse_patterns(path)
    except PatternError as error:
        raise ValueError(f"is a path: {error}") from None
    return path
