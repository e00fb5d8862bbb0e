"""What is called, and with what: a line for `log_request_params`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable

from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply
from tautomer.web.request_log import masked

__all__ = ["params_log_stage"]

log = logging.getLogger("tautomer.web")


def params_log_stage(level: int) -> Stage:
    """Log the params of a request, as they came, without what looks like a secret."""

    def stage(call_next: Handler) -> Handler:
        def handle(exchange: Exchange) -> Awaitable[Reply]:
            if log.isEnabledFor(level):
                params = masked(exchange.ctx.params)
                log.log(
                    level,
                    "request params",
                    extra={"request": exchange.request.id, "action": exchange.alias.action, "params": params},
                )
            return call_next(exchange)

        return handle

    return stage
