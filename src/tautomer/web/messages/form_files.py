"""FormFiles: the files of a multipart form, each read while it arrives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import msgspec

from tautomer.errors import UnsupportedMediaTypeError
from tautomer.incoming import nothing
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.messages.message import Request
from tautomer.web.messages.multipart import Field, FilePart, FormEvent, MultipartReader

__all__ = ["FormFiles", "UploadedFile"]


class FormFiles:
    """The files of a form that still arrives, one at a time.

    Raises:
        BadRequestError: `INVALID_BODY`, the request is no multipart form.
        UnsupportedMediaTypeError: `UNSUPPORTED_ENCODING`, it is packed.

    Attributes:
        fields: Text fields that came so far; of equal names the last.
        error: Why the form cannot be read to its end, or None.
    """

    def __init__(self, request: Request, limits: UploadLimits) -> None:
        if (request.header("content-encoding") or "identity").strip().lower() != "identity":
            raise UnsupportedMediaTypeError("UNSUPPORTED_ENCODING", {"reason": "an upload is not packed"})
        self._reader = MultipartReader(request.content_type, limits)
        self._body: AsyncIterator[bytes] = request.incoming or nothing()
        self._found: deque[FormEvent] = deque()
        # Who was sending a file to another node may still be reading when the call is over.
        self._reading = asyncio.Lock()
        self._file: UploadedFile | None = None
        self.fields: dict[str, str] = {}
        self.error: Exception | None = None

    async def next(self) -> UploadedFile | None:
        """The next file, when it begins; what was not read of the one before is skipped. None at the form's end.

        Raises:
            BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError: As `MultipartReader`.
            Exception: What the body raises.
        """
        if self._file is not None:
            self._file.is_over = True
        async with self._reading:
            while (event := await self._event()) is not None:
                if isinstance(event, Field):
                    self.fields[event.name] = event.value
                elif isinstance(event, FilePart):
                    self._file = UploadedFile(self, event)
                    return self._file
        return None

    async def read(self, file: UploadedFile) -> bytes:
        """Some bytes of the file that was begun last.

        Raises:
            StopAsyncIteration: There are no more.
        """
        async with self._reading:
            if not file.is_over:
                event = await self._event()
                if isinstance(event, bytes):
                    return event
                file.is_over = True
            raise StopAsyncIteration

    async def _event(self) -> FormEvent | None:
        if self.error is not None:
            raise self.error
        try:
            while not self._found:
                try:
                    chunk = await anext(self._body)
                except StopAsyncIteration:
                    self._reader.close()
                    return None
                self._found.extend(self._reader.feed(chunk))
        except Exception as error:
            self.error = error
            raise
        return self._found.popleft()


class UploadedFile(AsyncIterator[bytes]):
    """One file of a form, as it arrives.

    Attributes:
        params: What an action is told of it: ``$fieldname``, ``$filename``, ``$encoding``, ``$mimetype``.
        is_over: Nothing more is to be read.
    """

    def __init__(self, files: FormFiles, part: FilePart) -> None:
        self._files = files
        self.params = {f"${name}": value for name, value in msgspec.structs.asdict(part).items()}
        self.is_over = False

    async def __anext__(self) -> bytes:
        return await self._files.read(self)

    async def aclose(self) -> None:
        self.is_over = True
