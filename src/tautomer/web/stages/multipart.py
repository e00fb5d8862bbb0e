"""Aliases of type ``multipart``: a call for each file of a form, as it arrives (gateway reference, section 5.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tautomer.errors import MoleculerClientError, MoleculerServerError
from tautomer.stream import OwnStream, is_stream
from tautomer.web.answers.finishing import Finish
from tautomer.web.exchange import Exchange, Handler
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import RouteSettings
from tautomer.web.stages.calling import answer, call_options

__all__ = ["multipart_handler"]


def multipart_handler(route: RouteSettings, limits: UploadLimits, timeout: float, finish: Finish) -> Handler:
    """Call the action for each file, one after the other, with the file as `ctx.stream`.

    Params are the form's fields so far, query and path under the four that tell of the file. The answer is the list of
    results, or the result if exactly one file came and one is all that may come.

    Args:
        timeout: Seconds for the whole of it, from the head to the answer; 0 for no end.

    Raises:
        BrokerOptionsError: The web extra is not installed.
    """
    from tautomer.web.messages.form_files import FormFiles  # Only who has such aliases needs the parser.

    given = call_options(route)
    # Of its own: what the broker sets for calls, as a form may be long in coming.
    given["timeout"] = timeout

    async def handle(exchange: Exchange) -> Reply:
        ctx, alias = exchange.ctx, exchange.alias
        under = ctx.params if isinstance(ctx.params, Mapping) else {}

        async def call(params: Mapping[str, Any], **more: Any) -> Any:
            return await ctx.broker.call_nested(ctx, alias.action, {**under, **params}, {**given, **more})

        files = FormFiles(exchange.request, limits)
        results: list[Any] = []
        while (file := await files.next()) is not None:
            result = await call({**files.fields, **file.params}, stream=file)
            if files.error is not None:
                raise files.error  # The action may think that it has got the whole.
            if is_stream(result):
                if limits.files_max != 1:
                    await OwnStream(result).aclose()
                    raise MoleculerServerError(
                        "A list of streams cannot be sent: set limits.files to 1.", 501, "STREAM_OF_OBJECTS"
                    )
                # It may read the file while it is sent, so what follows the file is left alone.
                return await answer(route, exchange, result, exchange.offer.reply, finish)
            results.append(result)
        if not results:
            if not limits.empty:
                raise MoleculerClientError("File missing in the request", 400, "INVALID_BODY")
            if files.fields:
                results.append(await call(files.fields))
        elif len(results) == limits.files_max == 1:
            return await answer(route, exchange, results[0], exchange.offer.reply, finish)
        return await answer(route, exchange, results, exchange.offer.reply, finish)

    return handle
