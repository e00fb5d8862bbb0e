"""Encryption: what leaves a node is encrypted, as Node's `Transmit.Encryption` does (Moleculer protocol section 10)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from tautomer.errors import BrokerOptionsError
from tautomer.middleware import Middleware, Verb
from tautomer.middlewares.compression import Compression
from tautomer.protocol.codec import Refused

if TYPE_CHECKING:
    from tautomer.broker import Broker

__all__ = ["Encryption"]

log = logging.getLogger("tautomer.transit")

Turn = Callable[[bytes], bytes]

IV_BYTES: Final = 16
BLOCK_BITS: Final = 128

ALGORITHMS: Final = {
    **{f"aes-{bits}-{mode}": (bits // 8, mode) for bits in (128, 192, 256) for mode in ("cbc", "ctr", "ecb")},
    **{f"aes{bits}": (bits // 8, "cbc") for bits in (128, 192, 256)},
    "chacha20": (32, "chacha20"),
}
"""By OpenSSL's name: bytes of the key, and the mode.

CFB and OFB are not among them, as the library gives them up; nor is what authenticates (GCM), for which Node's
middleware has no place.
"""


class Encryption(Middleware):
    """Encrypts the messages between nodes. All of them must have it, with the same password, algorithm and iv.

    It keeps what is said from who listens in on the line, and no more: the iv is the same for all messages, so equal
    beginnings look equal, and nothing shows that a message was changed on its way. TLS does all that; this is for a
    message broker that is not to read along, and for meshes that have it already.

    Args:
        password: The key itself, as bytes or as text in UTF-8: 32 bytes for ``aes-256-…``.
        algorithm: See `ALGORITHMS`. With ``ctr`` and ``chacha20``, one iv for many messages gives them away: who knows
            one of them can read the others.
        iv: The start of each message, 16 bytes. ``ecb`` has none.

    Raises:
        BrokerOptionsError: The algorithm is not known, or the password or the iv has another length than it needs; or
            the encryption extra is not installed.
    """

    sees_results = False

    def __init__(
        self, password: str | bytes = "", algorithm: str = "aes-256-cbc", iv: str | bytes | None = None
    ) -> None:
        self._algorithm = name = str(algorithm).lower()
        if name not in ALGORITHMS:
            raise BrokerOptionsError(
                f"Encryption: algorithm '{name:.80}' is not known; known: {', '.join(ALGORITHMS)}",
                {"algorithm": name[:80]},
            )
        key_bytes, mode = ALGORITHMS[name]
        key = _checked("password", password, key_bytes, name)
        if mode == "ecb":
            if iv is not None:
                raise BrokerOptionsError(f"Encryption: {name} has no iv; leave it out")
            start = b""
        else:
            start = _checked("iv", iv, IV_BYTES, name)
        self._encrypt, self._decrypt = _turns(key, mode, start)

    def __repr__(self) -> str:
        return f"<Encryption {self._algorithm}>"  # Neither password nor iv (promise S5).

    def broker_created(self, broker: Broker) -> None:
        log.info("messages are encrypted", extra={"node": broker.id, "algorithm": self._algorithm})
        inside = broker.middlewares[broker.middlewares.index(self) :]
        if any(isinstance(one, Compression) for one in inside):
            log.warning(
                "messages are encrypted before they are compressed, which makes them no smaller; "
                "here the first middleware is the outermost, where in Node.js it is the last: list Compression first",
                extra={"node": broker.id},
            )

    def transporter_send(self, next_send: Verb) -> Verb:
        encrypt = self._encrypt

        def send(topic: str, data: bytes, token: str | None = None) -> None:
            next_send(topic, encrypt(data), token)

        return send

    def transporter_receive(self, next_receive: Verb) -> Verb:
        decrypt = self._decrypt

        def receive(topic: str, data: bytes) -> None:
            try:
                plain = decrypt(data)
            except ValueError as error:
                raise Refused(
                    "undecryptable",
                    "a message cannot be decrypted: has its sender another password, algorithm or iv, or none? "
                    f"{error}",
                ) from None
            next_receive(topic, plain)

        return receive


def _checked(what: str, value: object, wanted: int, algorithm: str) -> bytes:
    """The bytes of a password or iv. What they are is never told (promise S5)."""
    if not value:
        raise BrokerOptionsError(f"Encryption: {algorithm} needs the '{what}': {wanted} bytes")
    if not isinstance(value, str | bytes | bytearray):
        raise BrokerOptionsError(f"Encryption: {what} is a text or bytes, not a {type(value).__name__}")
    known = value.encode() if isinstance(value, str) else bytes(value)
    if len(known) != wanted:
        raise BrokerOptionsError(f"Encryption: {algorithm} needs '{what}' of {wanted} bytes, this one has {len(known)}")
    return known


def _turns(key: bytes, mode: str, iv: bytes) -> tuple[Turn, Turn]:
    """What encrypts a message, and what decrypts one.

    Raises:
        BrokerOptionsError: The library is missing.
    """
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
        from cryptography.hazmat.primitives.padding import PKCS7
    except ModuleNotFoundError as missing:
        raise BrokerOptionsError('Encryption needs: pip install "tautomer[encryption]"') from missing
    cipher: Cipher[Any]
    if mode == "chacha20":
        cipher = Cipher(algorithms.ChaCha20(key, iv), None)
    elif mode == "ctr":
        cipher = Cipher(algorithms.AES(key), modes.CTR(iv))
    else:
        cipher = Cipher(algorithms.AES(key), modes.CBC(iv) if mode == "cbc" else modes.ECB())
    blocks = PKCS7(BLOCK_BITS) if mode in ("cbc", "ecb") else None

    def encrypt(data: bytes) -> bytes:
        if blocks is not None:
            padder = blocks.padder()
            data = padder.update(data) + padder.finalize()
        turning = cipher.encryptor()
        return turning.update(data) + turning.finalize()

    def decrypt(data: bytes) -> bytes:
        turning = cipher.decryptor()
        plain = turning.update(data) + turning.finalize()
        if blocks is None:
            return plain
        unpadder = blocks.unpadder()
        return unpadder.update(plain) + unpadder.finalize()

    return encrypt, decrypt
