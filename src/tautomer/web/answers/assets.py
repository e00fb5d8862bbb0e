"""Assets: files of one folder, read by Starlette (gateway reference, section 6.3)."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from email.utils import formatdate
from typing import Final
from urllib.parse import quote

from tautomer._tasks import TaskScope
from tautomer.errors import BrokerOptionsError
from tautomer.web.answers.files import with_charset
from tautomer.web.asgi.conversation import converse
from tautomer.web.asgi.scope import scope_of
from tautomer.web.asgi.types import Scope
from tautomer.web.http.refusal import error_reply
from tautomer.web.messages.entity_tag import is_wanted
from tautomer.web.messages.message import Reply, Request
from tautomer.web.routing.patterns import fold
from tautomer.web.settings.records import AssetSettings

try:
    import anyio.to_thread
    from starlette.staticfiles import StaticFiles
except ModuleNotFoundError as error:
    raise BrokerOptionsError(f"'assets' needs '{error.name}': pip install 'tautomer[web]'") from error

__all__ = ["Assets"]

RANGES_MAX: Final = 5
"""Parts of a file that one request may ask for; who wants more gets all of it."""

_COMPARED: Final = {"etag": b"if-none-match", "last-modified": b"if-modified-since"}


class Assets:
    """Finds files, and replies with them to GET and HEAD.

    What begins with a dot, what a link leads to outside of the folder, what cannot be read, what is neither file
    nor folder, a folder without an index: none of them is there.
    """

    def __init__(self, settings: AssetSettings) -> None:
        self._settings = settings
        self._prefix = fold(settings.path).rstrip("/") + "/"
        self._files = StaticFiles(directory=settings.folder)
        immutable = ", immutable" if settings.immutable else ""
        # One of the settings' own takes the place of ours.
        headers = {"cache-control": ("Cache-Control", f"public, max-age={settings.max_age}{immutable}")}
        headers.update({name.lower(): (name, value) for name, value in settings.headers})
        self._headers = headers
        # What is not sent cannot be compared.
        self._unsent = {name for name, sent in _sent(settings).items() if not sent}
        self._unread = {_COMPARED[name] for name in self._unsent}
        self._tasks = TaskScope("assets")

    async def reply(self, request: Request) -> Reply | None:
        """The file of the request's path, or None if there is none."""
        path = request.path
        if request.method not in ("GET", "HEAD") or not fold(f"{path}/").startswith(self._prefix):
            return None
        rest = path[len(self._prefix) :]
        segments = rest.removesuffix("/").split("/") if rest else []
        if "" in segments or self._is_hidden(segments):
            return None
        found = await anyio.to_thread.run_sync(self._find, segments)
        if found is None:
            return None
        file, status, is_index = found
        if is_index and not path.endswith("/"):
            return self._to_folder(request) if self._settings.redirect else None
        if not is_index and path.endswith("/"):
            return None
        return await self._send(request, file, status)

    def _is_hidden(self, segments: list[str]) -> bool:
        return not self._settings.dotfiles and any(segment.startswith(".") for segment in segments)

    def _find(self, segments: list[str]) -> tuple[str, os.stat_result, bool] | None:
        """The file, what the system knows of it, and whether it stands for its folder. Runs in a thread."""
        found = self._look_up(segments)
        is_index = found is not None and stat.S_ISDIR(found[1].st_mode)
        if is_index and self._settings.index is not None:
            found = self._look_up([*segments, self._settings.index])
        if found is None or not stat.S_ISREG(found[1].st_mode) or not os.access(found[0], os.R_OK):
            return None
        return *found, is_index

    def _look_up(self, segments: list[str]) -> tuple[str, os.stat_result] | None:
        try:
            path, status = self._files.lookup_path("/".join(segments))
        except (OSError, ValueError):
            return None  # Not allowed, or nothing that could be a name of a file.
        if status is None:
            return None
        # A link may lead from a plain name to a hidden one.
        below = os.path.relpath(path, self._settings.folder).split(os.sep)
        return None if below != ["."] and self._is_hidden(below) else (path, status)

    def _to_folder(self, request: Request) -> Reply:
        # Relative to the path itself: neither the Host header nor what stands before the gateway has a say in it.
        query = f"?{request.query_string}" if request.query_string else ""
        return Reply(301, [("Location", f"./{quote(request.path.rpartition('/')[2])}/{query}")])

    async def _send(self, request: Request, file: str, status: os.stat_result) -> Reply | None:
        scope = scope_of(request)
        _drop(scope, self._unread)
        if (request.header("range") or "").count(",") >= RANGES_MAX:
            _drop(scope, {b"range"})
        if "\nif-" in request.lower and not is_wanted(request, *self._validators(file, status, scope)):
            return error_reply(412, "PRECONDITION_FAILED", "The file is another by now.")
        try:
            reply = await self._read(file, status, scope)
            if reply.status == 400:
                # A range that is none is not there (RFC 9110 section 14.2).
                _drop(scope, {b"range"})
                reply = await self._read(file, status, scope)
        except FileNotFoundError:
            return None  # Removed meanwhile.
        if reply.status == 416:
            return error_reply(
                416,
                "RANGE_NOT_SATISFIABLE",
                "The file ends before that.",
                ("Content-Range", f"bytes */{status.st_size}"),
            )
        reply.headers = [
            (name, with_charset(value) if name == "content-type" else value)
            for name, value in reply.headers
            if name not in self._unsent and name not in self._headers
        ]
        reply.headers += self._headers.values()
        return reply

    def _validators(self, file: str, status: os.stat_result, scope: Scope) -> tuple[str | None, str | None]:
        """What the file can be compared by: its tag, and when it was changed."""
        tag = self._files.file_response(file, status, scope).headers["etag"]
        modified = formatdate(status.st_mtime, usegmt=True)
        return (
            tag if "etag" not in self._unsent else None,
            modified if "last-modified" not in self._unsent else None,
        )

    async def _read(self, file: str, status: os.stat_result, scope: Scope) -> Reply:
        return await converse(self._files.file_response(file, status, scope), scope, b"", self._tasks, to_end=True)


def _sent(settings: AssetSettings) -> dict[str, bool]:
    return {"etag": settings.etag, "last-modified": settings.last_modified}


def _drop(scope: Scope, names: Collection[bytes]) -> None:
    """Leave headers of the request out."""
    scope["headers"] = [line for line in scope["headers"] if line[0] not in names]
