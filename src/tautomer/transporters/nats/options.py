"""Where to connect and how: server addresses, credentials, TLS, times and bounds."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from tautomer.errors import TransporterError

__all__ = ["NatsOptions", "NatsTls", "ServerAddress", "parse_servers"]

DEFAULT_PORT = 4222


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsTls:
    """How the line is encrypted. The server's certificate is verified unless that is turned off by name.

    Attributes:
        ca_file: PEM file of the authorities believed; None = those of the system.
        cert_file: PEM file of our own certificate, for servers that ask for one.
        key_file: PEM file of its key; None = it is in `cert_file`.
        key_password: Password of the key.
        server_name: Name that the server's certificate must hold; None = the host of its address.
        handshake_first: TLS before the first byte, for servers set up so. Otherwise TLS begins after INFO.
        insecure_skip_verify: Believe any certificate. Anybody on the way can then read and change all.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    key_password: str | None = field(default=None, repr=False)
    server_name: str | None = None
    handshake_first: bool = False
    insecure_skip_verify: bool = False

    def context(self) -> ssl.SSLContext:
        """The context for a connection.

        Raises:
            TransporterError: A file cannot be read, or is not what it should be.
        """
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.cert_file:
                context.load_cert_chain(self.cert_file, self.key_file, self.key_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError.
            files = ", ".join(name for name in (self.ca_file, self.cert_file, self.key_file) if name)
            raise TransporterError(f"TLS files for NATS cannot be used ({files}): {error}") from error
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """Settings of the NATS transporter. Times are seconds.

    Attributes:
        name: Name of the connection, as the server's monitoring shows it.
        user: User name, for servers without one in their URL.
        password: Its password.
        token: Token, where the server asks for one instead.
        nkey_seed: Seed of a user's nkey (``SU...``); needs the `nkeys` package.
        credentials_file: File with a JWT and a seed (``.creds``), read at each connection; needs the `nkeys` package.
        tls: Turns TLS on for all servers. A ``tls://`` address alone turns it on with the defaults.
        discover_servers: Whether to use the other servers of a cluster that a server tells of.
        shuffle: Whether to try the servers in random order, so that nodes spread over a cluster.
        connect_timeout: For one server to take us in.
        ping_interval: Between two pings to the server.
        ping_misses: Pings without an answer after which the connection counts as dead, at least 1.
        pause: Before the first try to connect again; doubles with each, and each is drawn from 50 to 150 %.
        pause_max: No pause is longer, apart from the 150 %. In the first minutes of an outage it is shorter, see
            `pool.Backoff`.
        pending_messages_max: Messages kept while the line is away.
        pending_bytes_max: Bytes kept while the line is away.
        out_bytes_max: Bytes kept while the line stands but takes nothing.
        drain_bytes: High-water mark of `drain()`.
        close_timeout: For handing over what is left at the end.
    """

    name: str = "tautomer"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    nkey_seed: str | None = field(default=None, repr=False)
    credentials_file: str | None = None
    tls: NatsTls | None = None
    discover_servers: bool = True
    shuffle: bool = True
    connect_timeout: float = 5.0
    ping_interval: float = 5.0
    ping_misses: int = 2
    pause: float = 0.1
    pause_max: float = 5.0
    pending_messages_max: int = 1_000
    pending_bytes_max: int = 8 * 1024 * 1024
    out_bytes_max: int = 64 * 1024 * 1024
    drain_bytes: int = 1024 * 1024
    close_timeout: float = 5.0

    def __post_init__(self) -> None:
        for name in ("connect_timeout", "ping_interval", "pause", "pause_max", "close_timeout"):
            if not getattr(self, name) > 0:
                raise ValueError(f"nats.{name} must be over 0 seconds, not {getattr(self, name)!r}")
        for name in ("ping_misses", "pending_messages_max", "pending_bytes_max", "out_bytes_max", "drain_bytes"):
            if not getattr(self, name) >= 1:
                raise ValueError(f"nats.{name} must be at least 1, not {getattr(self, name)!r}")
        if self.pause > self.pause_max:
            raise ValueError(f"nats.pause ({self.pause:g} s) is over nats.pause_max ({self.pause_max:g} s)")
        ways = ("user", "token", "nkey_seed", "credentials_file")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) > 1:
            raise ValueError(f"nats: sign in with one of {', '.join(given)}, not with several")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One server, with what its URL says about signing in.

    Attributes:
        tls_name: Name to find in its certificate, where that is not `host`.
    """

    host: str
    port: int = DEFAULT_PORT
    tls: bool = False
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    tls_name: str | None = None

    def __str__(self) -> str:
        """Its URL without secrets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.tls else 'nats'}://{host}:{self.port}"

    @property
    def is_ip(self) -> bool:
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


def parse_servers(urls: str | Sequence[str]) -> list[ServerAddress]:
    """Read addresses: a text with commas, or a list of such.

    Shapes: ``nats://host:port``, ``tls://...``, ``host:port``, ``host``; with ``user:password@`` or
    ``token@`` before the host, percent-encoded where they hold ``, @ : / % ?``. An address without a
    scheme takes that of the one before it, so that ``tls://a,b`` does not speak to b in the clear.

    Raises:
        TransporterError: An address cannot be read. The text never holds a secret.
    """
    parts = [part.strip() for text in ([urls] if isinstance(urls, str) else urls) for part in text.split(",")]
    servers: list[ServerAddress] = []
    scheme = "nats"
    for part in filter(None, parts):
        if "://" in part:
            scheme, _, part = part.partition("://")
            scheme = scheme.lower()
        servers.append(_parse_server(scheme, part))
    if not servers:
        raise TransporterError("no NATS address is given; write one such as nats://127.0.0.1:4222")
    return servers


def _parse_server(scheme: str, rest: str) -> ServerAddress:
    shown = ascii(f"{scheme}://{rest.rpartition('@')[2]}")
    if scheme not in ("nats", "tls"):
        raise TransporterError(f"NATS address {shown} has an unknown scheme; use nats:// or tls://")
    try:
        split = urlsplit(f"{scheme}://{rest}")
        host, port = split.hostname, split.port
        (host or "").encode("idna")  # As resolving the name will do.
    except ValueError as error:
        # The error's own text quotes the address with its password.
        raise TransporterError(f"NATS address {shown} cannot be read; write it as {scheme}://host:port") from (
            None if "@" in rest else error
        )
    if not host or any(char.isspace() or not char.isprintable() for char in host):
        raise TransporterError(f"NATS address {shown} names no host; write it as {scheme}://host:port")
    if split.path not in ("", "/") or split.query or split.fragment:
        raise TransporterError(
            f"NATS address {shown} has more than host and port; give options apart, "
            "and percent-encode '/', '?' and '#' in a password"
        )
    user = unquote(split.username) if split.username is not None else None
    password = unquote(split.password) if split.password is not None else None
    if user is not None and password is None:
        return ServerAddress(host, port or DEFAULT_PORT, scheme == "tls", token=user)
    return ServerAddress(host, port or DEFAULT_PORT, scheme == "tls", user, password)
