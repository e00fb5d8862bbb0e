"""Errors on the wire, both ways (Moleculer protocol, section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tautomer import errors
from tautomer.errors import BrokerDisconnectedError, MoleculerError, RemoteError, _ActionError, _DataError, _where

__all__ = ["from_wire", "is_on_purpose", "rebuilt", "to_wire"]

_BY_NAME: dict[str, type[MoleculerError]] = {
    value.__name__: value
    for value in vars(errors).values()
    if isinstance(value, type)
    and issubclass(value, MoleculerError)
    and not value.__name__.startswith("_")
    and value not in (RemoteError, BrokerDisconnectedError)  # Node sends the latter as a plain error, too.
}


def to_wire(error: BaseException, node_id: str, stack: str | None = None) -> dict[str, Any]:
    """The `error` object of a RESPONSE (protocol section 8.2). Never raises.

    `retryable` is always there, and `data` is an object for the data-driven classes, or a Node
    caller would hang (section 8.3, last list). What is None is left out, as Node tells
    `undefined` from `null`.
    """
    if not isinstance(error, MoleculerError):
        return {
            "name": type(error).__name__,
            "message": _words(error),
            "nodeID": node_id,
            "code": 500,
            "retryable": False,
            **({"stack": stack} if stack else {}),
        }
    data = error.data
    if isinstance(error, _DataError) and not isinstance(data, Mapping):
        data = {}
    wire: dict[str, Any] = {
        "name": error.name,
        "message": error.message,
        "nodeID": error.node_id or node_id,
        "code": error.code,
        "type": error.type,
        "retryable": error.retryable,
        "stack": stack or error.remote_stack,
        "data": data,
    }
    return {key: value for key, value in wire.items() if value is not None}


def from_wire(wire: object, sender: str) -> MoleculerError:
    """Rebuild the error of a RESPONSE. Never raises, whatever a peer sent.

    A name with a class here gives that class; any other gives `RemoteError` under that name. A
    number outside 400 to 599 as code becomes 500 (reliability reference, section 5.4). `outcome` is never
    ``"not run"``: who knows the request judges that (see `protocol.refusals`).
    """
    told = wire if isinstance(wire, Mapping) else {}
    name, message = _optional_text(told.get("name")), _optional_text(told.get("message"))
    if name is None and message is None:
        message = "remote error without detail"
    error = _rebuild(
        name or "Error", message, _code(told.get("code")), _optional_text(told.get("type")), told.get("data")
    )
    retryable = told.get("retryable")
    if isinstance(retryable, bool):
        error.retryable = retryable
    if error.outcome == "not run":
        error.outcome = "failed"  # It may be about a call inside the one that was asked for.
    error.node_id = _optional_text(told.get("nodeID")) or sender
    error.remote_stack = _optional_text(told.get("stack"))
    return error


def is_on_purpose(error: BaseException) -> bool:
    """Whether somebody raised this to tell the caller something.

    A node that is not ours sends any exception under its own name: one with a type, or with a code of
    its own, was meant; a bare ``TypeError`` was not.
    """
    if isinstance(error, RemoteError):
        code = error.code
        own = isinstance(code, int) and not isinstance(code, bool) and 400 <= code <= 599 and code != 500
        return bool(error.type) or own
    return isinstance(error, MoleculerError)


def rebuilt(error: MoleculerError, cls: type[Exception]) -> Exception:
    """An error of another node as one of another class, which has the same name there; as it is where that cannot be."""
    if not issubclass(cls, MoleculerError):
        try:
            return cls(error.message)
        except Exception:  # Its constructor wants something else.
            return error
    made = cls.__new__(cls)
    MoleculerError.__init__(made, error.message, error.code, error.type, error.data)
    made.retryable, made.outcome, made.node_id = error.retryable, error.outcome, error.node_id
    made.remote_stack = error.remote_stack
    return made


def _rebuild(name: str, message: str | None, code: int | str | None, type_: str | None, data: Any) -> MoleculerError:
    cls = _BY_NAME.get(name)
    if cls is None:
        return RemoteError(name, message or "", code, type_, data)
    if issubclass(cls, _DataError):
        data = dict(data) if isinstance(data, Mapping) else {}
    # Past the constructors: each has its own, and none of them was made for what a stranger sends. The
    # sender's words are kept, as they may say more than the text that Node would make of the data anew.
    error = cls.__new__(cls)
    MoleculerError.__init__(error, _text_from(cls, data) if message is None else message, code, type_, data)
    return error


def _text_from(cls: type[MoleculerError], data: Any) -> str:
    """The text of an error that came without one."""
    if not issubclass(cls, _ActionError) or not isinstance(data.get("action"), str):
        return f"{cls.__name__} without a message"
    return cls._template.format(action=data["action"], where=_where(_optional_text(data.get("nodeID"))))


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__} cannot tell what happened: its __str__ failed"


def _optional_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _code(value: object) -> int | str | None:
    """A usable code, or None. Texts such as ``"E_CONN"`` are kept, as Node's system errors have them."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        return value
    return int(value) if 400 <= value <= 599 and value == int(value) else 500
