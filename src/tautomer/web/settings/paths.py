"""Reading what of a route's settings makes paths: its aliases, and how they are matched."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from tautomer.web.messages.limits import UploadLimits
from tautomer.web.routing.access import AccessRules, Mask
from tautomer.web.routing.aliases import ALIAS_KEYS, AliasDef, AliasError, join_path, parse_alias, snake
from tautomer.web.routing.patterns import PatternError, parse_patterns
from tautomer.web.settings.guards import guarded_alias
from tautomer.web.settings.hooks import can_take
from tautomer.web.settings.reading import Notes, Reader, a_bool
from tautomer.web.settings.uploads import read_uploads

__all__ = ["read_access", "read_aliases", "read_case_sensitive"]

T = TypeVar("T")


def read_aliases(
    given: Mapping[str, object], prefix: str, case_sensitive: bool, uploads: UploadLimits, where: str, notes: Notes
) -> tuple[AliasDef, ...]:
    """The aliases of a route, in order.

    Args:
        prefix: Path of the route.
        uploads: What may be uploaded where an alias says nothing of it.
        where: Place of the mapping, for messages.
    """
    made: list[AliasDef] = []
    for key, value in given.items():
        value, guarded = guarded_alias(value, f"{where}['{key}']", notes)
        try:
            for alias in parse_alias(key, value):
                path = join_path(prefix, alias.path) if alias.full_path is None else alias.full_path
                parse_patterns(path, sensitive=case_sensitive)
                if alias.busboy_config is not None:
                    own = read_uploads(alias.busboy_config, f"{where}['{key}'].busboyConfig", notes, uploads)
                    alias = msgspec.structs.replace(alias, busboy_config=None, uploads=own)
                made.append(guarded(alias))
                _check_functions(alias, key)
        except (AliasError, PatternError) as error:
            notes.faults.append(f"{where}: {error}")
            continue
        for name in made[-1].options:
            meant = difflib.get_close_matches(snake(name), ALIAS_KEYS, 1, 0.85)
            if meant:
                notes.warnings.append(f"{where}: '{key}' has a key '{name}' of its own; was '{meant[0]}' meant?")
    return tuple(made)


def _check_functions(alias: AliasDef, key: str) -> None:
    for stage in alias.stages:
        if not can_take(stage, 2):
            raise AliasError(
                f"'{key}': a function in front of the last entry is a stage and takes (request, call_next)"
            )
    if alias.handler is not None and not can_take(alias.handler, 1):
        raise AliasError(f"'{key}': a function that answers takes (request)")


def read_access(
    whitelist: tuple[Mask, ...] | None, blacklist: tuple[Mask, ...], where: str, notes: Notes
) -> AccessRules:
    """The lists of a route. What can match nothing is told, as in a blacklist it would leave a door open."""
    for name, masks in (("whitelist", whitelist or ()), ("blacklist", blacklist)):
        for mask in masks:
            if isinstance(mask, str) and "*" in mask and "**" not in mask and "." not in mask:
                notes.warnings.append(
                    f"{where}.{name}: '{mask}' fits no name with a dot, as '*' stands for text within one part; "
                    f"write '{mask.replace('*', '**')}' for all that begins so"
                )
    return AccessRules(whitelist, blacklist)


def read_case_sensitive(given: Mapping[str, object], where: str, notes: Notes) -> bool:
    """`pathToRegexpOptions`: what of them has a meaning here is whether upper and lower case differ."""
    reader = Reader(given, where, notes)
    sensitive = reader.take("sensitive", False, a_bool)
    # A trailing slash means nothing: moleculer-web drops it before these could be asked.
    reader.take("strict", None, a_bool)
    reader.take("trailing", None, a_bool)
    reader.take("end", None, _only(True, "end the alias in '{/*rest}' if it shall take what is longer"))
    reader.take("start", None, _only(True, "an alias is matched from the first character on"))
    reader.take("delimiter", None, _only("/", "segments end at slashes"))
    reader.close()
    return sensitive


def _only(only: T, reason: str) -> Callable[[object], T]:
    def check(value: object) -> T:
        if value != only:
            raise ValueError(f"can only be {only!r}: {reason}")
        return only

    return check
