"""CORS: what browsers are told of who may read an answer (Fetch standard; gateway reference, section 6.1).

In two stages, as an answer to a browser is worth nothing without these lines, and yet nothing is refused
before the body was read and the middlewares had their say. Unlike moleculer-web's, lines that only
preflights need are on preflights only, and a comparison is exact.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from inspect import isawaitable

from tautomer.errors import ForbiddenError
from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply, Request
from tautomer.web.settings.cors import Cors, OriginCheck
from tautomer.web.settings.origins import Origins, parse_origin

__all__ = ["cors_headers_stage", "cors_refusal_stage", "preflight_method"]

ALLOW_ORIGIN = "Access-Control-Allow-Origin"

VARY = ("Vary", "Origin")

# Sites whose lines are kept: with wildcards there may be more than anybody has written.
_KNOWN_MAX = 256

_NAMES = re.compile(r"[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*(?:,[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[ \t]*)*")


def preflight_method(request: Request) -> str | None:
    """The method that a preflight asks for, or None if the request is none."""
    return request.header("access-control-request-method") if request.method == "OPTIONS" else None


def cors_headers_stage(cors: Cors) -> Stage:
    """Note the lines for whatever the answer will be. Before all that may fail, so that errors have them too."""
    told = _told(cors)
    check = cors.origin
    to_everyone = [(ALLOW_ORIGIN, "*"), *told]
    known: dict[str, list[tuple[str, str]]] = {}

    def lines_for(origin: str, listed: Origins) -> list[tuple[str, str]] | None:
        """The lines for a site, or None if it is not permitted."""
        lines = known.get(origin)
        if lines is None and listed.permit(origin):
            lines = [VARY, (ALLOW_ORIGIN, origin), *told]
            if len(known) < _KNOWN_MAX:
                known[origin] = lines
        return lines

    def stage(call_next: Handler) -> Handler:
        def handle(exchange: Exchange) -> Awaitable[Reply]:
            origin = exchange.request.header("origin")
            if check is None:
                if origin is not None:
                    _allow(exchange, to_everyone)
                return call_next(exchange)
            if origin is not None:
                if not isinstance(check, Origins):
                    return ask(exchange, check, origin)
                lines = lines_for(origin, check)
                if lines is not None:
                    _allow(exchange, lines)
                    return call_next(exchange)
            # What a cache must know of every answer, one without an origin included.
            exchange.headers = [VARY]
            return call_next(exchange)

        async def ask(exchange: Exchange, check: OriginCheck, origin: str) -> Reply:
            exchange.headers = [VARY]
            if parse_origin(origin) is not None:
                permitted = check(origin)
                if isawaitable(permitted):
                    permitted = await permitted
                if permitted:
                    _allow(exchange, [VARY, (ALLOW_ORIGIN, origin), *told])
            return await call_next(exchange)

        return handle

    return stage


def cors_refusal_stage(cors: Cors) -> Stage:
    """Refuse what comes from a site that is not permitted, and answer preflights."""
    told = _told_to_preflights(cors)

    def stage(call_next: Handler) -> Handler:
        def handle(exchange: Exchange) -> Awaitable[Reply]:
            request = exchange.request
            allowed = exchange.is_site_allowed
            if not allowed and request.header("origin") is not None:
                raise ForbiddenError("ORIGIN_NOT_ALLOWED")
            if request.method != "OPTIONS" or preflight_method(request) is None:
                return call_next(exchange)
            if allowed:
                for name, value in told:
                    exchange.add_header(name, value)
                if cors.allowed_headers is None:
                    _echo_headers(exchange)
            return _answered()

        return handle

    return stage


async def _answered() -> Reply:
    return Reply(204)


def _told(cors: Cors) -> list[tuple[str, str]]:
    """Lines for everyone from a permitted site."""
    lines = []
    if cors.credentials:
        lines.append(("Access-Control-Allow-Credentials", "true"))
    if cors.exposed_headers:
        lines.append(("Access-Control-Expose-Headers", ", ".join(cors.exposed_headers)))
    return lines


def _told_to_preflights(cors: Cors) -> list[tuple[str, str]]:
    lines = [("Access-Control-Allow-Methods", ", ".join(cors.methods))]
    if cors.allowed_headers:
        lines.append(("Access-Control-Allow-Headers", ", ".join(cors.allowed_headers)))
    if cors.max_age is not None:
        lines.append(("Access-Control-Max-Age", str(cors.max_age)))
    return lines


def _allow(exchange: Exchange, lines: list[tuple[str, str]]) -> None:
    exchange.headers = lines.copy()
    exchange.is_site_allowed = True


def _echo_headers(exchange: Exchange) -> None:
    """Permit the headers that the preflight asks for."""
    exchange.add_header("Vary", "Access-Control-Request-Headers")
    wanted = exchange.request.header("access-control-request-headers")
    if wanted and _NAMES.fullmatch(wanted):
        exchange.add_header("Access-Control-Allow-Headers", wanted)
