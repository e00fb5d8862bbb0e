"""Names of uploaded files, as far as they can be trusted: one segment, and nothing that a system takes for something else."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["clean_file_name"]

UNNAMED: Final = "unnamed"

# What file systems take at most, in bytes.
_BYTES_MAX: Final = 255
# What Windows refuses in a name, or takes for a stream of another file.
_FORBIDDEN = re.compile(r'[<>:"|?*]')
# Devices of Windows, with any extension.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(?:\.|$)", re.IGNORECASE)


def clean_file_name(given: str) -> str:
    """The last segment of `given`, for both kinds of slash, without what could mislead people or systems.

    Control, format and unassigned characters (so what turns the direction of writing) are dropped, blanks and dots at
    either end too; what Windows forbids becomes ``_``, its device names get one in front. What is longer than
    255 bytes is cut, its extension kept. Nothing left: ``unnamed``.
    """
    name = given.replace("\\", "/").rpartition("/")[2]
    name = "".join([char for char in name if unicodedata.category(char)[0] != "C"])
    name = _FORBIDDEN.sub("_", name).strip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    return _shortened(name).strip(" .") or UNNAMED


def _shortened(name: str) -> str:
    if len(name.encode()) <= _BYTES_MAX:
        return name
    stem, dot, extension = name.rpartition(".")
    tail = (dot + extension).encode()
    if not stem or len(tail) > _BYTES_MAX // 4:
        stem, tail = name, b""
    return (stem.encode()[: _BYTES_MAX - len(tail)] + tail).decode(errors="ignore")
