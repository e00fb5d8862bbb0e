"""send_redirect: an answer that sends the client elsewhere."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from tautomer.web.messages.message import Reply

__all__ = ["send_redirect"]

_STATUSES: Final = (301, 302, 303, 307, 308)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Everything that RFC 3986 lets stand in a URI, the sign of an escape included.
_AS_IT_IS: Final = ":/?#[]@!$&'()*+,;=-._~%"


def send_redirect(url: str, status: int = 302) -> Reply:
    """A reply that sends the client to `url`.

    Args:
        url: Absolute or relative; what is not ASCII is percent-encoded. One that a client has named must be checked
            first, or anybody may use this server's good name to lead people elsewhere.
        status: 301, 302, 303, 307 or 308.

    Raises:
        ValueError: Another status, or a control character in the URL.
    """
    if status not in _STATUSES:
        raise ValueError(f"a redirect has one of the statuses {', '.join(map(str, _STATUSES))}, not {status}")
    if _CONTROL.search(url):
        raise ValueError("the URL of a redirect holds a control character")
    return Reply(status, [("Location", quote(url, safe=_AS_IT_IS))])
