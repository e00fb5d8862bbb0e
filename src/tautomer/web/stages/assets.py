"""Files, for paths that lead nowhere else."""

from __future__ import annotations

from tautomer.web.exchange import Exchange, Handler, Stage
from tautomer.web.messages.message import Reply
from tautomer.web.settings.records import AssetSettings

__all__ = ["assets_stage"]


def assets_stage(settings: AssetSettings) -> Stage:
    """Answer by a file if there is one.

    Raises:
        BrokerOptionsError: The web extra is not installed.
    """
    from tautomer.web.answers.assets import Assets  # Only a gateway with files needs what reads them.

    assets = Assets(settings)

    def stage(call_next: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Reply:
            return await assets.reply(exchange.request) or await call_next(exchange)

        return handle

    return stage
