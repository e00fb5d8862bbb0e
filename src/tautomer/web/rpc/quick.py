"""The quick way of an endpoint: one call, of a public method that one node has, on a route that asks for nothing more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tautomer.context import Context, RawResult
from tautomer.protocol.jsonrpc import TIMED_OUT, Call, Failure, Outcome, parse, response
from tautomer.registry.endpoints import Endpoint
from tautomer.web.exchange import FAILURES, Exchange, Failed, Handler
from tautomer.web.messages.message import JSON_TYPE, Reply
from tautomer.web.rpc.endpoint import TIMEOUT_HEADER, USUAL_TYPES, JsonRpcEndpoint
from tautomer.web.rpc.processor import ENDS_CALL

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["quick_endpoint"]


def quick_endpoint(
    endpoint: JsonRpcEndpoint, broker: Broker, caller: Endpoint, timeout: float, failed: Failed, otherwise: Handler
) -> Handler:
    """Guard, context and call in one, as `tautomer.web.quick` has it for aliases.

    Args:
        otherwise: The stages, for whatever is not as usual; nothing has been done yet when they get it.
    """
    processor = endpoint.processor
    find, limits, encoded, failure = processor.methods.find, processor.limits, processor.encoded, processor.failure
    null_errors = processor.null_errors
    clock = broker.clock
    own_service = caller.service.full_name

    async def handle(exchange: Exchange) -> Reply:
        request = exchange.request
        lower = request.lower
        if request.content_type not in USUAL_TYPES or "\ncontent-encoding:" in lower or TIMEOUT_HEADER in lower:
            return await otherwise(exchange)
        batch = parse(request.raw_body, limits)
        call = batch.items[0]
        if batch.many or not isinstance(call, Call):
            return await otherwise(exchange)
        target = find(call.method)
        params: Any = {} if call.params is None else call.params
        if isinstance(target, Failure) or not target.bare or type(params) is not dict:
            return await otherwise(exchange)
        one = target.offered.only
        if one is None:
            return await otherwise(exchange)
        if timeout:
            request.ends = clock() + timeout
        try:
            ctx: Context[Any] = Context(
                broker,
                params,
                one,
                None,
                None,
                None,
                2,
                None,
                request.ends,
                None,
                not one.local,
                None,
                request.id,
                None,
                exchange.id,
                own_service,
            )
            run = one.handler  # Read first, called then: see `Transit._encode_and_send`.
            outcome: Outcome
            try:
                result = await run(ctx)
                outcome = result.data if type(result) is RawResult else await encoded(result, target, ctx)
            except ENDS_CALL as error:
                outcome = failure(error, target, ctx, timeout or None)
            except asyncio.CancelledError:
                if not request.late or not request.take_cancel_back():
                    raise
                outcome = Failure(TIMED_OUT, data={"timeout": timeout})
        except FAILURES as error:
            return exchange.dressed(await failed(exchange, error))
        request.ends = None
        if request.late:
            request.take_cancel_back()
        return Reply(200, [JSON_TYPE], response(call.id, outcome, null_errors))

    return handle
