from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import TransporterError
from tautomer.transporters.nats.credentials import parse_credentials
from tautomer.transporters.nats.options import NatsOptions, NatsTls, ServerAddress, parse_servers


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("nats://a:1", [ServerAddress("a", 1)]),
        ("a", [ServerAddress("a", 4222)]),
        ("a:1", [ServerAddress("a", 1)]),
        ("nats://a:1/", [ServerAddress("a", 1)]),
        ("TLS://a", [ServerAddress("a", 4222, tls=True)]),
        ("nats://[::1]:5", [ServerAddress("::1", 5)]),
        ("nats://a:1, nats://b:2,", [ServerAddress("a", 1), ServerAddress("b", 2)]),
        ("nats://a,tls://b,c", [ServerAddress("a"), ServerAddress("b", tls=True), ServerAddress("c", tls=True)]),
        ("nats://u:p%40%2F@a", [ServerAddress("a", user="u", password="p@/")]),
        ("nats://u:@a", [ServerAddress("a", user="u", password="")]),
        ("nats://t0ken@a", [ServerAddress("a", token="t0ken")]),
        (["nats://a", "nats://b,c"], [ServerAddress("a"), ServerAddress("b"), ServerAddress("c")]),
    ],
)
def test_addresses_are_read(url: str | list[str], expected: list[ServerAddress]) -> None:
    assert expected == parse_servers(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        ",",
        "nats://",
        "nats://:4222",
        "ws://a",
        "redis://a",
        "nats://u:hush@a:port",
        "nats://u:hush@a:99999",
        "nats://u:hush@a/path",
        "nats://u:hush@a?x=1",
        "nats://u:hush@[::1",
        "nats://u:hu#sh@a",
        "nats://u:hush@a b",
        "nats://u:hush@",
        "nats://u:hush@a..b",
        "nats://" + "a" * 64,
    ],
)
def test_what_is_no_address_is_refused_without_its_secret(url: str) -> None:
    with pytest.raises(TransporterError) as refused:
        parse_servers(url)

    assert "hush" not in str(refused.value)
    assert refused.value.__cause__ is None or "hush" not in str(refused.value.__cause__)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(url: str) -> None:
    try:
        servers = parse_servers(url)
    except TransporterError:
        return

    assert all(server.host and 0 < server.port < 65536 for server in servers)


def test_an_address_shows_no_secret() -> None:
    (server,) = parse_servers("tls://u:hush@[::1]:5")

    assert "tls://[::1]:5" == str(server)
    assert "hush" not in repr(server)


def test_options_show_no_secret() -> None:
    assert "hush" not in repr(NatsOptions(user="u", password="hush"))
    assert "hush" not in repr(NatsOptions(token="hush"))
    assert "hush" not in repr(NatsOptions(nkey_seed="hush"))
    assert "hush" not in repr(NatsTls(key_password="hush"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ping_interval": 0}, "ping_interval"),
        ({"ping_misses": 0}, "ping_misses"),
        ({"pause": 6.0}, r"pause \(6 s\) is over"),
        ({"pending_messages_max": 0}, "pending_messages_max"),
        ({"token": "t", "user": "u"}, "user, token"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NatsOptions(**options)  # type: ignore[arg-type]


CREDENTIALS = """-----BEGIN NATS USER JWT-----
ey.the.jwt
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
SUSEED
------END USER NKEY SEED------
"""


@pytest.mark.parametrize("text", [CREDENTIALS, CREDENTIALS.replace("\n", "\r\n"), CREDENTIALS.replace("---", "--- ")])
def test_a_credentials_file_is_read(text: str) -> None:
    assert ("ey.the.jwt", "SUSEED") == parse_credentials(text, "x.creds")


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("", "USER JWT and NKEY SEED"),
        (CREDENTIALS.replace("SEED", "SOMETHING"), "NKEY SEED"),
        (CREDENTIALS.replace("USER JWT", "SOMETHING"), "USER JWT"),
        ("-----BEGIN USER NKEY SEED-----", "USER JWT and NKEY SEED"),
    ],
)
def test_a_file_without_them_is_refused(text: str, missing: str) -> None:
    with pytest.raises(TransporterError, match=rf"'x\.creds' holds no {missing};"):
        parse_credentials(text, "x.creds")


@given(st.text())
def test_any_text_is_credentials_or_refused(text: str) -> None:
    try:
        parse_credentials(text, "x")
    except TransporterError:
        pass
