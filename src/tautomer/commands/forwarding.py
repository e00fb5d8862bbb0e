"""Which headers a proxy hands on, and what it adds (RFC 9110 section 7.6, RFC 7239; resilience reference, section 12)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from typing import Final

from tautomer.commands.header_lines import HeaderLines

__all__ = ["answer_headers", "forwarded_headers", "request_headers"]

NAME: Final = "tautomer"
"""Who we are in ``Via``."""

# They are about one connection, and not about what goes over it.
_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Host and framing are of the connection to the upstream, and the question whether to send a body is asked anew.
_OF_A_REQUEST: Final = _HOP_BY_HOP | {"content-length", "expect", "host"}
# A stranger may name any header in `Connection`, and so must not get rid of these: what they say of him is checked.
_NEVER_NAMED: Final = frozenset(
    {
        "authorization",
        "cookie",
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    }
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def request_headers(lines: Iterable[tuple[str, str]]) -> HeaderLines:
    """What of a client's headers goes on to the upstream."""
    return HeaderLines(_handed_on(lines, _OF_A_REQUEST, _NEVER_NAMED))


def answer_headers(lines: Iterable[tuple[str, str]]) -> HeaderLines:
    """What of the upstream's headers goes back to the client; its server frames anew."""
    return HeaderLines(_handed_on(lines, _HOP_BY_HOP, frozenset()))


def _handed_on(
    lines: Iterable[tuple[str, str]], dropped: frozenset[str], kept: frozenset[str]
) -> Iterable[tuple[str, str]]:
    lines = [*lines]
    named = {
        token.strip().lower() for name, value in lines if name.lower() == "connection" for token in value.split(",")
    }
    gone = dropped | (named - kept)
    return [(name, value) for name, value in lines if name.lower() not in gone]


def forwarded_headers(
    headers: HeaderLines, *, peer: str, scheme: str, host: str | None, http_version: str, request_id: str
) -> None:
    """Tell the upstream where the request came from.

    ``X-Forwarded-For``, `Forwarded` and `Via` grow at their right end, as each proxy on the way adds to them. The client's
    ``X-Forwarded-Proto`` and ``-Host`` are replaced: most programs read one value there, and would read his.

    Args:
        peer: Address of whoever is connected to us, empty if it has none.
        scheme: ``http`` or ``https``, as the client uses it.
        host: As the client wrote it.
    """
    if peer:
        _append(headers, "X-Forwarded-For", peer)
    headers["X-Forwarded-Proto"] = scheme
    if host is not None:
        headers["X-Forwarded-Host"] = host
    told = [f"for={_node(peer)}", *([] if host is None else [f"host={_quoted(host)}"]), f"proto={scheme}"]
    _append(headers, "Forwarded", ";".join(told))
    _append(headers, "Via", f"{http_version} {NAME}")
    if request_id:
        headers["X-Request-ID"] = request_id


def _append(headers: HeaderLines, name: str, value: str) -> None:
    headers[name] = ", ".join([*headers.getlist(name), value])


@lru_cache(maxsize=1024)
def _node(peer: str) -> str:
    """An address as RFC 7239, section 6 has it."""
    try:
        version = ip_address(peer.partition("%")[0]).version
    except ValueError:
        return "unknown"
    return f'"[{peer}]"' if version == 6 else peer


def _quoted(text: str) -> str:
    return text if _TOKEN.fullmatch(text) else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
