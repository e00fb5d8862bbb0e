"""CORS: what browsers are told of who may read an answer (Fetch standard; gateway reference, section 6.1).

In two stages, as an answer to a browser is worth nothing without these lines, and yet nothing is refused
before the body was read and the middlewares had their say. Unlike moleculer-web's, lines that only
preflights need are on preflights only, and a comparison is exact.
"""

from __future__ import annotations

import re

from tautomer.errors import ForbiddenError
from tautomer.web.exchange import Asks, Exchange, Stage
from tautomer.web.messages.header_lines import header_line
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.cors import Cors, OriginCheck
from tautomer.web.settings.origins import Origins, parse_origin

__all__ = ["cors_headers_stage", "cors_refusal_stage", "preflight_method"]

ALLOW_ORIGIN = "Access-Control-Allow-Origin"

VARY = header_line("Vary", "Origin")

# Sites whose lines are kept: with wildcards there may be more than anybody has written.
_KNOWN_MAX = 256

_NAMES = re.compile(r"[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*(?:,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*)*")


def preflight_method(request: Request) -> str | None:
    """The method that a preflight asks for, or None if the request is none."""
    return request.header("access-control-request-method") if request.method == "OPTIONS" else None


def cors_headers_stage(cors: Cors) -> Stage | Asks:
    """Note the lines for whatever the answer will be. Before all that may fail, so that errors have them too."""
    told = _told(cors)
    check = cors.origin
    to_everyone = header_line(ALLOW_ORIGIN, "*") + told
    known: dict[str, str] = {}

    def lines_for(origin: str, listed: Origins) -> str | None:
        """The lines for a site, or None if it is not permitted."""
        lines = known.get(origin)
        if lines is None and listed.permit(origin):
            lines = VARY + header_line(ALLOW_ORIGIN, origin) + told
            if len(known) < _KNOWN_MAX:
                known[origin] = lines
        return lines

    def stage(exchange: Exchange) -> None:
        origin = exchange.request.header("origin")
        if isinstance(check, Origins):
            lines = None if origin is None else lines_for(origin, check)
            if lines is None:
                # What a cache must know of every answer, one without an origin included.
                exchange.lines = VARY
            else:
                _allow(exchange, lines)
        elif origin is not None:
            _allow(exchange, to_everyone)

    return stage if check is None or isinstance(check, Origins) else _asking(check, told)


def _asking(check: OriginCheck, told: str) -> Asks:
    """The same where a function is asked."""

    def ask(exchange: Exchange) -> object:
        exchange.lines = VARY
        origin = exchange.request.header("origin")
        return False if origin is None or parse_origin(origin) is None else check(origin)

    def hear(exchange: Exchange, permitted: object) -> None:
        if permitted:
            _allow(exchange, VARY + header_line(ALLOW_ORIGIN, exchange.request.header("origin") or "") + told)

    return Asks(ask, hear)


def cors_refusal_stage(cors: Cors) -> Stage:
    """Refuse what comes from a site that is not permitted, and answer preflights."""
    told = _told_to_preflights(cors)

    def stage(exchange: Exchange) -> Reply | None:
        request = exchange.request
        allowed = exchange.is_site_allowed
        if not allowed and request.header("origin") is not None:
            raise ForbiddenError("ORIGIN_NOT_ALLOWED")
        if request.method != "OPTIONS" or preflight_method(request) is None:
            return None
        if allowed:
            exchange.lines += told
            if cors.allowed_headers is None:
                _echo_headers(exchange)
        return Reply(204)

    return stage


def _told(cors: Cors) -> str:
    """Lines for everyone from a permitted site."""
    lines = ""
    if cors.credentials:
        lines += header_line("Access-Control-Allow-Credentials", "true")
    if cors.exposed_headers:
        lines += header_line("Access-Control-Expose-Headers", ", ".join(cors.exposed_headers))
    return lines


def _told_to_preflights(cors: Cors) -> str:
    lines = header_line("Access-Control-Allow-Methods", ", ".join(cors.methods))
    if cors.allowed_headers:
        lines += header_line("Access-Control-Allow-Headers", ", ".join(cors.allowed_headers))
    if cors.max_age is not None:
        lines += header_line("Access-Control-Max-Age", str(cors.max_age))
    return lines


def _allow(exchange: Exchange, lines: str) -> None:
    exchange.lines = lines
    exchange.is_site_allowed = True


def _echo_headers(exchange: Exchange) -> None:
    """Permit the headers that the preflight asks for."""
    exchange.lines += header_line("Vary", "Access-Control-Request-Headers")
    wanted = exchange.request.header("access-control-request-headers")
    if wanted and _NAMES.fullmatch(wanted):
        exchange.lines += header_line("Access-Control-Allow-Headers", wanted)
