"""Where a call finds the socket that it was made for."""

from __future__ import annotations

from typing import Final

SOCKET_ID: Final = "$socketId"
"""Key of `ctx.meta`, for the call itself and all that it calls; moleculer-io's."""
