"""ProxyRequest and ProxyResponse: what the hooks of a proxy read and change (resilience reference, section 12)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from tautomer.commands.header_lines import HeaderLines

__all__ = ["ProxyRequest", "ProxyResponse", "query_of"]

PARAMS_MAX: Final = 10_000
"""Pairs of a query that are read; with more it is still passed on as it came."""


class _Message(dict[str, Any]):
    """A dict whose keys are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a {type(self).__name__} has no {name!r}, only {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


class ProxyRequest(_Message):
    """A request on its way to the upstream: ``request["path"]``, or ``request.path``.

    What is left out of the given mapping is empty; other keys are kept.

    Keys:
        method: In upper case.
        path: As received, still encoded, without query.
        path_args: What the groups of the mount's pattern matched; for a path prefix, what comes behind it.
        query_string: As received.
        params: Of the query: name to list of texts, in order. What is changed here changes the query.
        data: The body: bytes, or an async iterator of bytes (see `HTTPProxyCommand.stream`).
        headers: `HeaderLines`, without those of the connection and without `Host`.
        remote_addr: Address of the client.
        scheme: ``http`` or ``https``, as the client used it.
        host: As the client named it, or None.
        length: Bytes of a body that comes as an iterator; None where that is not known.
        asks_first: Whether the client waits for a word before it sends its body (``Expect: 100-continue``).
        url: Where it goes; `before_request` sets it.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self["method"] = str(given.get("method", "GET")).upper()
        self.setdefault("path", "/")
        self.setdefault("path_args", ())
        query = self.setdefault("query_string", "")
        params = given.get("params")
        self["params"] = _params(query) if params is None else {name: _texts(value) for name, value in params.items()}
        self["data"] = given.get("data") or b""
        self["headers"] = HeaderLines(given.get("headers") or ())
        self.setdefault("remote_addr", "")
        self.setdefault("scheme", "http")
        self.setdefault("host", None)
        self.setdefault("length", None)
        self.setdefault("asks_first", False)


def query_of(request: Mapping[str, Any]) -> str:
    """The query that goes out: byte for byte the one that came in, unless `params` was changed."""
    raw, params = request["query_string"], request["params"]
    if params == _params(raw):
        return str(raw)
    return urlencode({name: _texts(value) for name, value in params.items()}, doseq=True, errors="surrogateescape")


def _params(query: str) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {}
    if query:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=PARAMS_MAX)
        except ValueError:  # Too many.
            return params
        for name, value in pairs:
            params.setdefault(name, []).append(value)
    return params


def _texts(value: Any) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


class ProxyResponse(_Message):
    """An answer on its way back.

    Keys:
        status_code: 200 to 599.
        reason: As it came; empty for the usual one.
        headers: `HeaderLines`, without those of the connection.
        content: Bytes, or an async iterator of bytes as they come. A text is sent as UTF-8, a dict or a list as JSON.
    """

    def __init__(
        self, status_code: int, reason: str, headers: HeaderLines, content: bytes | AsyncIterator[bytes]
    ) -> None:
        super().__init__(status_code=status_code, reason=reason, headers=headers, content=content)
