"""Reading `qsOptions`: what of the `qs` package's syntax a gateway reads in query strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.query import QUERY_RULES, QueryRules
from tautomer.web.settings.body_parsers import a_depth
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_whole_number

__all__ = ["read_query_rules"]

_LATER: Final[dict[str, str]] = {
    "plain_objects": "every name is an ordinary key here",
    "allow_prototypes": "every name is an ordinary key here",
    "strict_depth": "use 'limits.pair_depth_max'",
    "throw_on_limit_exceeded": "too many parameters are refused anyway",
    "delimiter": "it is '&'",
    "parse_arrays": "",
    "allow_sparse": "",
    "allow_empty_arrays": "",
    "duplicates": "they make a list",
    "strict_null_handling": "",
    "decode_dot_in_keys": "",
    "charset": "it is UTF-8",
    "charset_sentinel": "",
    "interpret_numeric_entities": "",
    "ignore_query_prefix": "there is none here",
    "decoder": "",
}


def read_query_rules(given: Mapping[str, object], limits: HttpLimits, notes: Notes) -> QueryRules:
    """The rules; the usual ones, and no others, where nothing is said."""
    reader = Reader(given, "settings.qsOptions", notes, _LATER)
    usual = QUERY_RULES
    depth = reader.take("depth", usual.depth, a_depth)
    rules = QueryRules(
        depth=depth,
        list_max=reader.take("array_limit", usual.list_max, a_whole_number) or 0,
        comma=reader.take("comma", usual.comma, a_bool),
        dots=reader.take("allow_dots", usual.dots, a_bool),
        pairs_max=reader.take("parameter_limit", None, a_whole_number),
        depth_max=max(depth, limits.pair_depth_max) if limits.pair_depth_max else 0,
    )
    reader.close()
    return rules if given else usual
