"""Gateways whose settings are refused for good, and faults that are known."""

from __future__ import annotations

from typing import Final

REFUSED: Final[dict[str, str]] = {
    "authentication_missing": "names the method",
    "cors_odd_wildcards": "holds origins such as",
    "cors_star_credentials": "with every origin",
    "multipart_preserve_path": "preservePath",
    "same_path_twice": "is the same route as",
}
"""Gateways whose settings are refused for good, to a part of what is said."""

FAULTS: Final[dict[str, str]] = {}
"""Cases (``gateway: case``) in which we are wrong, to what is wrong; to be emptied. One that is right is to be taken out."""
