"""Error bodies in a shape of the user's own (`reformatError`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from inspect import isawaitable
from typing import Any, Final

from tautomer.error_wire import is_on_purpose
from tautomer.errors import MoleculerError, MoleculerServerError
from tautomer.web.answers.reply import encode_json
from tautomer.web.messages.message import Reply, Request

__all__ = ["reformat"]

log = logging.getLogger("tautomer.web")

REFORMAT_TIME: Final = 10.0


async def reformat(reply: Reply, hook: Callable[..., Any], error: BaseException, request: Request) -> None:
    """Put the mapping that `hook` makes of the error into the reply as its body. Never raises.

    The hook gets a `MoleculerError` in any case: what was not raised on purpose is wrapped in one that says what the usual
    body does, and no more (promise S4); the real one is its `__cause__`.

    The status stays. Where the hook gives None, fails, or gives what has no JSON form, the body stays, too.
    """
    try:
        async with asyncio.timeout(REFORMAT_TIME):
            made = hook(_told(error, request), request)
            if isawaitable(made):
                made = await made
        if made is None:
            return
        if not isinstance(made, Mapping):
            raise TypeError(f"reformatError gives a mapping or None, not {type(made).__name__}")
        reply.body = encode_json(made)
    except Exception as failed:
        log.error("reformatError failed", exc_info=failed, extra={"request": request.id, "path": request.path})


def _told(error: BaseException, request: Request) -> MoleculerError:
    if isinstance(error, MoleculerError) and is_on_purpose(error):
        return error
    wrapped = MoleculerServerError("Internal server error", 500, "INTERNAL_ERROR", {"requestID": request.id})
    wrapped.__cause__ = error
    return wrapped
