"""Proxies: whose word counts for where a request came from."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import Broker
from tautomer.errors import ServiceSchemaError
from tautomer.web.messages.forwarded import TrustedProxies
from tautomer.web.messages.message import Request
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor

OURS = ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]


def seen(client: str, *headers: tuple[str, str], header: Any = "x-forwarded-for") -> tuple[str, str]:
    request = Request.build(headers=headers, client=client)
    TrustedProxies(OURS, header).apply(request)
    return request.client, request.scheme


def xff(value: str) -> tuple[str, str]:
    return ("X-Forwarded-For", value)


@pytest.mark.parametrize(
    ("client", "told", "expected"),
    [
        ("10.1.2.3", "203.0.113.9", "203.0.113.9"),
        ("203.0.113.1", "198.51.100.1", "203.0.113.1"),  # None of ours says it.
        ("10.1.2.3", "6.6.6.6, 203.0.113.9", "203.0.113.9"),  # The client wrote the first one itself.
        ("10.1.2.3", "203.0.113.9, 10.9.9.9,192.0.2.7", "203.0.113.9"),
        ("10.1.2.3", "10.0.0.5, 10.0.0.6", "10.0.0.5"),  # All ours: the first of them asks.
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "unknown", "10.1.2.3"),
        ("10.1.2.3", "6.6.6.6, <script>, 10.0.0.6", "10.0.0.6"),  # What stands left of nonsense is nobody's word.
        ("10.1.2.3", "203.0.113.9:4711", "203.0.113.9"),
        ("10.1.2.3", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.1.2.3", "2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:10.1.2.3", "::ffff:203.0.113.9", "203.0.113.9"),
        ("fd00::1", "203.0.113.9", "203.0.113.9"),
        ("", "203.0.113.9", ""),
        ("fe80::1%eth0", "203.0.113.9", "fe80::1%eth0"),
    ],
)
def test_the_list_is_read_from_the_right_up_to_the_first_that_is_not_ours(client, told, expected):
    assert expected == seen(client, xff(told))[0]


def test_several_lines_are_one_list():
    assert "203.0.113.9" == seen("10.1.2.3", xff("6.6.6.6"), xff("203.0.113.9"), xff("10.0.0.9"))[0]


@pytest.mark.parametrize(
    ("client", "told", "expected"),
    [
        ("10.1.2.3", "https", "https"),
        ("10.1.2.3", "http, https", "https"),
        ("10.1.2.3", "HTTPS", "https"),
        ("10.1.2.3", "ftp", "http"),
        ("203.0.113.1", "https", "http"),
    ],
)
def test_the_scheme_is_the_nearest_proxys_word(client, told, expected):
    assert expected == seen(client, xff("203.0.113.9"), ("X-Forwarded-Proto", told))[1]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("for=203.0.113.9;proto=https", ("203.0.113.9", "https")),
        ('For="[2001:db8::1]:4711";Proto=https;by=10.0.0.1', ("2001:db8::1", "https")),
        ('for="6.6.6.6, for=7.7.7.7", for=203.0.113.9;proto=https, for=10.0.0.5;proto=http', ("203.0.113.9", "https")),
        ("for=unknown", ("10.1.2.3", "http")),
        ("for=_hidden, for=10.0.0.5", ("10.0.0.5", "http")),
        ("nonsense;;==", ("10.1.2.3", "http")),
        ('for="unclosed', ("10.1.2.3", "http")),
    ],
)
def test_the_standard_header(told, expected):
    assert expected == seen("10.1.2.3", ("Forwarded", told), header="forwarded")


def test_of_the_two_headers_only_the_one_that_is_set_up_counts():
    """A proxy that writes the one hands on the other as the client sent it."""
    assert "10.1.2.3" == seen("10.1.2.3", ("Forwarded", "for=6.6.6.6"))[0]
    assert "10.1.2.3" == seen("10.1.2.3", xff("6.6.6.6"), header="forwarded")[0]


@given(
    st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=300),
    st.sampled_from(["x-forwarded-for", "forwarded"]),
)
def test_no_header_is_an_error_and_what_comes_out_is_an_address(told, header):
    client, scheme = seen("10.1.2.3", (header, told), ("X-Forwarded-Proto", told), header=header)

    assert set(client) <= set("0123456789abcdef.:")
    assert scheme in ("http", "https")


@given(st.lists(st.sampled_from(["6.6.6.6", "10.0.0.9", "x", "203.0.113.200"]), max_size=40))
def test_what_a_client_writes_never_becomes_its_address(written):
    """Our proxy adds where the request came from; whatever the client wrote stands left of that."""
    assert "203.0.113.9" == seen("10.1.2.3", xff(", ".join([*written, "203.0.113.9"])))[0]


def test_a_long_row_of_proxies_is_not_walked_for_ever():
    assert "10.0.0.1" == seen("10.1.2.3", xff(", ".join(["6.6.6.6"] + ["10.0.0.1"] * 1000)))[0]


def tells_where_from(request: Request) -> Any:
    return [request.client, request.scheme]


ROUTE = {"aliases": {"/from": tells_where_from}}


async def test_without_trusted_proxies_nobodys_word_counts(door: OpenDoor):
    at = await door(routes=[ROUTE])

    answer = await at.get("/from", **{"X-Forwarded-For": "6.6.6.6", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6"})

    assert ["127.0.0.1", "http"] == answer.json


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_word_of_a_trusted_one_is_the_clients_address(door: OpenDoor, method, caplog):
    at = await door(routes=[ROUTE], trustedProxies=["127.0.0.1"], logResponse=True)

    with caplog.at_level("INFO", "tautomer.web"):
        answer = await at.ask(
            method,
            "/from",
            headers={
                "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
                "X-Forwarded-Proto": "https",
                "Content-Type": "application/json",
            },
            body=b"{}" if method == "POST" else b"",
        )

    assert ["203.0.113.9", "https"] == answer.json
    assert ["203.0.113.9"] == [one.client for one in caplog.records if one.message == "response"]


async def test_connections_of_a_proxy_are_not_counted_as_one_clients(door: OpenDoor):
    at = await door(routes=[ROUTE], trustedProxies=["127.0.0.1"], limits={"connections_per_peer_max": 1})
    other = await door(routes=[ROUTE], limits={"connections_per_peer_max": 1}, broker=Broker("second"))

    for one, expected in ((at, 200), (other, 503)):
        _reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        assert expected == (await one.get("/from")).status
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"trustedProxies": "10.0.0.1"}, "settings.trustedProxies is a list"),
        ({"trustedProxies": [5]}, "settings.trustedProxies is a text"),
        ({"trustedProxies": ["10.0.0.1/8"]}, "'10.0.0.1/8', which is neither an address nor a network"),
        ({"trustedProxies": ["proxy.local"]}, "'proxy.local', which is neither an address nor a network"),
        ({"trustedProxies": [], "forwardedHeader": "X-Real-IP"}, "is 'X-Forwarded-For' or 'Forwarded'"),
        ({"forwardedHeader": "Forwarded"}, "has no effect without 'trustedProxies'"),
    ],
)
def test_what_is_no_proxy_is_told_at_start(settings, told):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings(settings, {})

    assert told in raised.value.message
