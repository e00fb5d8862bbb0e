"""What goes on to an upstream: where, and with which headers."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.commands.forwarding import answer_headers, forwarded_headers, request_headers
from tautomer.commands.header_lines import HeaderLines
from tautomer.commands.messages import ProxyRequest, query_of
from tautomer.commands.upstream.destination import AllowedHosts, destination
from tautomer.commands.upstream.errors import ProxyRefusedError
from tautomer.errors import BrokerOptionsError

# --- where ---


@pytest.mark.parametrize(
    ("url", "query", "expected"),
    [
        ("http://a", "", ("http", "a", 80, "a", "/")),
        ("HTTP://A.Example.:8080/x?y=1#z", "w=2", ("http", "a.example", 8080, "a.example.:8080", "/x?y=1&w=2")),
        ("https://a:443/x", "q", ("https", "a", 443, "a", "/x?q")),
        ("https://a:80/", "", ("https", "a", 80, "a:80", "/")),
        ("http://[::1]:81/a%2Fb", "", ("http", "::1", 81, "[::1]:81", "/a%2Fb")),
        ("http://a/caf\xe9?\xe9", "", ("http", "a", 80, "a", "/caf%C3%A9?%C3%A9")),
        ("http://a?x=//", "", ("http", "a", 80, "a", "/?x=//")),
    ],
)
def test_a_url_is_read(url: str, query: str, expected: tuple[Any, ...]) -> None:
    to = destination(url, query)

    assert expected == (to.scheme, to.host, to.port, to.authority, to.target)


@pytest.mark.parametrize(
    "url",
    [
        None,
        b"http://a/",
        "",
        "//a/x",
        "/x",
        "ftp://a/",
        "file:///etc/passwd",
        "http:/a",
        "http://",
        "http:///x",
        "http://user@a/",
        "http://a@b/",
        "http://a:b@c/",
        "http://a:99999/",
        "http://a:0/",
        "http://a:x/",
        "http://a//b",
        "http://a/../b",
        "http://a/b/..",
        "http://a/%2e%2E/b",
        "http://a/./b",
        "http://a/.%2e/b",
        "http://a\\b/",
        "http://a/\\b",
        "http://a /",
        "http://a/b c",
        "http://a/\r\nX: y",
        "http://a/\x00",
        "http://-a/",
        "http://a b/",
        "http://caf\xe9/",
        "http://[::1/",
        "http://a%2eb/",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(url: object) -> None:
    with pytest.raises(ProxyRefusedError) as raised:
        destination(url)
    assert (403, "PROXY_REFUSED") == (raised.value.code, raised.value.type)


@given(rest=st.text(max_size=40))
def test_no_path_leads_to_another_host_than_the_one_before_it(rest: str) -> None:
    """As long as the hook puts a slash in between."""
    try:
        to = destination("http://intra/" + rest)
    except ProxyRefusedError:
        return
    assert ("intra", 80) == (to.host, to.port)
    assert to.target.startswith("/")
    assert re.fullmatch(r"[\x21-\x7e]+", to.target)


@given(rest=st.text(alphabet=st.sampled_from("ab./:@?#[]%1\\\t"), max_size=20))
def test_whatever_host_is_read_others_read_the_same(rest: str) -> None:
    try:
        to = destination("http://intra" + rest)
    except ProxyRefusedError:
        return
    seen = urlsplit("http://intra" + rest)
    assert (seen.hostname or "").rstrip(".") == to.host
    assert (seen.port or 80) == to.port


# --- whether ---


def goes(allowed: list[str] | None, url: str, address: str | None = None) -> bool:
    hosts, to = AllowedHosts(allowed), destination(url)
    try:
        hosts.check_host(to)
        if address is not None:
            hosts.check_address(to, address)
    except ProxyRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("allowed", "url", "address", "expected"),
    [
        (None, "http://any", "10.0.0.1", True),
        (None, "http://any", "8.8.8.8", True),
        (None, "http://any", "169.254.169.254", False),
        (None, "http://any", "fe80::1%eth0", False),
        (None, "http://any", "::ffff:169.254.169.254", False),
        (None, "http://any", "0.0.0.0", False),
        (None, "http://any", "224.0.0.1", False),
        ([], "http://any", None, False),
        (["a"], "http://a", "10.0.0.1", True),
        (["A."], "http://a:8080", "10.0.0.1", True),
        (["a"], "http://b", None, False),
        (["a"], "http://a.b", None, False),
        (["a"], "http://xa", None, False),
        (["a:80"], "http://a", "10.0.0.1", True),
        (["a:80"], "https://a", None, False),
        (["a"], "http://a", "169.254.169.254", False),
        (["a", "169.254.169.254"], "http://a", "169.254.169.254", True),
        (["*.a"], "http://b.a", "8.8.8.8", True),
        (["*.a"], "http://b.a", "10.0.0.1", False),
        (["*.a"], "http://b.a", "127.0.0.1", False),
        (["*.a", "10.0.0.0/8"], "http://b.a", "10.0.0.1", True),
        (["*.a", "10.0.0.0/8"], "http://b.a", "8.8.8.8", False),
        (["*.a"], "http://a", None, False),
        (["*.a:81"], "http://b.a", None, False),
        (["10.0.0.0/8"], "http://10.1.2.3", "10.1.2.3", True),
        (["10.0.0.0/8"], "http://11.1.2.3", None, False),
        (["10.0.0.7"], "http://10.0.0.7", "10.0.0.7", True),
        (["fd00::7"], "http://[fd00::7]", "fd00::7", True),
        (["fd00::7"], "http://[fd00::8]", None, False),
        (["127.0.0.1"], "http://127.0.0.1:81", "127.0.0.1", True),
        (["a"], "http://a", "nonsense", False),
    ],
)
def test_who_may_be_asked(allowed: list[str] | None, url: str, address: str | None, expected: bool) -> None:
    assert expected == goes(allowed, url, address)


@pytest.mark.parametrize("entries", ["a", ["http://a"], ["a/b"], [""], [5], ["a b"], ["*"]])
def test_what_is_no_host_is_told(entries: Any) -> None:
    with pytest.raises(BrokerOptionsError, match="allowed_hosts"):
        AllowedHosts(entries)


# --- headers ---


def test_headers_are_read_and_set_by_name() -> None:
    lines = HeaderLines([("A", "1"), ("B", "2"), ("a", "3")])

    assert ("1, 3", ["1", "3"], "2") == (lines["a"], lines.getlist("A"), lines.get("b"))
    assert (["A", "B"], 2, True, False) == ([*lines], len(lines), "b" in lines, 5 in lines)
    lines["b"] = ["4", "5"]
    lines["A"] = "6"
    lines.add("C", "7")
    assert [("A", "6"), ("b", "4"), ("b", "5"), ("C", "7")] == lines.pairs
    del lines["B"]
    assert [("A", "6"), ("C", "7")] == lines.pairs
    with pytest.raises(KeyError):
        del lines["b"]
    with pytest.raises(KeyError):
        lines["b"]
    assert "7" not in repr(lines)
    assert "x=1; y=2" == HeaderLines([("Cookie", "x=1"), ("cookie", "y=2")])["Cookie"]
    assert [("A", "1"), ("B", "2"), ("B", "3")] == HeaderLines({"A": 1, "B": ["2", "3"]}).pairs


NAMES = st.sampled_from(["Connection", "X-A", "x-b", "TE", "Upgrade", "Cookie", "Content-Length", "Set-Cookie", "Via"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from(["x-a", "X-B, cookie", "close", "1", "via"])), max_size=8)


@given(lines=LINES)
def test_what_is_handed_on_is_what_came_without_what_belongs_to_the_connection(lines: list[tuple[str, str]]) -> None:
    named = {one.strip().lower() for name, value in lines if name == "Connection" for one in value.split(",")}
    own = {"connection", "te", "upgrade"}
    up = own | {"content-length"} | (named - {"cookie", "via"})

    assert [pair for pair in lines if pair[0].lower() not in up] == request_headers(lines).pairs
    assert [pair for pair in lines if pair[0].lower() not in own | named] == answer_headers(lines).pairs


@pytest.mark.parametrize(
    ("peer", "host", "node", "told"),
    [
        ("1.2.3.4", "a", "for=1.2.3.4;host=a;proto=http", "1.2.3.4"),
        ("::1", "a:80", 'for="[::1]";host="a:80";proto=http', "::1"),
        ("", None, "for=unknown;proto=http", None),
    ],
)
def test_where_it_came_from_is_told(peer: str, host: str | None, node: str, told: str | None) -> None:
    lines = HeaderLines()
    forwarded_headers(lines, peer=peer, scheme="http", host=host, http_version="1.1", request_id="")

    assert (node, told, host) == (lines["forwarded"], lines.get("x-forwarded-for"), lines.get("x-forwarded-host"))


# --- params ---


@given(
    query=st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"), max_size=40)
)
def test_a_query_that_nobody_changes_goes_out_byte_for_byte(query: str) -> None:
    assert query == query_of(ProxyRequest({"query_string": query}))


@given(params=st.dictionaries(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=3), max_size=4))
def test_changed_params_say_the_same_at_the_other_end(params: dict[str, list[str]]) -> None:
    try:
        str(params).encode()
    except UnicodeEncodeError:
        return  # Lone surrogates stand for bytes that are not UTF-8.
    request = ProxyRequest({"query_string": "a=1"})
    request.params = params

    assert params == ProxyRequest({"query_string": query_of(request)})["params"]


def test_a_request_has_its_keys_as_attributes() -> None:
    request = ProxyRequest({"method": "get", "params": {"a": 1}})
    request.url = "http://a"

    assert ("GET", {"a": ["1"]}, "http://a", b"") == (request.method, request.params, request["url"], request.data)
    with pytest.raises(AttributeError, match="no 'pth'"):
        _ = request.pth
