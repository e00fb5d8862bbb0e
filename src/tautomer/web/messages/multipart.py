"""Multipart forms (RFC 7578): bytes in, in any pieces; fields and files out, under limits.

`python-multipart` finds the parts. What it leaves open is decided here: what a part is, how much there may be of
everything, and that a form which is cut short is none (reliability reference, section 5.1).
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from tautomer.errors import BadRequestError, BrokerOptionsError, PayloadTooLarge
from tautomer.web.messages.content import charset_of, decode_text
from tautomer.web.messages.file_name import clean_file_name
from tautomer.web.messages.limits import DEFAULT_UPLOAD_LIMITS, UploadLimits

try:
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header
except ModuleNotFoundError as error:
    raise BrokerOptionsError(f"multipart forms need '{error.name}': pip install 'tautomer[web]'") from error

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

__all__ = ["FILE_END", "Field", "FilePart", "FormEvent", "FormFile", "MultipartReader", "read_form"]

# RFC 2046 section 5.1.1.
_BOUNDARY_BYTES_MAX: Final = 70
# What may stand before the first part and after the last.
_PADDING_BYTES_MAX: Final = 64 * 1024
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,100}"
_MIMETYPE = re.compile(f"{_TOKEN}/{_TOKEN}")
_ENCODING = re.compile(_TOKEN)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BYTES_TYPE: Final = "application/octet-stream"
# A form in memory is bounded as a whole.
_WHOLE = UploadLimits(file_bytes_max=0)
# What the parser logs is told to the client, and else nobody's business.
_SILENT = logging.Logger("multipart", logging.CRITICAL + 1)


class FilePart(msgspec.Struct, frozen=True):
    """A file begins; its bytes follow.

    Attributes:
        fieldname: Name of the form's field.
        filename: Cleaned, see `clean_file_name`.
        encoding: `Content-Transfer-Encoding` as told; nothing is decoded.
        mimetype: As told, in lower case, without parameters.
    """

    fieldname: str
    filename: str
    encoding: str
    mimetype: str


class Field(msgspec.Struct, frozen=True):
    """A text field, whole."""

    name: str
    value: str


class _FileEnd:
    def __repr__(self) -> str:
        return "FILE_END"


FILE_END: Final = _FileEnd()
"""The file that was begun is whole."""

FormEvent: TypeAlias = "Field | FilePart | bytes | _FileEnd"
"""What is found in a form, in its order. Bytes are some of the file that was begun last."""


class FormFile(dict[str, Any]):
    """One file of a form that was read whole: ``{"filename", "content_type", "size", "data"}``."""


class MultipartReader:
    """Finds fields and files in a form.

    Holds one text field at a time and the headers of one part, both bounded; nothing of a file.

    Args:
        content_type: The request's header, which names the boundary.

    Raises:
        BadRequestError: `INVALID_BODY`, the content type is not ``multipart/form-data`` or has no fit boundary.

    Attributes:
        ended: Whether the last boundary has come.
    """

    def __init__(self, content_type: str, limits: UploadLimits = DEFAULT_UPLOAD_LIMITS) -> None:
        self._limits = limits
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        boundary = _boundary(content_type)
        self._parser = MultipartParser(boundary, callbacks)
        self._parser.logger = _SILENT
        self._delimiter = b"--" + boundary
        # What has come before the first boundary; None once that is there.
        self._preamble: bytearray | None = bytearray()
        self._skipped = False
        self._events: list[FormEvent] = []
        self._parts = self._files = self._fields = 0
        self._padding = 0
        self._field_bytes_left = limits.field_bytes_max or sys.maxsize
        self.ended = False
        self._begin_part()

    def _begin_part(self) -> None:
        self._name = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._file: FilePart | None = None
        self._file_bytes_left = self._limits.file_bytes_max or sys.maxsize
        self._field_name = ""
        self._field_charset = "utf-8"
        self._field_value = bytearray()

    def feed(self, data: bytes) -> list[FormEvent]:
        """Take some bytes; return what was found in them.

        Raises:
            BadRequestError: `INVALID_BODY`. The reader must not be fed again after any error.
            PayloadTooLarge: Over a limit; `data` names the part, as far as it is known.
            UnsupportedMediaTypeError: A text field's charset is not known.
        """
        if self.ended:
            self._padding += len(data)
            self._check_padding(self._padding)
        if self._preamble is not None:
            data = self._after_preamble(self._preamble, data)
        try:
            self._parser.write(data)
        except FormParserError:
            raise _broken("the form's parts are malformed") from None
        found, self._events = self._events, []
        return found

    def _after_preamble(self, preamble: bytearray, data: bytes) -> bytes:
        """What is left when all before the first boundary is thrown away (RFC 2046 section 5.1.1); nothing until that comes."""
        seen = len(preamble)
        preamble += data
        begin = 0
        if not preamble.startswith(self._delimiter):
            # A boundary stands at the beginning of a line.
            begin = preamble.find(b"\r\n" + self._delimiter, max(0, seen - len(self._delimiter) - 1)) + 2
        found = begin != 1
        self._check_padding(begin if found else len(preamble))
        if not found:
            return b""
        self._preamble = None
        self._skipped = bool(preamble[:begin].strip())
        return bytes(preamble[begin:])

    def _check_padding(self, count: int) -> None:
        if count > _PADDING_BYTES_MAX:
            raise _broken("there is too much before the first part of the form, or after its last")

    def close(self) -> None:
        """No more will come.

        Raises:
            BadRequestError: `INVALID_BODY`, the form is cut short, or all of it stands before its boundary.
        """
        if not self.ended:
            raise _broken("the form has no end")
        if self._skipped and not self._parts:
            raise _broken("the form has no part between its boundaries")

    # What the parser calls.

    def _on_part_begin(self) -> None:
        self._begin_part()
        self._parts += 1
        self._bound(self._parts, self._limits.parts_max, "parts")

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header(end - start)
        self._value += data[start:end]

    def _count_header(self, count: int) -> None:
        self._header_bytes += count
        self._bound(self._header_bytes, self._limits.part_header_bytes_max, "bytes of headers in a part")

    def _on_header_end(self) -> None:
        name = bytes(self._name).lower()
        if name in self._headers:
            raise _broken("a part has a header twice")
        self._headers[name] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        kind, given = _options(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in given:
            raise _broken("a part has no name")
        self._bound(len(given[b"name"]), self._limits.field_name_bytes_max, "bytes of a field's name")
        name = _text(given[b"name"])
        if _CONTROL.search(name):
            raise _broken("the name of a field holds control characters")
        content_type = self._headers.get(b"content-type", b"").decode("latin-1")
        mimetype = content_type.partition(";")[0].strip().lower()
        # As moleculer-web's parser: bytes are a file, whether it has a name or not.
        if b"filename" in given or mimetype == _BYTES_TYPE:
            self._begin_file(name, _text(given.get(b"filename", b"")), mimetype)
        else:
            self._fields += 1
            self._bound(self._fields, self._limits.fields_max, "fields")
            self._field_name = name
            self._field_charset = charset_of(content_type)

    def _begin_file(self, name: str, filename: str, mimetype: str) -> None:
        encoding = self._headers.get(b"content-transfer-encoding", b"").decode("latin-1").strip().lower()
        self._file = FilePart(
            name,
            clean_file_name(filename),
            encoding if _ENCODING.fullmatch(encoding) else "7bit",
            mimetype if _MIMETYPE.fullmatch(mimetype) else (_BYTES_TYPE if mimetype else "text/plain"),
        )
        self._files += 1
        self._bound(self._files, self._limits.files_max, "files")
        self._events.append(self._file)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file_bytes_left -= end - start
            if self._file_bytes_left < 0:
                raise PayloadTooLarge(msgspec.structs.asdict(self._file))
            self._events.append(data[start:end])
            return
        self._field_bytes_left -= end - start
        if self._field_bytes_left < 0:
            raise PayloadTooLarge(
                {
                    "fieldname": self._field_name,
                    "reason": f"more than {self._limits.field_bytes_max} bytes in the form's text fields",
                }
            )
        self._field_value += data[start:end]

    def _on_part_end(self) -> None:
        if self._file is not None:
            self._events.append(FILE_END)
        else:
            self._events.append(Field(self._field_name, decode_text(bytes(self._field_value), self._field_charset)))
        # A part that has ended holds nothing, also when the next one is long in coming.
        self._field_value = bytearray()

    def _on_end(self) -> None:
        self.ended = True

    def _bound(self, count: int, most: int, what: str) -> None:
        if most and count > most:
            part = {} if self._file is None else msgspec.structs.asdict(self._file)
            raise PayloadTooLarge({**part, "reason": f"more than {most} {what}"})


def read_form(
    content_type: str, body: bytes, limits: UploadLimits = _WHOLE
) -> tuple[dict[str, str], dict[str, FormFile]]:
    """Fields and files of a form that is in memory, by name; of equal names the last counts. A file may be as long as it is.

    Raises:
        As `MultipartReader`.
    """
    reader = MultipartReader(content_type, limits)
    fields: dict[str, str] = {}
    files: dict[str, FormFile] = {}
    pieces: list[bytes] = []
    part: FilePart | None = None
    for event in reader.feed(body):
        if isinstance(event, bytes):
            pieces.append(event)
        elif isinstance(event, Field):
            fields[event.name] = event.value
        elif isinstance(event, FilePart):
            part, pieces = event, []
        else:
            assert part is not None
            data = b"".join(pieces)
            files[part.fieldname] = FormFile(
                filename=part.filename, content_type=part.mimetype, size=len(data), data=data
            )
    reader.close()
    return fields, files


def _boundary(content_type: str) -> bytes:
    kind, given = _options(content_type.encode("latin-1", "replace"))
    if kind != b"multipart/form-data":
        raise _broken("its Content-Type is not multipart/form-data")
    boundary = given.get(b"boundary", b"")
    if not 0 < len(boundary) <= _BOUNDARY_BYTES_MAX:
        raise _broken(f"its Content-Type names no boundary of 1 to {_BOUNDARY_BYTES_MAX} characters")
    return boundary


def _options(header: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    try:
        value, options = parse_options_header(header)
    except (ValueError, IndexError):
        return b"", {}
    # Early versions of the parser leave the case as it was sent.
    return value.lower(), {name.lower(): one for name, one in options.items()}


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise _broken("a name in the form is not UTF-8") from None


def _broken(reason: str) -> BadRequestError:
    return BadRequestError("INVALID_BODY", {"reason": reason})
