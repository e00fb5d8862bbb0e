"""Files, for paths that lead nowhere else."""

from __future__ import annotations

from tautomer.web.exchange import Asks
from tautomer.web.settings.records import AssetSettings

__all__ = ["assets_stage"]


def assets_stage(settings: AssetSettings) -> Asks:
    """Answer by a file if there is one.

    Raises:
        BrokerOptionsError: The web extra is not installed.
    """
    from tautomer.web.answers.assets import Assets  # Only a gateway with files needs what reads them.

    assets = Assets(settings)

    return Asks(lambda exchange: assets.reply(exchange.request), lambda _exchange, reply: reply)
