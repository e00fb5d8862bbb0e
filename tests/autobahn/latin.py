"""What the converted suite takes from elsewhere, for strings whose characters are bytes (Latin-1).

A module of `fuzzer.py`, in the suite's own environment: nothing of this project is imported here.
"""

from __future__ import annotations

import binascii
import sys
from pathlib import Path

from autobahn.websocket import utf8validator  # type: ignore[import-not-found,unused-ignore]


def octets(text: str | bytes) -> bytes:
    """The bytes that a string of the suite means."""
    return text if isinstance(text, bytes) else text.encode("latin-1")


def b2a_hex(text: str | bytes) -> str:
    return binascii.b2a_hex(octets(text)).decode()


hexlify = b2a_hex


def resource_filename(package: str, name: str) -> str:
    """Path of a file of the converted package."""
    return str(Path(str(sys.modules[package].__file__)).parent / name)


class Utf8Validator:
    """Tells the cases which prefixes of a text are valid."""

    def __init__(self) -> None:
        self._validator = utf8validator.Utf8Validator()

    def reset(self) -> None:
        self._validator.reset()

    def validate(self, text: str) -> tuple[bool, bool, int, int]:
        found: tuple[bool, bool, int, int] = self._validator.validate(octets(text))
        return found
