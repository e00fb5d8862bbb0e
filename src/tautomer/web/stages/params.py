"""Params: what an action gets of a request. Body under query under path, or the three side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from msgspec import UNSET

from tautomer.errors import BadRequestError
from tautomer.web.exchange import Exchange, Stage
from tautomer.web.messages.message import Request
from tautomer.web.messages.query import QueryRules, parse_query
from tautomer.web.settings.body_parsers import BodyParsers
from tautomer.web.settings.records import RouteSettings
from tautomer.web.stages.bodies import read_body

__all__ = ["ParamsReader", "direct_reader", "params_reader", "params_stage", "query_stage", "request_stage"]

ParamsReader: TypeAlias = "Callable[[Request, dict[str, str] | None, BodyParsers], dict[str, Any]]"
"""From a request, the values of its path and the parsers of its route to params."""


def params_reader(route: RouteSettings) -> ParamsReader:
    """How a route reads the params of its aliases."""
    return _merged if route.merge_params else _separate


def direct_reader(route: RouteSettings, internal: bool) -> ParamsReader:
    """The same where the path itself names the action. Internal ones, which take their params by name, get them merged."""
    return _merged if route.merge_params or internal else _separate_direct


def _merged(request: Request, values: dict[str, str] | None, parsers: BodyParsers) -> dict[str, Any]:
    """Body, query and path values in one object; the later of these wins.

    Args:
        values: Values of the path, fresh for this request; None for a path without any.

    Raises:
        BadRequestError: As `read_body`; also a list as body, which has no names to merge.
    """
    if not request.raw_body:
        # No copy where one source is all there is: each of them was made for this request.
        if not request.query_string:
            return {} if values is None else values
        query: dict[str, Any] = request.query
        return {**query, **values} if values else query
    body = read_body(request, parsers)
    if isinstance(body, list):
        raise BadRequestError(
            "INVALID_BODY", {"reason": "a list as body is taken only where params are not merged (mergeParams: false)"}
        )
    # What is no object has no names: a text, bytes, a JSON scalar.
    own = body if isinstance(body, dict) else {}
    return {**own, **request.query, **(values or {})}


def _separate(request: Request, values: dict[str, str] | None, parsers: BodyParsers) -> dict[str, Any]:
    """``{"body", "query", "params"}``, for ``mergeParams: false``. Without a body there is no `body`."""
    return {**_separate_direct(request, None, parsers), "params": values or {}}


def _separate_direct(request: Request, _values: dict[str, str] | None, parsers: BodyParsers) -> dict[str, Any]:
    """The same without `params`, as the path has no values."""
    body = read_body(request, parsers)
    return {"query": request.query} if body is UNSET else {"body": body, "query": request.query}


def query_stage(rules: QueryRules) -> Stage:
    """Read the query by the rules of `qsOptions`, before anybody looks at it."""

    def stage(exchange: Exchange) -> None:
        request = exchange.request
        request._query = parse_query(request.query_string, request.limits, rules)

    return stage


def params_stage(route: RouteSettings, read: ParamsReader) -> Stage:
    """Read the params of the request into its context."""
    parsers = route.body_parsers

    def stage(exchange: Exchange) -> None:
        exchange.ctx.params = read(exchange.request, exchange.values, parsers)

    return stage


def request_stage(exchange: Exchange) -> None:
    """Put the request among the params, as ``$req``."""
    exchange.ctx.params["$req"] = exchange.request
