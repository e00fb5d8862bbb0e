"""Cors: who may read answers from a script of another site, and how that is written in settings.

Options and defaults: gateway reference, section 6.1. Comparison: reliability reference, section 5.1.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, cast

from tautomer.settings import record
from tautomer.web.settings.origins import Origins
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_whole_number

__all__ = ["Cors", "OriginCheck", "read_cors"]

OriginCheck: TypeAlias = Callable[[str], "bool | Awaitable[bool]"]

METHODS: Final = ("GET", "HEAD", "PUT", "PATCH", "POST", "DELETE")

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@record
class Cors:
    """What sites a route opens itself to.

    Attributes:
        origin: The sites; a function that says of an origin whether it is one; or None for all there are.
        methods: Told to preflights.
        allowed_headers: Told to preflights; None for those that the preflight asks for.
        exposed_headers: Headers of an answer that scripts may read, beside the few they always may.
        credentials: Whether browsers may send cookies and the like along.
        max_age: Seconds for which a browser may keep what a preflight told it, or None for its own default.
    """

    origin: Origins | OriginCheck | None = None
    methods: tuple[str, ...] = METHODS
    allowed_headers: tuple[str, ...] | None = None
    exposed_headers: tuple[str, ...] = ()
    credentials: bool = False
    max_age: int | None = None


def read_cors(given: object, inherited: Cors | None, where: str, notes: Notes) -> Cors | None:
    """The record, or None where it is off.

    Args:
        given: ``True`` for the defaults, a mapping, ``False`` for off, None for what is inherited.
        inherited: The gateway's, whose options hold where a route does not say; None at the gateway itself.
        where: Place for messages, such as ``settings.cors``.
    """
    if given is None:
        return inherited
    if given is False:
        return None
    base = inherited or Cors()
    reader = Reader({} if given is True else given, where, notes)
    cors = Cors(
        origin=reader.take("origin", base.origin, _origin),
        methods=reader.take("methods", base.methods, _tokens),
        allowed_headers=reader.take("allowed_headers", base.allowed_headers, _tokens),
        exposed_headers=reader.take("exposed_headers", base.exposed_headers, _tokens),
        credentials=reader.take("credentials", base.credentials, a_bool),
        max_age=reader.take("max_age", base.max_age, a_whole_number),
    )
    reader.close()
    if cors.credentials and cors.origin is None:
        notes.faults.append(
            f"{where}: 'credentials' with every origin ('*') would let any site act in a user's name, and browsers refuse it; "
            "name the origins"
        )
    return cors


# --- checks: the value in its type, or ValueError whose text goes on after the setting's name ---


def _origin(value: object) -> Origins | OriginCheck | None:
    if callable(value):
        return cast(OriginCheck, value)
    entries = [value] if isinstance(value, str) else value
    if not isinstance(entries, list | tuple) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"is '*', an origin, a list of these, or a function that takes an origin, not {value!r:.80}")
    return None if "*" in entries else Origins(entries)


def _tokens(value: object) -> tuple[str, ...]:
    """Names in a list, or in one text with commas between."""
    names = [one.strip() for one in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(one, str) and _TOKEN.fullmatch(one) for one in names):
        raise ValueError(f"is a list of names, or a text with commas between them, not {value!r:.80}")
    return tuple(names)
