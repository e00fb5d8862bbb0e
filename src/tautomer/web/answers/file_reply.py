"""FileReply: what an action or a function gives back to have a file of this machine sent."""

from __future__ import annotations

import os

__all__ = ["FileReply"]


class FileReply:
    """A file as a result: sent from disk, in parts where the client asks for parts.

    ```python
    return FileReply(reports / f"{year}.pdf", filename="report.pdf")
    ```

    For actions on the gateway's own node, and for functions as aliases. What is not a file, or cannot be read, is
    answered with 404. No part of a path comes from a client by itself; where the action puts one in, `root` keeps it in.

    Args:
        path: Of the file; below `root`, if that is given.
        root: Folder that must hold the file once all links are followed; else it is answered with 404, too.
        filename: Name under which the client is to save it; None shows it in place.
        type: Content type; None for the one that goes with the ending of the name.
    """

    # No dataclass: what has no JSON form cannot tell another node the path.
    __slots__ = ("filename", "path", "root", "type")

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        filename: str | None = None,
        type: str | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self.root = None if root is None else os.fspath(root)
        self.filename = filename
        self.type = type

    def __repr__(self) -> str:
        return f"FileReply({self.path!r})"
