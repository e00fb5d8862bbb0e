"""Origins: who a list lets in, and nobody else."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tautomer.web.settings.origins import Origin, Origins, parse_origin

label = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
host = st.lists(label, min_size=1, max_size=4).map(".".join)
scheme = st.sampled_from(["http", "https", "app"])
port = st.none() | st.integers(1, 65535)


def text_of(scheme: str, host: str, port: int | None) -> str:
    return f"{scheme}://{host}" + (f":{port}" if port else "")


origin = st.builds(text_of, scheme, host, port)


@given(origin, origin)
def test_an_origin_lets_in_itself_and_nobody_else(one: str, other: str) -> None:
    assume(parse_origin(one) != parse_origin(other))
    origins = Origins([one])

    assert origins.permit(one)
    assert origins.permit(one.upper())
    assert not origins.permit(other)


@given(origin, st.text(min_size=1, max_size=5))
def test_nothing_put_before_or_behind_an_origin_is_let_in(one: str, more: str) -> None:
    origins = Origins([one])

    for text in (one + more, more + one):
        assert parse_origin(text) == parse_origin(one) or not origins.permit(text)


@given(st.text(max_size=300))
def test_any_text_is_an_origin_or_none(text: str) -> None:
    found = parse_origin(text)

    assert not Origins(["https://*.example.com"]).permit(text) or text.lower().endswith(
        (".example.com", ".example.com:443")
    )
    assert found is None or text.isascii()


@given(st.lists(label, max_size=4))
def test_a_star_is_one_label_and_two_are_one_or_more(labels: list[str]) -> None:
    text = "https://" + ".".join([*labels, "example.com"])

    assert (len(labels) == 1) == Origins(["https://*.example.com"]).permit(text)
    assert (len(labels) >= 1) == Origins(["https://**.example.com"]).permit(text)


@pytest.mark.parametrize(
    ("entry", "given", "permitted"),
    [
        ("https://a.test", "https://a.test:443", True),
        ("http://a.test:80", "http://a.test", True),
        ("https://A.test", "HTTPS://a.TEST", True),
        ("https://a.test", "http://a.test", False),
        ("https://a.test", "https://a.test:8443", False),
        ("https://a.test", "https://a.test.evil.com", False),
        ("https://a.test", "https://evila.test", False),
        ("https://a.test", "https://a.test.", False),
        ("https://a.test", "https://a.test/", False),
        ("https://a.test", "https://user@a.test", False),
        ("https://a.test", "http", False),
        ("https://a.test", "null", False),
        ("https://a.test", "", False),
        ("https://a.test", "https://*", False),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("https://*.a.test", "https://a.test", False),
        ("https://*.a.test", "https://x.a.test:8443", False),
        ("https://*.a.test", "https://x.a.test/.a.test", False),
        ("https://*.a.test:8443", "https://x.a.test:8443", True),
        ("https://pr-*.a.test", "https://pr-17.a.test", True),
        ("https://pr-*.a.test", "https://pr-1.7.a.test", False),
        ("https://node?.a.test", "https://node1.a.test", True),
        ("https://node?.a.test", "https://node12.a.test", False),
        ("https://*.a.test", "https://*.a.test", False),
    ],
)
def test_scheme_host_and_port_are_compared(entry: str, given: str, permitted: bool) -> None:
    assert permitted == Origins([entry]).permit(given)


@pytest.mark.parametrize(
    "entry",
    [
        "a.test",
        "https://a.test/",
        "https://a.test/x",
        "http*://a.test",
        "https://a.test:*",
        "null",
        "",
        "https://ä.test",
    ],
)
def test_what_is_no_origin_is_told(entry: str) -> None:
    with pytest.raises(ValueError, match="holds origins such as"):
        Origins([entry])


def test_the_port_of_a_scheme_need_not_be_written() -> None:
    assert Origin("https", "a.test", 443) == parse_origin("https://a.test")
    assert Origin("app", "local", 0) == parse_origin("app://local")
    assert parse_origin("https://a.test:65536") is None
