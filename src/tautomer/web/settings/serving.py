"""Reading how a gateway is reached: its own port, a Unix socket, TLS, another server; and which files it serves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypedDict

from tautomer.web.messages.header_lines import header_line
from tautomer.web.routing.aliases import join_path, snake
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_mapping, a_text
from tautomer.web.settings.records import AssetSettings, UnixSocket

if TYPE_CHECKING:
    import ssl

__all__ = ["Serving", "read_serving"]

UNIX: Final = "unix:"

_HTTPS_LATER: Final = {
    "pfx": "give 'key' and 'cert' in PEM form",
    "max_version": "",
    "sni_callback": "one certificate may hold many names",
    "alpn_protocols": "it is HTTP/1.1",
    "secure_protocol": "use 'minVersion'",
    "allow_http1": "",
    "dhparam": "",
    "ecdh_curve": "",
    "crl": "",
}
_OPTIONS_LATER: Final = {
    "accept_ranges": "ranges are always answered",
    "cache_control": "use 'maxAge' and 'immutable'",
    "fallthrough": "what is not there is answered 404",
    "extensions": "",
    "set_headers": "use 'headers', beside 'options'",
}
# Of these `true` asks for what is so anyway.
_ALWAYS_ON: Final = ("accept_ranges", "cache_control", "fallthrough")


class Serving(TypedDict):
    """Fields of `GatewaySettings` that are read here."""

    server: bool
    socket: UnixSocket | None
    tls: ssl.SSLContext | None
    assets: AssetSettings | None


def read_serving(reader: Reader, environment: Mapping[str, str], ip: str) -> Serving:
    """Take `server`, `socket`, `socketMode`, `https`, `http2` and `assets` out of a gateway's settings.

    Args:
        environment: Says whether this is one of several workers.
        ip: Address it is to listen on, as it was written.
    """
    server = reader.take("server", True, _server)
    https = reader.take("https", None, a_mapping)
    http2 = reader.take("http2", False, a_bool)
    notes, where = reader.notes, reader.where
    if http2 and server:
        notes.faults.append(
            f"{where}.http2 is beyond the gateway's own server: set 'server' to False, and host its 'app' under "
            "hypercorn or granian, which speak HTTP/2"
        )
    if https and not server:
        notes.faults.append(f"{where}.https is the outer server's where 'server' is False: give it key and certificate")
    return Serving(
        server=server,
        socket=_socket(reader, environment, ip),
        tls=_tls(https, f"{where}.https", notes) if https and server else None,
        assets=_assets(reader.take("assets", None, a_mapping), f"{where}.assets", notes),
    )


def _server(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(
            "is true or false, no server object: with true a gateway opens its port itself, with false an ASGI "
            "server hosts its 'app'"
        )
    return value


def _socket(reader: Reader, environment: Mapping[str, str], ip: str) -> UnixSocket | None:
    path = reader.take("socket", None, a_text)
    mode = reader.take("socket_mode", None, _mode)
    notes, where = reader.notes, reader.where
    if ip.startswith(UNIX):
        if path is not None:
            notes.faults.append(f"{where}.ip and {where}.socket both name a Unix socket")
        path = ip.removeprefix(UNIX)
    if path is None:
        if mode is not None:
            notes.faults.append(f"{where}.socketMode says nothing without 'socket'")
        return None
    if not path:
        notes.faults.append(f"{where}.socket is the path of a Unix socket, not an empty text")
    if environment.get("TAUTOMER_WORKER"):
        notes.faults.append(f"{where}.socket: a Unix socket cannot be shared by workers; use a port")
    return UnixSocket(path=path, mode=mode)


def _mode(value: object) -> int:
    """Permissions: a number, or octal digits in a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and set(value) <= set("01234567"):
        value = int(value, 8)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o777:
        raise ValueError(f"is written '660' or 0o660, not {value!r:.80}")
    return value


# --- TLS ---


def _tls(given: Mapping[str, object], where: str, notes: Notes) -> ssl.SSLContext | None:
    from tautomer.web.http.tls import VERSIONS, tls_context  # Only a gateway that speaks TLS needs it.

    def a_version(value: object) -> str:
        if value not in VERSIONS:
            raise ValueError(f"is one of {', '.join(VERSIONS)}, not {value!r:.80}")
        return str(value)

    before = len(notes.faults)
    reader = Reader(given, where, notes, _HTTPS_LATER)
    key, cert = reader.take("key", None, _pem), reader.take("cert", None, _pem)
    ca = reader.take("ca", None, _pem)
    passphrase = reader.take("passphrase", None, _secret)
    request_cert = reader.take("request_cert", False, a_bool)
    if not reader.take("reject_unauthorized", True, a_bool) and request_cert:
        notes.faults.append(f"{where}.rejectUnauthorized: a certificate that is asked for is checked, too")
    min_version, ciphers = reader.take("min_version", "TLSv1.2", a_version), reader.take("ciphers", None, a_text)
    reader.close()
    if len(notes.faults) > before:
        return None
    if key is None or cert is None:
        notes.faults.append(f"{where} needs both 'key' and 'cert'")
        return None
    try:
        return tls_context(
            key,
            cert,
            passphrase=passphrase,
            ca=ca,
            request_cert=request_cert,
            min_version=min_version,
            ciphers=ciphers,
        )
    except ValueError as error:
        notes.faults.append(f"{where}.{error}")
        return None


def _pem(value: object) -> bytes:
    """The text itself, or what the file of that path holds; of a list all of them. Never told in a fault."""
    if isinstance(value, list | tuple):
        return b"\n".join(_pem(one) for one in value)
    if isinstance(value, str | bytes):
        text = value.encode() if isinstance(value, str) else value
        if b"-----BEGIN" in text:
            return text
    if not isinstance(value, str | os.PathLike):
        raise ValueError("is PEM text, or the path of a PEM file")
    try:
        with open(value, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
        raise ValueError(
            f"is PEM text, or the path of a PEM file; '{str(value)[:80]}' cannot be read: {reason}"
        ) from None


def _secret(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("is a text")
    return value


# --- files ---


def _assets(given: Mapping[str, object] | None, where: str, notes: Notes) -> AssetSettings | None:
    if given is None:
        return None
    reader = Reader(given, where, notes)
    folder = reader.take("folder", None, _folder)
    path = join_path(reader.take("path", "/", a_text))
    html = reader.take("html", True, a_bool)
    headers = reader.take("headers", (), _headers)
    options = dict(reader.take("options", {}, a_mapping))
    if "folder" not in given:
        notes.faults.append(f"{where}.folder is missing: which folder's files are to be served?")
    reader.close()
    for key in filter(_is_always_on, [*options]):
        if options[key] is False:
            notes.faults.append(f"{where}.options.{key} cannot be turned off: {_OPTIONS_LATER[snake(str(key))]}")
        if isinstance(options[key], bool):
            del options[key]
    more = Reader(options, f"{where}.options", notes, _OPTIONS_LATER)
    index = more.take("index", "index.html", _index)
    max_age = more.seconds("max_age", 0.0) or 0.0
    immutable = more.take("immutable", False, a_bool)
    dotfiles = more.take("dotfiles", False, _dotfiles)
    etag = more.take("etag", True, a_bool)
    last_modified = more.take("last_modified", True, a_bool)
    redirect = more.take("redirect", True, a_bool)
    more.close()
    if folder is None:
        return None
    return AssetSettings(
        folder=folder,
        path=path,
        index=(index or None) if html else None,
        max_age=int(max_age),
        immutable=immutable,
        dotfiles=dotfiles,
        etag=etag,
        last_modified=last_modified,
        redirect=redirect,
        headers=headers,
    )


def _is_always_on(key: object) -> bool:
    return snake(str(key)) in _ALWAYS_ON


def _folder(value: object) -> str:
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"is the path of a folder, not {value!r:.80}")
    folder = os.path.realpath(value)
    if not os.path.isdir(folder):
        raise ValueError(f"is the path of a folder; there is none at '{folder}'")
    return folder


def _headers(value: object) -> tuple[tuple[str, str], ...]:
    """Headers that may go out as they are written."""
    found = []
    for name, text in a_mapping(value).items():
        if not isinstance(text, str) or header_line(str(name), text) != f"{name}: {text}\r\n":
            raise ValueError(f"takes names and texts of ASCII, but framing and Date; not {name!r:.80}: {text!r:.80}")
        found.append((str(name), text))
    return tuple(found)


def _index(value: object) -> str:
    """Name of the file that stands for its folder; empty for none."""
    if value is False:
        return ""
    if not isinstance(value, str) or not value or "/" in value or "\\" in value or value.startswith("."):
        raise ValueError(f"is the name of one file, or false, not {value!r:.80}")
    return value


def _dotfiles(value: object) -> bool:
    if value not in ("ignore", "allow"):
        raise ValueError(f"is 'ignore' (they are answered 404) or 'allow', not {value!r:.80}")
    return value == "allow"
