"""Reading which lines a gateway writes about its requests."""

from __future__ import annotations

import logging

from tautomer.web.settings.reading import Reader, a_bool
from tautomer.web.settings.records import LogSettings

__all__ = ["a_level", "read_logs"]


def read_logs(reader: Reader) -> LogSettings:
    """The settings that begin with `log`. All are off where nothing is said: a line for each request has its price."""
    # Both ways to write it in snake_case: ours, and what the spelling rule makes of moleculer-web's.
    client_errors = [reader.take(name, False, a_bool) for name in ("log_4xx_responses", "log4_xxresponses")]
    return LogSettings(
        request=reader.take("log_request", None, a_level),
        request_params=reader.take("log_request_params", None, a_level),
        response=reader.take("log_response", None, a_level),
        response_data=reader.take("log_response_data", None, a_level),
        client_errors=any(client_errors),
    )


def a_level(value: object) -> int | None:
    if isinstance(value, bool):
        return logging.INFO if value else None
    level = logging.getLevelNamesMapping().get(str(value).upper())
    if level is None:
        raise ValueError(f"is true, false or the name of a log level, not {value!r:.80}")
    return level
