"""Refusals: how an answer says that the request surely was not run (promise C3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tautomer.errors import (
    BrokerDisconnectedError,
    MoleculerError,
    QueueIsFullError,
    RequestRejectedError,
    ServiceNotAvailableError,
    ServiceNotFoundError,
)

MARK: Final = "notRun"
"""Key in the data of our own refusal; its value is the id of the request that was refused. None: that was run."""

_ELSEWHERE: Final = (
    ServiceNotFoundError,
    ServiceNotAvailableError,
    RequestRejectedError,
    BrokerDisconnectedError,
)
_SAID_BEFORE_RUNNING: Final = (ServiceNotFoundError, ServiceNotAvailableError, QueueIsFullError)


def leaving(action: str, node_id: str, request_id: str) -> RequestRejectedError:
    """The answer of a node that is about to stop (reliability reference, section 5.4).

    A request that was cut off while it ran is rejected by the same class; the id in the mark tells them apart,
    also when the error of a nested call is let through, as that has an id of its own.
    """
    error = RequestRejectedError(action, node_id, **{MARK: request_id})
    error.outcome = "not run"
    return error


def is_refusal(error: MoleculerError, action: str, node_id: str, request_id: str) -> bool:
    """Whether this answer of `node_id` means that the request surely was not run there.

    Node.js, too, answers a request that it does not run with the action and its own id as data: not found (withdrawn
    a moment ago), not available (it stops), queue full. The same comes from a handler that ran only if it called
    itself over the very node that was withdrawing meanwhile: a node of our kind marks that (`let_through`), of Node.js
    it is taken into the bargain.
    """
    data = error.data
    if not isinstance(data, Mapping):
        return False
    if MARK in data:
        return data[MARK] == request_id and isinstance(error, RequestRejectedError | QueueIsFullError)
    return error.node_id == node_id and _reads_as_refusal(error, action, node_id)


def let_through(error: BaseException, action: str, node_id: str, request_id: str = "") -> None:
    """Mark the error of a handler that ran, where it would read as if this node had not run it.

    What stands before the handler (a bulkhead, a pool of threads) refuses in the request's own name, and is left alone.
    """
    if isinstance(error, _SAID_BEFORE_RUNNING) and _reads_as_refusal(error, action, node_id):
        if request_id and error.data.get(MARK) == request_id:
            return
        error.data = {**error.data, MARK: None}


def _reads_as_refusal(error: MoleculerError, action: str, node_id: str) -> bool:
    data = error.data
    return (
        isinstance(error, _SAID_BEFORE_RUNNING)
        and isinstance(data, Mapping)
        and data.get("action") == action
        and data.get("nodeID") == node_id
    )


def may_go_elsewhere(error: MoleculerError) -> bool:
    """Whether it was the node or the line that would not have this call, and not the call that nobody would.

    A full queue is not among them: to ask the next node at once would multiply the load when there is too much already
    (promise L2); that is for a retry policy.
    """
    return error.outcome == "not run" and isinstance(error, _ELSEWHERE)
