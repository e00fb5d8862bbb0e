"""Params: what an action gets of a request. Body under query under path, or the three side by side."""

from __future__ import annotations

from typing import Any

from tautomer.errors import BadRequestError, UnsupportedMediaTypeError
from tautomer.web.message import Request
from tautomer.web.settings import BodyParsers

__all__ = ["merged_params", "read_body", "separate_params"]


def read_body(request: Request, parsers: BodyParsers) -> Any:
    """The body as an object or a list; None where there is none, or nobody to read it.

    Bodies are read for every method, as moleculer-web does.

    Raises:
        UnsupportedMediaTypeError: No parser is on for its content type, or its charset is not known.
        BadRequestError: `INVALID_BODY` (a JSON scalar too), `TOO_DEEP`, `TOO_MANY_PARAMS`.
        PayloadTooLarge: After inflating.
    """
    if not request.raw_body or not parsers.any:
        return None
    mimetype = request.mimetype
    if parsers.json and mimetype == "application/json":
        body = request.json
        if not isinstance(body, dict | list):
            raise BadRequestError("INVALID_BODY", {"reason": "a JSON body is an object or a list"})
        return body
    if parsers.urlencoded and mimetype == "application/x-www-form-urlencoded":
        return request.form
    raise UnsupportedMediaTypeError(data={"reason": "a body of this Content-Type is not read here"})


def merged_params(request: Request, values: dict[str, str] | None, parsers: BodyParsers) -> dict[str, Any]:
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
    return {**(body or {}), **request.query, **(values or {})}


def separate_params(request: Request, values: dict[str, str] | None, parsers: BodyParsers) -> dict[str, Any]:
    """``{"body", "query", "params"}``, for ``mergeParams: false``. Without a body there is no `body`."""
    body = read_body(request, parsers)
    params: dict[str, Any] = {"query": request.query, "params": values or {}}
    return params if body is None else {"body": body, **params}
