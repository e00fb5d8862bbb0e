"""What settings name by `Function`: twins of those in node/functions.js, in the forms that our gateway takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from tautomer import Context
from tautomer.errors import ForbiddenError, MoleculerClientError, MoleculerError, UnAuthorizedError
from tautomer.web.messages.message import Reply, Request

Next = Callable[[Request], Awaitable[Reply]]

TEXT: Final = ("Content-Type", "text/plain")


# --- onBeforeCall ---


def before_sets_meta(ctx: Context[Any], route: Any, request: Request) -> None:
    ctx.meta["before"] = route.path
    ctx.meta["agent"] = request.header("user-agent")


async def before_changes_params(ctx: Context[Any], route: Any, request: Request) -> None:
    ctx.params["added"] = "yes"
    ctx.params.pop("removed", None)


def before_throws(ctx: Context[Any], route: Any, request: Request) -> None:
    raise ForbiddenError("BEFORE", {"hook": "before"})


def before_throws_plain(ctx: Context[Any], route: Any, request: Request) -> None:
    raise RuntimeError("secret of the hook")


async def before_sets_headers(ctx: Context[Any], route: Any, request: Request) -> None:
    ctx.meta["$responseHeaders"] = {"X-Before": "1"}


# --- onAfterCall ---


def after_wraps(ctx: Context[Any], route: Any, request: Request, result: Any) -> Any:
    return {"wrapped": result}


async def after_wraps_later(ctx: Context[Any], route: Any, request: Request, result: Any) -> Any:
    return {"later": result}


def after_keeps(ctx: Context[Any], route: Any, request: Request, result: Any) -> Any:
    return result


def after_returns_nothing(ctx: Context[Any], route: Any, request: Request, result: Any) -> None:
    return None


def after_throws(ctx: Context[Any], route: Any, request: Request, result: Any) -> None:
    raise MoleculerError("after", 502, "AFTER")


def after_sets_meta(ctx: Context[Any], route: Any, request: Request, result: Any) -> Any:
    ctx.meta["$statusCode"] = 202
    ctx.meta["$responseHeaders"] = {"X-After": "1"}
    return result


# --- onError, reformatError ---


def error_as_text(request: Request, error: Exception) -> Reply:
    name, code = getattr(error, "name", "Error"), getattr(error, "code", 500)
    return Reply(code, [TEXT], f"{name}: {code}".encode())


def error_as_text_of_route(request: Request, error: Exception) -> Reply:
    return Reply(418, [TEXT], f"route: {getattr(error, 'name', 'Error')}".encode())


def error_throws(request: Request, error: Exception) -> Reply:
    raise RuntimeError("the hook fails")


def reformat(error: Any, request: Request | None = None) -> Mapping[str, Any]:
    return {"fault": error.name, "code": error.code}


def reformat_to_nothing(error: Any, request: Request | None = None) -> None:
    return None


# --- authentication and authorization ---


def authenticate_by_token(ctx: Context[Any], route: Any, request: Request) -> dict[str, Any] | None:
    given = request.header("authorization")
    if given == "Bearer good":
        return {"id": 1, "name": "Ann"}
    if given == "Bearer weak":
        return {"id": 2, "name": "Bob"}
    if given == "Bearer plain":
        raise RuntimeError("secret of the token")
    if given:
        raise UnAuthorizedError("INVALID_TOKEN", {"given": "other"})
    return None


async def authenticate_strictly(ctx: Context[Any], route: Any, request: Request) -> dict[str, Any]:
    if not request.header("authorization"):
        raise UnAuthorizedError("NO_TOKEN")
    return {"id": 3}


async def authorize_good(ctx: Context[Any], route: Any, request: Request) -> None:
    user = ctx.meta.get("user")
    if not user:
        raise UnAuthorizedError("NO_TOKEN")
    if user["id"] != 1:
        raise ForbiddenError("NOT_YOURS", {"id": user["id"]})


def authorize_nobody(ctx: Context[Any], route: Any, request: Request) -> None:
    raise ForbiddenError()


def authorize_falsely(ctx: Context[Any], route: Any, request: Request) -> bool:
    return False


# --- stages ---


def tagged(reply: Reply, line: tuple[str, str]) -> Reply:
    """With this header once, as `setHeader` of Node.js would have it."""
    reply.headers = [one for one in reply.headers if one[0] != line[0]] + [line]
    return reply


async def stage_tags(request: Request, call_next: Next) -> Reply:
    return tagged(await call_next(request), ("X-Stage", "1"))


async def stage_tags_too(request: Request, call_next: Next) -> Reply:
    return tagged(await call_next(request), ("X-Stage-Too", "2"))


async def stage_ends(request: Request, call_next: Next) -> Reply:
    return Reply(202, [TEXT], b"ended")


async def stage_ends_some(request: Request, call_next: Next) -> Reply:
    return Reply(203, [TEXT], b"ended by header") if request.header("x-end") else await call_next(request)


async def stage_fails(request: Request, call_next: Next) -> Reply:
    raise RuntimeError("secret of the stage")


async def stage_fails_with_code(request: Request, call_next: Next) -> Reply:
    raise MoleculerClientError("refused by a stage", 409, "STAGE", {"a": 1})


async def stage_throws(request: Request, call_next: Next) -> Reply:
    raise MoleculerClientError("thrown by a stage", 410, "THROWN")


# --- function aliases ---


def alias_text(request: Request) -> Reply:
    return Reply(200, [TEXT], b"by hand")


def alias_json(request: Request) -> dict[str, Any]:
    return {"params": request.ctx.params}


def alias_created(request: Request) -> Reply:
    return Reply(201, [("X-Hand", "made"), TEXT], b"made")


def alias_fails(request: Request) -> None:
    raise MoleculerClientError("alias refused", 409, "ALIAS")


async def alias_calls(request: Request) -> Any:
    return await request.ctx.call("test.echo", {"from": "alias"})


# --- others ---


def etag_of_length(body: bytes) -> str:
    return f'"len-{len(body)}"'


def origin_is_known(origin: str) -> bool:
    return origin == "http://known.test"


def key_of_header(request: Request) -> str | None:
    return request.header("x-key")


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "beforeSetsMeta": before_sets_meta,
    "beforeChangesParams": before_changes_params,
    "beforeThrows": before_throws,
    "beforeThrowsPlain": before_throws_plain,
    # A text cannot be raised here; what is not ours is all one.
    "beforeThrowsText": before_throws_plain,
    "beforeSetsHeaders": before_sets_headers,
    "afterWraps": after_wraps,
    "afterWrapsLater": after_wraps_later,
    "afterKeeps": after_keeps,
    "afterReturnsNothing": after_returns_nothing,
    "afterThrows": after_throws,
    "afterSetsMeta": after_sets_meta,
    "errorAsText": error_as_text,
    "errorAsTextOfRoute": error_as_text_of_route,
    "errorThrows": error_throws,
    "reformat": reformat,
    "reformatToNothing": reformat_to_nothing,
    "authenticateByToken": authenticate_by_token,
    "authenticateStrictly": authenticate_strictly,
    "authorizeGood": authorize_good,
    "authorizeNobody": authorize_nobody,
    "authorizeFalsely": authorize_falsely,
    "stageTags": stage_tags,
    "stageTagsToo": stage_tags_too,
    "stageEnds": stage_ends,
    "stageEndsSome": stage_ends_some,
    "stageFails": stage_fails,
    "stageFailsWithCode": stage_fails_with_code,
    "stageThrows": stage_throws,
    "aliasText": alias_text,
    "aliasJson": alias_json,
    "aliasCreated": alias_created,
    "aliasFails": alias_fails,
    "aliasCalls": alias_calls,
    "etagOfLength": etag_of_length,
    "originIsKnown": origin_is_known,
    "keyOfHeader": key_of_header,
}
