"""Multipart forms: what is found in them, however they are cut, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BadRequestError, MoleculerError, PayloadTooLarge, UnsupportedMediaTypeError
from tautomer.web.messages.limits import UploadLimits
from tautomer.web.messages.multipart import FILE_END, Field, FilePart, MultipartReader, read_form

TYPE = "multipart/form-data; boundary=B"


def part(headers: str | bytes, value: bytes = b"", boundary: bytes = b"B") -> bytes:
    raw = headers if isinstance(headers, bytes) else headers.encode()
    return b"--" + boundary + b"\r\n" + raw + b"\r\n\r\n" + value + b"\r\n"


def field(name: str, value: bytes = b"") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value)


def file(name: str = "f", filename: str = "x.txt", value: bytes = b"", kind: str = "text/css") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: {kind}', value)


END = b"--B--\r\n"


def read(body: bytes, cuts: list[int] = [], limits: UploadLimits | None = None) -> list[Any]:  # noqa: B006  # Never changed.
    """Events of a body that comes cut at these places; the pieces of a file are put together."""
    reader = MultipartReader(TYPE, limits or UploadLimits())
    found: list[Any] = []
    cuts = sorted(cuts)
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        for event in reader.feed(body[start:end]):
            if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
                found[-1] += event
            else:
                found.append(event)
    reader.close()
    return found


FORM = (
    field("title", "A tïtle 🎉".encode())
    + file(value=b"one\r\n--\r\n--b\r\n--Bx\r\n-")
    + field("", b"")
    + file("g", "C:\\y.bin", b"\x00\xff" * 10 + b"\r", "application/octet-stream")
    + part("content-disposition: FORM-DATA; Name=last", b"\r\n-\r\n--\r\n")
    + END
)
FOUND = [
    Field("title", "A tïtle 🎉"),
    FilePart("f", "x.txt", "7bit", "text/css"),
    b"one\r\n--\r\n--b\r\n--Bx\r\n-",
    FILE_END,
    Field("", ""),
    FilePart("g", "y.bin", "7bit", "application/octet-stream"),
    b"\x00\xff" * 10 + b"\r",
    FILE_END,
    Field("last", "\r\n-\r\n--\r\n"),
]


def test_fields_and_files_come_in_their_order() -> None:
    assert FOUND == read(FORM)


@given(st.lists(st.integers(0, len(FORM)), max_size=12))
def test_however_the_bytes_are_cut_the_parts_are_the_same(cuts: list[int]) -> None:
    assert FOUND == read(FORM, cuts)


def test_byte_by_byte_it_is_the_same() -> None:
    assert FOUND == read(FORM, list(range(len(FORM))))


values = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"--B", b"\r\n--", b"B", b"x"]), max_size=12
).map(b"".join)


@given(st.data(), st.lists(values, max_size=5))
def test_any_bytes_in_a_file_come_out_as_they_were(data: st.DataObject, contents: list[bytes]) -> None:
    boundary = b"tautomer-boundary-that-no-content-has"
    body = b"".join(part(b'Content-Disposition: form-data; name="f"; filename="x"', one, boundary) for one in contents)
    body += b"--" + boundary + b"--\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reader = MultipartReader(f'multipart/form-data; boundary="{boundary.decode()}"')

    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        for event in reader.feed(body[start:end]):
            if isinstance(event, FilePart):
                found.append(b"")
            elif isinstance(event, bytes):
                found[-1] += event
    reader.close()

    assert contents == found


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_noise_is_refused_or_empty_and_never_anything_else(noise: bytes, cuts: list[int]) -> None:
    with suppress(BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError):
        read(noise, [min(cut, len(noise)) for cut in cuts])


LONG = UploadLimits(
    file_bytes_max=10,
    files_max=2,
    fields_max=2,
    parts_max=3,
    field_bytes_max=8,
    field_name_bytes_max=5,
    part_header_bytes_max=200,
)

HOSTILE: list[tuple[str, bytes, int, str]] = [
    ("nothing", b"", 400, "INVALID_BODY"),
    ("no form at all", b"{}", 400, "INVALID_BODY"),
    ("another boundary", part("Content-Disposition: form-data; name=a", b"", b"C") + END, 400, "INVALID_BODY"),
    ("no end", field("a", b"1"), 400, "INVALID_BODY"),
    ("cut in a field", field("a", b"1")[:-4], 400, "INVALID_BODY"),
    ("cut in a file", file(value=b"12345")[:-4], 400, "INVALID_BODY"),
    ("cut in headers", file()[:30], 400, "INVALID_BODY"),
    ("cut in the last boundary", field("a") + END[:-3], 400, "INVALID_BODY"),
    ("a part without headers", part(""), 400, "INVALID_BODY"),
    ("a part without disposition", part("Content-Type: text/css", b"1") + END, 400, "INVALID_BODY"),
    ("a part without name", part("Content-Disposition: form-data", b"1") + END, 400, "INVALID_BODY"),
    ("an attachment", part('Content-Disposition: attachment; name="a"', b"1") + END, 400, "INVALID_BODY"),
    (
        "two dispositions",
        part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b", b"1") + END,
        400,
        "INVALID_BODY",
    ),
    (
        "a name in another charset",
        part(b'Content-Disposition: form-data; name="\xff"') + END,
        400,
        "INVALID_BODY",
    ),
    (
        "a file name in another charset",
        part(b'Content-Disposition: form-data; name="f"; filename="\xff"') + END,
        400,
        "INVALID_BODY",
    ),
    ("a control character in a name", field("a\x00b") + END, 400, "INVALID_BODY"),
    ("a line end in a name", field("a\nb") + END, 400, "INVALID_BODY"),
    ("a bad header", part("Content Disposition: form-data; name=a") + END, 400, "INVALID_BODY"),
    ("a header without colon", part("nonsense") + END, 400, "INVALID_BODY"),
    ("a field that is not UTF-8", field("a", b"\xff") + END, 400, "INVALID_BODY"),
    (
        "a charset that is not known",
        part("Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=klingon", b"1") + END,
        415,
        "UNSUPPORTED_TYPE",
    ),
    ("a long file", file(value=b"x" * 11) + END, 413, "PAYLOAD_TOO_LARGE"),
    ("many files", file() * 3 + END, 413, "PAYLOAD_TOO_LARGE"),
    ("many fields", field("a") * 3 + END, 413, "PAYLOAD_TOO_LARGE"),
    ("many parts", file() * 2 + field("a") * 2 + END, 413, "PAYLOAD_TOO_LARGE"),
    ("a long field", field("a", b"x" * 9) + END, 413, "PAYLOAD_TOO_LARGE"),
    ("long fields together", field("a", b"x" * 5) * 2 + END, 413, "PAYLOAD_TOO_LARGE"),
    ("a long name", field("abcdef") + END, 413, "PAYLOAD_TOO_LARGE"),
    ("long headers", part("Content-Disposition: form-data; name=a\r\nX: " + "x" * 200) + END, 413, "PAYLOAD_TOO_LARGE"),
    ("a long preamble", b"\r\n" * 40_000 + field("a") + END, 400, "INVALID_BODY"),
    ("a long epilogue", field("a") + END + b"x" * 70_000, 400, "INVALID_BODY"),
]


@pytest.mark.parametrize(("body", "code", "kind"), [one[1:] for one in HOSTILE], ids=[one[0] for one in HOSTILE])
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_a_hostile_form_is_refused(body: bytes, code: int, kind: str, step: int) -> None:
    with pytest.raises(MoleculerError) as raised:
        read(body, list(range(0, len(body), max(step, len(body) // 5_000))), LONG)

    assert (code, kind) == (raised.value.code, raised.value.type)


@pytest.mark.parametrize(
    "preamble", [b"", b"\r\n", b"This is MIME.\r\n", b"--\r\n", b"-\r\n\r\n--b\r\nx --B\r\n", b"x" * 60_000 + b"\r\n"]
)
@pytest.mark.parametrize("epilogue", [b"", b"after", b"\r\n--B\r\nafter"])
@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_what_stands_around_the_parts_is_nothing(preamble: bytes, epilogue: bytes, step: int) -> None:
    body = preamble + field("a", b"1") + END + epilogue
    cuts = list(range(0, len(body), max(step, len(body) // 1_000)))

    assert [Field("a", "1")] == read(body, cuts)


def test_who_sends_too_long_a_file_is_told_which() -> None:
    with pytest.raises(PayloadTooLarge) as raised:
        read(file("photo", "../a.png", b"x" * 11, "image/png") + END, limits=LONG)

    told = {"fieldname": "photo", "filename": "a.png", "encoding": "7bit", "mimetype": "image/png"}
    assert told == raised.value.data


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/mixed; boundary=B",
        "application/json; boundary=B",
        "multipart/form-data; charset=utf-8",
    ],
)
def test_a_content_type_that_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequestError) as raised:
        MultipartReader(content_type)

    assert "INVALID_BODY" == raised.value.type


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("Content-Type: Image/PNG; x=1", ("7bit", "image/png")),
        ("Content-Type: nonsense\r\nContent-Transfer-Encoding: Base64", ("base64", "application/octet-stream")),
        ("Content-Transfer-Encoding: a b", ("7bit", "text/plain")),
    ],
)
def test_what_is_told_of_a_file_is_fit_to_be_passed_on(headers: str, expected: tuple[str, str]) -> None:
    found = read(part(f"Content-Disposition: form-data; name=f; filename=x\r\n{headers}") + END)[0]

    assert expected == (found.encoding, found.mimetype)


def test_bytes_without_a_file_name_are_a_file_all_the_same() -> None:
    body = part("Content-Disposition: form-data; name=f\r\nContent-Type: application/octet-stream", b"1") + END

    assert [FilePart("f", "unnamed", "7bit", "application/octet-stream"), b"1", FILE_END] == read(body)


def test_a_field_is_read_by_its_own_charset() -> None:
    body = part("Content-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=latin1", b"\xe9") + END

    assert [Field("a", "é")] == read(body)


def test_a_form_without_parts_is_empty() -> None:
    assert [] == read(END)


def test_a_whole_form_is_fields_and_files_by_name_of_which_the_last_counts() -> None:
    body = field("a", b"1") + field("a", b"2") + file(value=b"x") + file(value=b"yz") + END

    assert (
        {"a": "2"},
        {"f": {"filename": "x.txt", "content_type": "text/css", "size": 2, "data": b"yz"}},
    ) == read_form(TYPE, body)
