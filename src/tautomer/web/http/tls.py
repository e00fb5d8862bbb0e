"""TLS for our own server: from keys and certificates as people have them to an `ssl.SSLContext`."""

from __future__ import annotations

import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

__all__ = ["tls_context"]

VERSIONS: Final = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}
"""What `min_version` may be; what is older is not spoken (RFC 8996)."""


def tls_context(
    key: bytes,
    cert: bytes,
    *,
    passphrase: str | None = None,
    ca: bytes | None = None,
    request_cert: bool = False,
    min_version: str = "TLSv1.2",
    ciphers: str | None = None,
) -> ssl.SSLContext:
    """A context for a server that speaks HTTP/1.1.

    Args:
        key: Private key, PEM.
        cert: Certificate, and after it those between it and a root, PEM.
        passphrase: Of the key, where it is encrypted.
        ca: Certificates, PEM, of whom client certificates are to come; the system's if None.
        request_cert: A client must show a certificate.
        min_version: One of `VERSIONS`.
        ciphers: As OpenSSL writes lists of them, for TLS 1.2.

    Raises:
        ValueError: Something does not fit; the text begins with the name of the setting.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[min_version]
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    _load(context, key, cert, passphrase)
    if ciphers is not None:
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise ValueError("ciphers names no cipher that is known") from None
    if ca is not None:
        _trust(context, ca, "ca")
    elif request_cert:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    if request_cert:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _trust(context: ssl.SSLContext, pem: bytes, setting: str) -> None:
    try:
        context.load_verify_locations(cadata=pem.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise ValueError(f"{setting} holds no certificate in PEM form") from None


def _load(context: ssl.SSLContext, key: bytes, cert: bytes, passphrase: str | None) -> None:
    _trust(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, "cert")  # For its own complaint only.
    encrypted = False

    def tell_passphrase() -> str:
        # Asked for only if the key is encrypted. Without this OpenSSL would ask at the terminal.
        nonlocal encrypted
        encrypted = True
        return passphrase or ""

    # OpenSSL reads these from files only. The folder is for this user's eyes, and gone a moment later.
    with TemporaryDirectory(prefix="tautomer-") as folder:
        key_file, cert_file = Path(folder, "key"), Path(folder, "cert")
        key_file.write_bytes(key)
        cert_file.write_bytes(cert)
        try:
            context.load_cert_chain(cert_file, key_file, tell_passphrase)
        except (ssl.SSLError, ValueError) as error:
            if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
                raise ValueError("key does not belong to cert: they are not of one pair") from None
            if encrypted:
                fault = (
                    "is encrypted: set 'passphrase'" if passphrase is None else "cannot be read with this passphrase"
                )
                raise ValueError(f"key {fault}") from None
            raise ValueError("key holds no private key in PEM form") from None
