"""`busboyConfig` of a route or alias: what may be uploaded (gateway reference, section 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tautomer.settings import a_size
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.settings.reading import Notes, Reader, a_bool, a_mapping

__all__ = ["read_uploads"]

# Names of moleculer-web's parser, in snake_case, and ours.
_LIMITS: Final[dict[str, str]] = {
    "file_size": "file_bytes_max",
    "files": "files_max",
    "fields": "fields_max",
    "parts": "parts_max",
    "field_size": "field_bytes_max",
    "field_name_size": "field_name_bytes_max",
    "header_size": "part_header_bytes_max",
}
_OVER = "what is over a limit is answered with 413; 'onError' may answer otherwise"
_LATER: Final[dict[str, str]] = {
    "preserve_path": "a path from a stranger is no file name",
    "high_water_mark": "64 KiB wait at most",
    "file_hwm": "64 KiB wait at most",
    "def_charset": "names and fields are UTF-8",
    "is_part_afile": "a part with a file name, or of application/octet-stream, is a file",
    "headers": "they come from the request",
    "on_file_size_limit": _OVER,
    "on_parts_limit": _OVER,
    "on_files_limit": _OVER,
    "on_fields_limit": _OVER,
}
_LIMITS_LATER: Final[dict[str, str]] = {"header_pairs": "use 'headerSize', the bytes of a part's headers"}


def read_uploads(given: Mapping[str, object], where: str, notes: Notes, usual: UploadLimits) -> UploadLimits:
    """What it says over what is `usual`: the route's over the defaults, an alias's over its route's."""
    reader = Reader(given, where, notes, _LATER)
    limits = Reader(reader.take("limits", {}, a_mapping), f"{where}.limits", notes, _LIMITS_LATER)
    values: dict[str, Any] = {own: limits.take(name, None, a_size) for name, own in _LIMITS.items()}
    limits.close()
    values["empty"] = reader.take("empty", None, a_bool)
    reader.close()
    return replace(usual, **{name: value for name, value in values.items() if value is not None})
