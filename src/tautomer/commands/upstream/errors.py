"""What may happen on the way to an upstream server. `code` is what the client of a proxy gets as status.

The messages are for that client, so they name no host; what happened is told in the log.
"""

from __future__ import annotations

from typing import Any

from tautomer.errors import MoleculerError, MoleculerRetryableError

__all__ = ["ProxyRefusedError", "UpstreamBusyError", "UpstreamError", "UpstreamTimeoutError"]


class UpstreamError(MoleculerRetryableError):
    """The upstream server cannot be reached, broke off, or answered what is not HTTP.

    Attributes:
        reason: What happened, for the log.
        repeatable: Whether the server surely has not seen the request: there was no connection, or one that it had
            closed before.
    """

    code = 502
    type = "UPSTREAM_FAILED"
    message = "The upstream server gave no answer."

    def __init__(self, reason: str, *, repeatable: bool = False) -> None:
        super().__init__(self.message)
        self.reason = reason
        self.repeatable = repeatable

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"


class UpstreamTimeoutError(UpstreamError):
    """It did not answer, or take what was sent, in time."""

    code = 504
    type = "UPSTREAM_TIMEOUT"
    message = "The upstream server gave no answer in time."


class UpstreamBusyError(UpstreamError):
    """All connections that there may be are in use. Nothing was sent."""

    code = 503
    type = "UPSTREAM_BUSY"
    message = "There are too many requests to the upstream server."


class ProxyRefusedError(MoleculerError):
    """The request would lead to where this proxy does not go (reliability reference, section 5.1).

    Attributes:
        reason: Why, for the log.
    """

    code = 403
    type = "PROXY_REFUSED"

    def __init__(self, reason: str, data: Any = None) -> None:
        super().__init__("The request is not passed on.", data=data)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.message} ({self.reason})"
