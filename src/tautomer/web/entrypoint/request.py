"""HttpRequest: a request as nameko's methods know it (entrypoints reference, section 4)."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from tautomer.context import Context
from tautomer.errors import BadRequestError, MoleculerError
from tautomer.errors import UnsupportedMediaTypeError as UnknownCharset
from tautomer.web.errors import BadRequestError as BadRequest
from tautomer.web.errors import UnsupportedMediaTypeError
from tautomer.web.messages.message import Headers, Request

__all__ = ["FileStorage", "HttpRequest", "MultiDict"]


class MultiDict(Mapping[str, Any]):
    """Names with one value or several: by itself a name stands for its first value."""

    def __init__(self, pairs: Iterable[tuple[str, Any]] = ()) -> None:
        self._values: dict[str, list[Any]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> Any:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # The values may be secrets.
        return f"MultiDict({', '.join(self)})"

    def get(self, name: str, default: Any = None, type: Callable[[Any], Any] | None = None) -> Any:
        """The first value, or `default`: also where `type` raises ValueError or TypeError for it."""
        if name not in self._values:
            return default
        value = self._values[name][0]
        if type is None:
            return value
        try:
            return type(value)
        except (ValueError, TypeError):
            return default

    def getlist(self, name: str) -> list[Any]:
        """All values of a name; an empty list where there is none."""
        return list(self._values.get(name, ()))


class FileStorage:
    """One uploaded file.

    Attributes:
        name: Of the form's field.
        filename: As the client says, cleaned: no folders, no control characters.
        content_type: As the client says.
        size: Bytes.
        stream: The content, as a file that was opened for reading.
    """

    def __init__(self, name: str, filename: str, content_type: str, data: bytes) -> None:
        self.name = name
        self.filename = filename
        self.content_type = self.mimetype = content_type
        self.size = len(data)
        self.stream = io.BytesIO(data)

    def read(self, count: int = -1) -> bytes:
        """The next bytes, all that are left by default."""
        return self.stream.read(count)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As that of a file."""
        return self.stream.seek(offset, whence)

    def save(self, destination: str | Path | io.IOBase) -> None:
        """Write what is left of it to a path, or into an open file."""
        if isinstance(destination, str | Path):
            with Path(destination).open("wb") as file:
                shutil.copyfileobj(self.stream, file)
        else:
            shutil.copyfileobj(self.stream, destination)


class HttpRequest:
    """What a method with `@http` gets. The body was read before; what nobody asks for is never decoded.

    Attributes:
        raw: The gateway's own request.
        ctx: Context of the call: ``ctx.call``, ``ctx.emit``, ``ctx.meta``, ``ctx.user``.
        path_values: Values of the path, by name.
    """

    def __init__(self, raw: Request, ctx: Context[Any], path_values: dict[str, Any]) -> None:
        self.raw = raw
        self.ctx = ctx
        self.path_values = path_values
        self._args: MultiDict | None = None
        self._form: MultiDict | None = None
        self._files: MultiDict | None = None

    def __repr__(self) -> str:
        return f"<HttpRequest {self.method} {self.path}>"

    @property
    def method(self) -> str:
        return self.raw.method

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return self.raw.path

    @property
    def query_string(self) -> str:
        return self.raw.query_string

    @property
    def scheme(self) -> str:
        return self.raw.scheme

    @property
    def host(self) -> str:
        """As the client says, with the port where that is not the usual one."""
        return self.raw.header("host") or ""

    @property
    def base_url(self) -> str:
        """Without the query."""
        return f"{self.scheme}://{self.host}{self.raw.target.partition('?')[0]}"

    @property
    def url(self) -> str:
        """With the query."""
        return f"{self.base_url}?{self.query_string}" if self.query_string else self.base_url

    @property
    def remote_addr(self) -> str:
        """Of the client; what proxies say of it counts only where the gateway trusts them."""
        return self.raw.client

    @property
    def headers(self) -> Headers:
        return self.raw.headers

    @property
    def cookies(self) -> dict[str, str]:
        return self.raw.cookies

    @property
    def content_type(self) -> str:
        return self.raw.content_type

    @property
    def mimetype(self) -> str:
        """Content type in lower case, without parameters."""
        return self.raw.mimetype

    @property
    def content_length(self) -> int:
        """Bytes of the body as it came."""
        return len(self.raw.raw_body)

    @property
    def args(self) -> MultiDict:
        """The query string.

        Raises:
            BadRequestError: It has too many fields.
        """
        if self._args is None:
            self._args = MultiDict(self._pairs(self.query_string, "utf-8"))
        return self._args

    @property
    def query(self) -> MultiDict:
        return self.args

    @property
    def form(self) -> MultiDict:
        """The fields of a form, urlencoded or multipart; empty for any other body.

        Raises:
            BadRequestError: It is broken, or has too many fields.
        """
        if self._form is None:
            if self.mimetype == "multipart/form-data":
                self._form = MultiDict(self.raw.form.items())
            elif self.mimetype == "application/x-www-form-urlencoded":
                self._form = MultiDict(self._pairs(self.raw.text, "utf-8"))
            else:
                self._form = MultiDict()
        return self._form

    @property
    def files(self) -> MultiDict:
        """`FileStorage` by field; empty for what is no multipart form.

        Raises:
            As `form`.
        """
        if self._files is None:
            self._files = MultiDict(
                (name, FileStorage(name, one["filename"], one["content_type"], one["data"]))
                for name, one in self.raw.files.items()
            )
        return self._files

    @property
    def json(self) -> Any:
        """As `get_json`."""
        return self.get_json()

    def get_json(self, force: bool = False, silent: bool = False) -> Any:
        """The body as JSON.

        Args:
            force: Whatever its content type says.
            silent: None in the place of an error.

        Raises:
            BadRequestError: It is empty, no JSON, or nested too deep.
            UnsupportedMediaTypeError: Its content type is another one.
        """
        try:
            kind = self.mimetype
            if kind and kind != "application/json" and not kind.endswith("+json") and not force:
                raise UnsupportedMediaTypeError(f"JSON is wanted, not {kind:.100}")
            if not self.raw.body:
                raise BadRequest("Request body is empty")
            try:
                return self.raw.json
            except BadRequestError as error:
                data = error.data if isinstance(error.data, Mapping) else {}
                raise BadRequest(f"Invalid JSON: {data.get('reason') or error.type or 'it cannot be read'}") from None
        except MoleculerError:
            if silent:
                return None
            raise

    def get_data(self, as_text: bool = False) -> Any:
        """The body, as bytes or as text by its charset; what is not of that charset is replaced.

        Raises:
            BadRequestError: It is packed, and broken.
            UnsupportedMediaTypeError: It is packed in a way that is not known.
        """
        if not as_text:
            return self.raw.body
        try:
            return self.raw.text
        except (BadRequestError, UnknownCharset):
            return self.raw.body.decode("utf-8", "replace")

    @property
    def data(self) -> bytes:
        return self.raw.body

    def _pairs(self, text: str, charset: str) -> list[tuple[str, str]]:
        bound = self.raw.limits.pairs_max
        if bound and text.count("&") >= bound:
            raise BadRequest(f"More than {bound} fields")
        return parse_qsl(text, keep_blank_values=True, encoding=charset, errors="replace")
