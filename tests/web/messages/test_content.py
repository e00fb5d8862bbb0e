"""Bodies: inflated, decoded, refused (reliability reference, section 5.1)."""

from __future__ import annotations

import gzip
import json
import sys
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError
from tautomer.web.messages import content
from tautomer.web.messages.content import charset_of, decode_json, decode_text, inflate
from tautomer.web.messages.cookies import parse_cookies


def raw_deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return squeeze.compress(data) + squeeze.flush()


@given(st.binary(max_size=500))
def test_what_was_compressed_comes_out(data: bytes) -> None:
    assert data == inflate(gzip.compress(data), "gzip", 1000)
    assert data == inflate(gzip.compress(data), "X-GZIP", 1000)
    assert data * 2 == inflate(gzip.compress(data) * 2, " gzip ", 1000)
    assert data == inflate(zlib.compress(data), "deflate", 1000)
    assert data == inflate(raw_deflate(data), "Deflate", 1000)
    assert data == inflate(data, "identity", 1000)
    assert data == inflate(gzip.compress(data), "gzip", 0)


@pytest.mark.parametrize("encoding", ["zstd", "gzip, gzip", "gzip, identity", "compress", "*"])
def test_an_encoding_that_is_not_known_is_415(encoding: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        inflate(b"", encoding, 100)

    assert (415, "UNSUPPORTED_ENCODING") == (caught.value.code, caught.value.type)


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "gzip"),
        (b"not gzip", "gzip"),
        (gzip.compress(b"hello", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"hello", mtime=0)[:-8] + b"\0" * 8, "gzip"),
        (gzip.compress(b"hello", mtime=0) + b"x", "gzip"),
        (gzip.compress(b"", mtime=0) * 10_000, "gzip"),
        (b"\xff\xff", "deflate"),
        (zlib.compress(b"hello")[:-1], "deflate"),
        (zlib.compress(b"hello") + b"x", "deflate"),
        (raw_deflate(b"hello") * 2, "deflate"),
    ],
    ids=range(10),
)
def test_what_is_broken_is_400(data: bytes, encoding: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        inflate(data, encoding, 100)

    assert (400, "INVALID_BODY") == (caught.value.code, caught.value.type)


@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress, raw_deflate])
def test_a_bomb_is_413_before_it_is_all_there(squeeze: object) -> None:
    assert callable(squeeze)
    encoding = "gzip" if squeeze is gzip.compress else "deflate"
    bomb = squeeze(b"\0" * 20_000_000)

    start = time.process_time()
    with pytest.raises(PayloadTooLarge):
        inflate(bomb, encoding, 1_000_000)
    assert time.process_time() - start < 0.5


def test_the_limit_is_a_limit_and_not_one_less() -> None:
    assert b"a" * 100 == inflate(gzip.compress(b"a" * 100), "gzip", 100)
    assert b"a" * 100 == inflate(gzip.compress(b"a" * 60) + gzip.compress(b"a" * 40), "gzip", 100)
    with pytest.raises(PayloadTooLarge):
        inflate(gzip.compress(b"a" * 101), "gzip", 100)
    with pytest.raises(PayloadTooLarge):
        inflate(gzip.compress(b"a" * 60) + gzip.compress(b"a" * 41), "gzip", 100)


INVALID = [
    b"", b" ", b"{", b"[1,", b'{"a":}', b"[1,]", b"{} x", b"[1] [2]", b"{}\0", b"'a'", b"{'a': 1}", b"{} // no", b"/**/{}",
    b"NaN", b"[NaN]", b"Infinity", b"-Infinity", b"01", b"+1", b".5", b"1.", b"0x1", b"1e999", b"-1e999", b"[1e400]",
    b"1" * 4301, b"-" + b"1" * 4301, b'"\\ud800"', b'"\\udc00\\ud800"', b'{"\\ud800": 1}', b'"\xff"', b'"\xed\xa0\x80"',
    b'"\xc0\xaf"', b'"\x01"', b'"a\nb"', b'"\\x41"', b"tru", b"\xff\xfe{\0}\0", '{"a":1}'.encode("utf-16"),
    '{"a":1}'.encode("utf-16-le"), '{"a":1}'.encode("utf-32"), b"\xa0{}", b"\x0b{}", b"\xef\xbb\xbf", b"undefined",
]  # fmt: skip


@pytest.mark.parametrize("data", INVALID, ids=lambda data: ascii(data)[:20])
def test_what_is_no_json_is_400(data: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_json(data)

    assert (400, "INVALID_BODY") == (caught.value.code, caught.value.type)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' {"a": [1, 2.5, null, true, "\\u00e9"]} ', {"a": [1, 2.5, None, True, "é"]}),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"__proto__":{"x":1},"__class__":2}', {"__proto__": {"x": 1}, "__class__": 2}),
        (b"\xef\xbb\xbf{}", {}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"1" * 4300, int("1" * 4300)),
        (b"1e-999", 0.0),
        (b"null", None),
        (b"5", 5),
    ],
)
def test_what_is_json_is_its_value(data: bytes, value: object) -> None:
    assert value == decode_json(data)


@pytest.mark.parametrize("nested", [("[", "]"), ('{"a":', "}"), ('{"]]":[', "]}"), ('[{},"[[",{"a":', "}]")])
def test_depth_has_a_limit(nested: tuple[str, str]) -> None:
    opening, closing = nested
    levels = opening.count("[") - opening.count('"[[') * 2 + opening.count("{") - opening.count("{}")
    times = 64 // levels

    def document(times: int) -> bytes:
        return (opening * times + "1" + closing * times).encode()

    decode_json(document(times))
    for deeper in (times + 1, 500, 100_000):
        with pytest.raises(BadRequestError) as caught:
            decode_json(document(deeper))
        assert (400, "TOO_DEEP") == (caught.value.code, caught.value.type)


def test_brackets_side_by_side_and_in_strings_are_not_depth() -> None:
    assert 5000 == len(decode_json(b"[" + b",".join([b'["[[[{{{\\"[[["]'] * 5000) + b"]"))  # type: ignore[arg-type]


def test_the_depth_may_be_set_and_turned_off() -> None:
    with pytest.raises(BadRequestError):
        decode_json(b"[[1]]", depth_max=1)

    assert decode_json(b"[" * 100 + b"]" * 100, depth_max=0)


@pytest.mark.parametrize(
    "data", [b"[" * 500_000 + b"]" * 500_000, b"[" + b"[]," * 340_000 + b"[]]", b'{"a":' * 200_000]
)
def test_a_hostile_megabyte_does_not_hold_up_the_loop(data: bytes) -> None:
    start = time.process_time()
    try:
        decode_json(data)
    except BadRequestError:
        pass

    assert time.process_time() - start < 1.0


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "nonsense"])
def test_json_in_another_charset_is_415(charset: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        decode_json(b"{}", charset)

    assert (415, "UNSUPPORTED_TYPE") == (caught.value.code, caught.value.type)


@pytest.mark.slow
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")), st.lists))
def test_json_of_others_is_read(value: object) -> None:
    assert value == decode_json(json.dumps(value, ensure_ascii=False).encode())


@given(st.binary())
def test_any_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        value = decode_json(data)
    except BadRequestError:
        return

    assert value == json.loads(data)


@pytest.mark.parametrize(
    ("content_type", "charset"),
    [
        ("", "utf-8"),
        ("text/plain", "utf-8"),
        ("text/plain; charset=ISO-8859-1", "iso-8859-1"),
        ('text/plain;charset="utf-16"; x=y', "utf-16"),
        ("text/plain; x=y ; Charset = utf-8", "utf-8"),
        ("text/plain; charset=", "utf-8"),
    ],
)
def test_the_charset_of_a_content_type(content_type: str, charset: str) -> None:
    assert charset == charset_of(content_type)


@pytest.mark.parametrize("charset", ["utf-8", "UTF8", "iso-8859-1", "windows-1252", "utf-16", "utf-16le", "us-ascii"])
def test_text_is_decoded_by_its_charset(charset: str) -> None:
    assert "hello" == decode_text("hello".encode(charset), charset)


@pytest.mark.parametrize("charset", ["rot13", "zlib", "idna", "unicode_escape", "utf-7", "os", "../x", "a" * 1000])
def test_an_unknown_charset_is_415_and_imports_nothing(charset: str) -> None:
    before = set(sys.modules)
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        decode_text(b"hello", charset)

    assert (415, "UNSUPPORTED_TYPE") == (caught.value.code, caught.value.type)
    assert before == set(sys.modules)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (rb'{"a":"\ud800"}', True),
        (rb'"\uDC00"', True),
        (rb'"\ud83d\ude00\ude00"', True),
        (rb'"\ud83d\ude00" x', False),
        (rb'"\\ud800" x', False),
    ],
)
def test_half_of_a_surrogate_pair_is_told_as_that(data: bytes, told: bool) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_json(data)

    assert told == (caught.value.data == {"reason": "a text holds half of a surrogate pair"})


@pytest.mark.parametrize(("data", "charset"), [(b"\xff", "utf-8"), (b"\xed\xa0\x80", "utf-8"), (b"\x80", "ascii")])
def test_text_that_is_not_of_its_charset_is_400(data: bytes, charset: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_text(data, charset)

    assert "INVALID_BODY" == caught.value.type


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b; c=d;e=f ;", {"a": "b", "c": "d", "e": "f"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=1; a=2", {"a": "2"}),
        ('a="b c"', {"a": "b c"}),
        ('a="\\"\\\\\\054\\303"', {"a": '"\\,Ã'}),
        ('a="', {"a": '"'}),
        ("a=", {"a": ""}),
        ("a; =b; ; c=d", {"c": "d"}),
        ("$Version=1; a=b", {"$Version": "1", "a": "b"}),
    ],
)
def test_cookies(header: str, cookies: dict[str, str]) -> None:
    assert cookies == parse_cookies(header)


def test_brotli_is_unpacked_under_the_bound_where_it_is_installed() -> None:
    brotli = pytest.importorskip("brotli")
    packed = brotli.compress(b"x" * 1_000_000)

    assert b"x" * 1_000_000 == inflate(packed, "br", 1_000_000)
    with pytest.raises(PayloadTooLarge):
        inflate(packed, "br", 999_999)
    for broken in (packed[:-2], packed + b"x", b"noise", b""):
        with pytest.raises(BadRequestError) as raised:
            inflate(broken, "br", 0)
        assert "INVALID_BODY" == raised.value.type


def test_without_brotli_it_is_an_encoding_that_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(content, "_HAS_BROTLI", False)

    with pytest.raises(UnsupportedMediaTypeError) as raised:
        inflate(b"x", "br", 0)

    assert "UNSUPPORTED_ENCODING" == raised.value.type
