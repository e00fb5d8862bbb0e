"""TrustedProxies: whose word counts for where a request came from.

Anybody can write ``X-Forwarded-For``. What counts is what our own proxies have added to it, and each adds at the
right end: so it is read from the right, up to the first address that is none of ours (reliability reference, 5.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, Literal, TypeAlias

from tautomer.web.messages.message import Request

__all__ = ["ForwardedHeader", "TrustedProxies"]

Address: TypeAlias = IPv4Address | IPv6Address
ForwardedHeader: TypeAlias = Literal["x-forwarded-for", "forwarded"]

HOPS_MAX: Final = 32
"""Proxies in a row that are looked at; who has more has a loop."""

# RFC 7239, section 4: pairs of a name and a token or a quoted text.
_PAIR = re.compile(r'\s*([A-Za-z]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*')
_ELEMENTS = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')


class TrustedProxies:
    """Addresses and networks whose forwarding headers are believed.

    Args:
        trusted: Addresses (``"10.0.0.7"``) and networks (``"10.0.0.0/8"``, ``"fd00::/8"``).
        header: The header that the proxies write. Only this one is read: a proxy that writes one of them hands on
            the other as the client sent it.

    Raises:
        ValueError: One is neither; the text says which.
    """

    def __init__(self, trusted: Sequence[str], header: ForwardedHeader = "x-forwarded-for") -> None:
        self._networks = tuple(_network(one) for one in trusted)
        self._header = header
        self.trusts = lru_cache(maxsize=1024)(self._trusts)
        """Whether this address (text) is one of them."""

    def apply(self, request: Request) -> None:
        """Put what a trusted proxy says into `request.client` and `request.scheme`; nothing where none has spoken."""
        if not self.trusts(request.client):
            return
        peer = request.client
        for address, scheme in self._hops(request):
            if address is None:
                return  # Not an address: what stands further left is nobody's word.
            request.peer = peer
            request.client = address
            if scheme in ("http", "https"):
                request.scheme = scheme
            if not self.trusts(address):
                return

    def _hops(self, request: Request) -> Iterator[tuple[str | None, str]]:
        """Address and scheme of every hop, the nearest first; None for what is no address."""
        told = request.header(self._header)
        if told is None:
            return
        if self._header == "forwarded":
            for element in _last(_ELEMENTS.findall(told)):
                pairs = {name.lower(): value.strip('"') for name, value in _pairs(element)}
                yield _address(pairs.get("for", "")), pairs.get("proto", "").lower()
            return
        # One text for all hops: the nearest proxy's word counts, and it is the last.
        scheme = (request.header("x-forwarded-proto") or "").rpartition(",")[2].strip().lower()
        for one in _last(told.split(",")):
            yield _address(one.strip()), scheme

    def _trusts(self, address: str) -> bool:
        try:
            found = _plain(ip_address(address.partition("%")[0]))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


def _last(entries: list[str]) -> list[str]:
    return entries[: -HOPS_MAX - 1 : -1]


def _pairs(element: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for part in element.split(";") if (match := _PAIR.fullmatch(part))]


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"holds '{text}', which is neither an address nor a network: {error}") from None


def _address(text: str) -> str | None:
    """An address in its usual form; a port is cut off. None for anything else."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(_plain(ip_address(text)))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """An IPv4 address that is dressed as IPv6 (RFC 4291, section 2.5.5.2), as what it is."""
    return getattr(address, "ipv4_mapped", None) or address
