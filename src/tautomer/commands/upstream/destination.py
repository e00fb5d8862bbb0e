"""Destination: where a request goes, and AllowedHosts: whether it may go there (resilience reference, section 12).

Part of a URL comes from a stranger. So it is read strictly, and whatever two programs could read in two ways is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import quote

import msgspec

from tautomer.commands.upstream.errors import ProxyRefusedError
from tautomer.errors import BrokerOptionsError

__all__ = ["AllowedHosts", "Destination", "destination"]

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_URL = re.compile(r"(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_HIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_DOTS = re.compile(r"(?:^|/)(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
# What came as visible ASCII goes out as it came; all else is escaped.
_AS_IT_IS: Final = "".join(map(chr, range(0x21, 0x7F)))


class Destination(msgspec.Struct, frozen=True):
    """Where a request goes.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name in lower case, or address without brackets.
        port: Number.
        authority: As the ``Host`` line has it: without the scheme's own port.
        target: Path and query.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str


def destination(url: object, query_string: str = "") -> Destination:
    """Read an absolute URL.

    Args:
        query_string: Comes after the URL's own query.

    Raises:
        ProxyRefusedError: It is none of ``http://`` or ``https://``, names a user, begins its path with ``//`` or has
            a ``.`` or ``..`` in it, or holds control characters, blanks or backslashes.
    """
    if not isinstance(url, str):
        raise ProxyRefusedError(f"before_request must set request['url'] to a text, not {url!r:.80}")
    if _HIDDEN.search(url):
        raise ProxyRefusedError("the URL holds a blank, a control character or a backslash")
    match = _URL.fullmatch(url)
    if match is None:
        raise ProxyRefusedError(f"the URL is not http://host/path or https://host/path: {url!r:.80}")
    scheme = match[1].lower()
    authority = _AUTHORITY.fullmatch(match[2])
    if authority is None:
        raise ProxyRefusedError(f"the URL names no plain host: {match[2]!r:.80}")
    path = match[3] or "/"
    if path.startswith("//"):
        raise ProxyRefusedError("the path begins with two slashes, and so could be read as a host")
    if _DOTS.search(path):
        raise ProxyRefusedError("the path holds a '.' or '..' segment")
    port = int(authority[2] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise ProxyRefusedError(f"{port} is no port")
    host = authority[1].lower()
    query = "&".join(filter(None, (match[4], query_string)))
    target = quote(path, safe=_AS_IT_IS) + (f"?{quote(query, safe=_AS_IT_IS)}" if query else "")
    own_port = "" if port == _PORTS[scheme] else f":{port}"
    return Destination(scheme, host.strip("[]").rstrip("."), port, f"{host}{own_port}", target)


class AllowedHosts:
    """Hosts, ports and networks that a proxy may go to.

    A host that is named itself may have any address but those below; one that fits a ``*`` may have public ones only,
    since whoever runs that domain says what it is. Link-local addresses (at which clouds keep their secrets), multicast
    and unspecified ones must be named themselves. With networks in the list, every address must lie in one of them.

    Args:
        entries: ``"intra.service.com"``, ``"intra.service.com:8080"``, ``"*.service.com"`` (not `service.com`),
            addresses and networks such as ``"10.0.0.0/8"``; None for any host.

    Raises:
        BrokerOptionsError: One is none of these.
    """

    def __init__(self, entries: Iterable[str] | None) -> None:
        self._any = entries is None
        self._hosts: set[tuple[str, int]] = set()
        self._suffixes: set[tuple[str, int]] = set()
        self._addresses: set[Address] = set()
        self._networks: list[Network] = []
        if isinstance(entries, str):
            raise BrokerOptionsError(f"allowed_hosts is a list of hosts, not the text {entries!r}")
        for entry in entries or ():
            self._add(entry)

    def _add(self, entry: object) -> None:
        if not isinstance(entry, str) or not entry:
            raise BrokerOptionsError(
                f"allowed_hosts holds {entry!r:.80}; an entry is a text such as 'intra.service.com'"
            )
        network = _network(entry)
        if network is not None:
            self._networks.append(network)
            return
        address = _address(entry)
        if address is not None:
            self._addresses.add(address)
            return
        is_suffix = entry.startswith("*.")
        match = _AUTHORITY.fullmatch(entry.removeprefix("*."))
        if match is None:
            raise BrokerOptionsError(
                f"allowed_hosts holds {entry!r:.80}; an entry is a host, 'host:port', '*.domain' or a network, without "
                "scheme and path"
            )
        # Port 0 stands for any.
        (self._suffixes if is_suffix else self._hosts).add(
            (match[1].lower().strip("[]").rstrip("."), int(match[2] or 0))
        )

    def check_host(self, to: Destination) -> None:
        """Before anything is asked of a name server.

        Raises:
            ProxyRefusedError: The host is not in the list.
        """
        if self._any or self._is_named(to) or self._fits(to):
            return
        address = _address(to.host)
        if address is not None and (address in self._addresses or self._lies_within(address)):
            return
        raise ProxyRefusedError(f"'{to.authority}' is not in allowed_hosts")

    def check_address(self, to: Destination, found: str) -> None:
        """At connect: what the name stands for just now.

        Raises:
            ProxyRefusedError: The address is not allowed for this host.
        """
        address = _address(found)
        if address is None:
            raise ProxyRefusedError(f"'{to.host}' has no address: {found!r:.80}")
        if address in self._addresses or self._lies_within(address):
            return
        if self._networks:
            raise ProxyRefusedError(f"'{to.host}' is {address}, which lies in none of the networks of allowed_hosts")
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            raise ProxyRefusedError(f"'{to.host}' is {address}, which must be named in allowed_hosts itself")
        if not self._any and not self._is_named(to) and not address.is_global:
            raise ProxyRefusedError(f"'{to.host}' is {address}, which is not a public address")

    def _lies_within(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _is_named(self, to: Destination) -> bool:
        return (to.host, 0) in self._hosts or (to.host, to.port) in self._hosts

    def _fits(self, to: Destination) -> bool:
        return any(port in (0, to.port) and to.host.endswith(f".{suffix}") for suffix, port in self._suffixes)


def _network(text: str) -> Network | None:
    if "/" not in text:
        return None
    try:
        return ip_network(text)
    except ValueError:
        return None


def _address(text: str) -> Address | None:
    """An address; an IPv4 one in IPv6's clothes as what it is."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
