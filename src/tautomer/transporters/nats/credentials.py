"""What a client shows a server to be let in."""

from __future__ import annotations

import base64
from itertools import pairwise
from pathlib import Path

from tautomer.errors import TransporterError
from tautomer.transporters.nats.options import NatsOptions, ServerAddress

__all__ = ["connect_credentials", "parse_credentials"]


def connect_credentials(options: NatsOptions, server: ServerAddress, nonce: str) -> dict[str, object]:
    """The fields of CONNECT that sign in. What the server's URL holds comes before the options.

    Raises:
        TransporterError: A file or a seed cannot be used, or the `nkeys` package is missing.
    """
    if server.token is not None:
        return {"auth_token": server.token}
    if server.user is not None:
        return {"user": server.user, "pass": server.password or ""}
    if options.credentials_file is not None:
        jwt, seed = parse_credentials(_read(options.credentials_file), options.credentials_file)
        _, signature = _sign(seed, nonce)
        return {"jwt": jwt, "sig": signature}
    if options.nkey_seed is not None:
        public_key, signature = _sign(options.nkey_seed, nonce)
        return {"nkey": public_key, "sig": signature}
    if options.token is not None:
        return {"auth_token": options.token}
    if options.user is not None:
        return {"user": options.user, "pass": options.password or ""}
    return {}


def parse_credentials(text: str, source: str) -> tuple[str, str]:
    """The JWT and the seed in a ``.creds`` file, each the line after its ``-----BEGIN`` line.

    Raises:
        TransporterError: One of them is not there. Names `source`, shows no content.
    """
    found: dict[str, str] = {}
    lines = [line.strip() for line in text.splitlines()]
    for line, following in pairwise(lines):
        if line.startswith("---") and "BEGIN" in line:
            for label in ("USER JWT", "NKEY SEED"):
                if label in line and following:
                    found.setdefault(label, following)
    if len(found) < 2:
        missing = " and ".join(label for label in ("USER JWT", "NKEY SEED") if label not in found)
        raise TransporterError(
            f"NATS credentials file '{source}' holds no {missing}; it should be a .creds file as `nsc` writes it"
        )
    return found["USER JWT"], found["NKEY SEED"]


def _read(path: str) -> str:
    try:
        return Path(path).expanduser().read_text("utf-8")
    except (OSError, ValueError) as error:
        raise TransporterError(f"NATS credentials file '{path}' cannot be read: {error}") from error


def _sign(seed: str, nonce: str) -> tuple[str, str]:
    """The public key of a seed, and the nonce signed with it (base64url without padding)."""
    try:
        import nkeys
    except ImportError as error:
        raise TransporterError(
            'signing in to NATS with a key needs the nkeys package: pip install "tautomer[nats]"'
        ) from error
    try:
        pair = nkeys.from_seed(seed.strip().encode())
        public_key = bytes(pair.public_key).decode("ascii")
        signature = bytes(pair.sign(nonce.encode()))
    except Exception:
        # Whatever the library raises, its text could hold the seed.
        raise TransporterError("the NATS nkey seed cannot be used; it should begin with 'SU'") from None
    return public_key, base64.urlsafe_b64encode(signature).rstrip(b"=").decode("ascii")
