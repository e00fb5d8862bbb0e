"""Request: what it gives, and when it decodes it."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BadRequestError, PayloadTooLarge, UnsupportedMediaTypeError
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.messages.message import Reply, Request


def test_a_request_has_its_parts() -> None:
    request = Request.build("POST", "/a%20b?c=d&c=e", [("Host", "h")], b"x", client="1.2.3.4", scheme="https")

    assert ("POST", "/a%20b?c=d&c=e", "/a b", "c=d&c=e") == (
        request.method,
        request.target,
        request.path,
        request.query_string,
    )
    assert {"c": ["d", "e"]} == request.query
    assert (b"x", "1.2.3.4", "https", "1.1", "") == (
        request.body,
        request.client,
        request.scheme,
        request.http_version,
        request.id,
    )


def test_only_get_and_head_end_with_their_client() -> None:
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    assert ["GET", "HEAD"] == [method for method in methods if Request.build(method).cancellable]


def test_headers_are_found_in_any_case() -> None:
    request = Request.build(
        headers=[("X-Tag", " a "), ("Other", "x"), ("x-tag", "b"), ("Cookie", "a=1"), ("Cookie", "b=2"), ("Empty", "")]
    )

    assert "a, b" == request.header("X-TAG") == request.headers["x-Tag"] == request.headers.get("x-tag")
    assert "x" == request.header("other") == request.headers["OTHER"]
    assert "" == request.header("empty") == request.headers["empty"]
    assert None is request.header("tag") is request.headers.get("tag")
    assert "X-Tag" in request.headers
    assert "tag" not in request.headers
    assert 5 not in request.headers
    assert ["x-tag", "other", "cookie", "empty"] == list(request.headers)
    assert 4 == len(request.headers)
    assert ["a", "b"] == request.headers.getlist("X-tag")
    assert ("X-Tag", "a") == request.headers.pairs[0]
    assert {"a": "1", "b": "2"} == request.cookies
    with pytest.raises(KeyError):
        _ = request.headers["tag"]


def test_a_header_is_not_found_in_another_ones_value() -> None:
    request = Request.build(headers=[("A", "Host: x"), ("B", "\tc:d ")])

    assert None is request.header("host")
    assert "c:d" == request.header("b") == request.headers["B"]


def test_a_request_without_headers() -> None:
    request = Request.build()

    assert {} == dict(request.headers)
    assert ("", "", "utf-8") == (request.content_type, request.mimetype, request.charset)
    assert {} == request.cookies == request.query == request.form


def test_a_header_with_a_line_end_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="line end"):
        Request.build(headers=[("A", "b\r\nC: d")])


@pytest.mark.parametrize("target", ["/\r\n", "/a b", "/é", "/\x00"])
def test_a_target_that_could_not_be_sent_cannot_be_built(target: str) -> None:
    with pytest.raises(ValueError, match="visible ASCII"):
        Request.build("GET", target)


def test_an_invalid_path_cannot_be_built() -> None:
    with pytest.raises(BadRequestError):
        Request.build("GET", "/..")


token = st.text("abcXYZ019-_", min_size=1, max_size=5)
value = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, blacklist_categories=("Cc",)), max_size=8)


@given(st.lists(st.tuples(token, value), max_size=8))
def test_both_ways_to_a_header_agree(pairs: list[tuple[str, str]]) -> None:
    request = Request.build(headers=pairs)

    assert {name.lower() for name, _ in pairs} == set(request.headers)
    assert [(name, text.strip(" \t")) for name, text in pairs] == list(request.headers.pairs)
    for name in ["a", "x-0", *(name for name, _ in pairs)]:
        lines = [text.strip(" \t") for other, text in pairs if other.lower() == name.lower()]
        assert lines == request.headers.getlist(name)
        assert (", ".join(lines) if lines else None) == request.headers.get(name) == request.header(name)
        assert bool(lines) == (name in request.headers)
    assert len(request.headers) == len(set(request.headers))


def test_what_is_no_name_is_not_found_in_a_value() -> None:
    request = Request.build(headers=[("A", "b: c")])

    for name in ("a:b", "a: b", "", "\na", ":"):
        assert None is request.headers.get(name) is request.header(name)
        assert name not in request.headers
        with pytest.raises(KeyError):
            request.headers[name]


def test_lower_case_keeps_every_place() -> None:
    """The search is done in one text and the cut in the other."""
    everything = "".join(map(chr, range(0x100)))

    assert len(everything) == len(everything.lower())
    assert all(len(char.lower()) == 1 for char in everything)


def test_the_content_type_is_taken_apart() -> None:
    request = Request.build(headers=[("Content-Type", "Application/JSON; Charset=UTF-8")])

    assert ("Application/JSON; Charset=UTF-8", "application/json", "utf-8") == (
        request.content_type,
        request.mimetype,
        request.charset,
    )


def test_json_is_decoded_once_and_its_errors_each_time() -> None:
    request = Request.build("POST", body=b'{"a": [1]}')
    assert {"a": [1]} == request.json
    assert request.json is request.json
    nothing = Request.build("POST", body=b"null")
    assert None is nothing.json is nothing.json

    broken = Request.build("POST", body=b"{")
    for _ in range(2):
        with pytest.raises(BadRequestError):
            _ = broken.json


def test_a_form_is_read_as_a_query_is() -> None:
    form = [("Content-Type", "application/x-www-form-urlencoded; charset=iso-8859-1")]

    assert {"a": {"b": "c d"}, "é": "1"} == Request.build("POST", "/", form, b"a[b]=c+d&\xe9=1").form


def test_the_limits_of_the_request_are_those_of_its_server() -> None:
    limits = HttpLimits(pairs_max=1, json_depth_max=1, body_bytes_max=10)

    with pytest.raises(BadRequestError):
        _ = Request.build("GET", "/?a&b", limits=limits).query
    with pytest.raises(BadRequestError):
        _ = Request.build("POST", body=b"a&b", limits=limits).form
    with pytest.raises(BadRequestError):
        _ = Request.build("POST", body=b"[[]]", limits=limits).json
    gzipped = [("Content-Encoding", "gzip")]
    with pytest.raises(PayloadTooLarge):
        _ = Request.build("POST", "/", gzipped, gzip.compress(b"a" * 11), limits=limits).body


def test_a_body_is_inflated_when_it_is_asked_for() -> None:
    gzipped = [("Content-Encoding", "gzip")]
    request = Request.build("POST", "/", gzipped, gzip.compress(b'{"a":1}'))

    assert b'{"a":1}' == request.body
    assert {"a": 1} == request.json
    assert b"" == Request.build("POST", "/", gzipped).body
    ignored = Request.build("POST", "/", [("Content-Encoding", "zstd")], b"x")
    assert b"x" == ignored.raw_body
    with pytest.raises(UnsupportedMediaTypeError):
        _ = ignored.body


def test_a_request_does_not_show_its_secrets() -> None:
    request = Request.build("GET", "/a?token=secret", [("Authorization", "secret")], b"secret")

    assert "<Request GET /a>" == repr(request)
    assert "Headers(authorization)" == repr(request.headers)


def test_the_gateway_may_keep_things_with_a_request() -> None:
    request = Request.build()
    request.locals["a"] = 1

    assert {"a": 1} == request.locals
    assert {} == Request.build().locals


def test_replies_do_not_share_their_headers() -> None:
    Reply().headers.append(("A", "b"))

    assert [] == Reply().headers
