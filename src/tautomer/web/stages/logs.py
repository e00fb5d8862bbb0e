"""What is called, and with what: a line for `log_request_params`."""

from __future__ import annotations

import logging

from tautomer.web.exchange import Exchange, Stage
from tautomer.web.request_log import masked

__all__ = ["params_log_stage"]

log = logging.getLogger("tautomer.web")


def params_log_stage(level: int) -> Stage:
    """Log the params of a request, as they came, without what looks like a secret."""

    def stage(exchange: Exchange) -> None:
        if log.isEnabledFor(level):
            params = masked(exchange.ctx.params)
            log.log(
                level,
                "request params",
                extra={"request": exchange.request.id, "action": exchange.alias.action, "params": params},
            )

    return stage
