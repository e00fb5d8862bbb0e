"""Which offers of compression are taken, and how."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from tautomer.web.websocket.deflate import Deflate, TooLong, negotiate

OWN = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offered", "answer"),
    [
        ("permessage-deflate", OWN),
        ("Permessage-Deflate", OWN),
        ("permessage-deflate; client_max_window_bits", OWN),
        ("permessage-deflate; client_max_window_bits=10", OWN),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", OWN),
        ("permessage-deflate; server_max_window_bits=9", f"{OWN}; server_max_window_bits=9"),
        ('permessage-deflate; server_max_window_bits="12"', f"{OWN}; server_max_window_bits=12"),
        ("x-webkit-deflate-frame, permessage-deflate", OWN),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", OWN),
    ],
)
def test_an_offer_that_can_be_is_taken(offered: str, answer: str):
    agreed = negotiate(offered)

    assert agreed is not None
    assert answer == agreed[1]


@pytest.mark.parametrize(
    "offered",
    [
        "",
        ",",
        "other",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; server_max_window_bits=x",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=99999999999",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; more",
        "permessage-deflate;",
    ],
)
def test_others_are_left(offered: str):
    assert negotiate(offered) is None


@given(st.text())
def test_any_header_is_an_offer_or_none(offered: str):
    agreed = negotiate(offered)

    assert agreed is None or 9 <= agreed[0].window_bits <= 15


@pytest.mark.parametrize("bits", [None, 9, 12, 15])
def test_their_client_takes_what_is_answered(bits: int | None):
    factory = ClientPerMessageDeflateFactory(server_max_window_bits=bits)
    offered = "; ".join(
        [
            "permessage-deflate",
            *(name if value is None else f"{name}={value}" for name, value in factory.get_request_params()),
        ]
    )
    agreed = negotiate(offered)
    assert agreed is not None
    _, *params = agreed[1].split("; ")

    made = factory.process_response_params(
        [(one.partition("=")[0], one.partition("=")[2] or None) for one in params], []
    )

    assert (bits or 15, True, True) == (
        made.remote_max_window_bits,
        made.remote_no_context_takeover,
        made.local_no_context_takeover,
    )


@given(st.binary(max_size=2000), st.integers(9, 15))
def test_what_was_packed_is_unpacked(message: bytes, bits: int):
    deflate = Deflate(bits)

    assert message == deflate.inflate(deflate.deflate(message), 0)


def test_no_more_than_the_limit_comes_out():
    with pytest.raises(TooLong):
        Deflate().inflate(Deflate().deflate(b"x" * 1001), 1000)


def test_what_follows_the_end_is_refused():
    import zlib

    packer = zlib.compressobj(wbits=-15)
    ended = packer.compress(b"hello") + packer.flush()

    with pytest.raises(ValueError, match="followed by other bytes"):
        Deflate().inflate(ended + b"more", 0)
