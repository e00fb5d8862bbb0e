"""What of an answer counts. All that is let pass between Node.js and us stands here, each with its reason."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from tests.gateway.answer import Answer, Headers, Json

__all__ = ["normal", "theirs", "without_reason"]

# How a body is framed is the server's choice; that it came whole is in `Answer.cut`.
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})

# Over there they are told on ordinary answers, too; browsers read them on preflights only (Fetch standard).
_OF_PREFLIGHTS: Final = frozenset(
    {"access-control-allow-methods", "access-control-allow-headers", "access-control-max-age"}
)
_PREFLIGHT: Final = 204

# Texts beside a status say nothing (RFC 9112 section 4), and the tables of Node.js and Python differ in a few. One that
# an action chose is in neither table.
_NODE_REASONS: Final = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Payload Too Large",
    416: "Range Not Satisfiable",
    418: "I'm a Teapot",
    422: "Unprocessable Entity",
}
# Python 3.13 renamed these.
_RENAMED: Final = {
    413: ("Request Entity Too Large", "Content Too Large"),
    414: ("Request-URI Too Long", "URI Too Long"),
    416: ("Requested Range Not Satisfiable", "Range Not Satisfiable"),
    422: ("Unprocessable Entity", "Unprocessable Content"),
}
_PYTHON_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


def normal(answer: Answer) -> Answer:
    """An answer without what two right ones may differ in."""
    status = answer.status
    unsaying = ("", _NODE_REASONS.get(status, "unknown"), _PYTHON_REASONS.get(status), *_RENAMED.get(status, ()))
    reason = "" if answer.reason in unsaying else answer.reason
    return replace(answer, reason=reason, headers=_headers(answer))


def theirs(answer: Answer) -> Answer:
    """The same of an answer of Node.js, without what ours never tell."""
    kept = normal(replace(answer, body=_without_nodes(answer.body)))
    if answer.status == _PREFLIGHT:
        return kept
    return replace(kept, headers=tuple(line for line in kept.headers if line[0] not in _OF_PREFLIGHTS))


def without_reason(answer: Answer) -> Answer:
    return replace(answer, reason="")


def _headers(answer: Answer) -> Headers:
    of_file = dict(answer.headers).get("cache-control", "").startswith("public, max-age=")
    lists: dict[str, list[str]] = {}
    lines = []
    for name, value in answer.headers:
        if name in _FRAMING:
            continue
        if name.startswith("access-control-") or name in ("vary", "allow"):
            # Several lines are one list, its order and its blanks mean nothing (RFC 9110 sections 5.3 and 5.6.1).
            lists.setdefault(name, []).extend(part.strip() for part in value.split(","))
        elif name == "etag" and of_file:
            # Of size and time there, of whatever we like here; that there is one counts.
            lines.append((name, "<of a file>"))
        else:
            lines.append((name, value))
    lines += [(name, ", ".join(sorted(parts))) for name, parts in lists.items()]
    return tuple(sorted(lines))


def _without_nodes(body: Any) -> Any:
    """Error data without `nodeID`: our answers tell nobody the names of nodes (reliability reference, promise S4)."""
    match body:
        case Json({"data": {"nodeID": _, **rest}, **error}) if "code" in error:
            return Json({**error, "data": rest})
        case Json({"data": [*faults], **error}) if "code" in error:
            return Json({**error, "data": [_fault(one) for one in faults]})
    return body


def _fault(one: Any) -> Any:
    return {key: value for key, value in one.items() if key != "nodeID"} if isinstance(one, dict) else one
