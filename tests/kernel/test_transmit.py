"""Compression and Encryption between real nodes on one bus, and in front of messages that nobody sent in good faith."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import zlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import Broker, Context, Middleware, Service, Settings, action, event
from tautomer.errors import BrokerOptionsError, PayloadTooLargeError
from tautomer.middlewares import Compression, Encryption
from tautomer.middlewares.encryption import ALGORITHMS
from tautomer.protocol.codec import Refused
from tests.kernel.mesh import Foreign, Mesh, until

KEY, IV = "k" * 32, "i" * 16
METHODS = ["deflate", "deflateRaw", "gzip"]
BYTES = st.one_of(st.binary(max_size=200), st.builds(bytes.__mul__, st.binary(max_size=8), st.integers(0, 2_000)))


class Math(Service):
    name = "math"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Any] = []

    @action
    async def echo(self, ctx: Context) -> Any:
        return ctx.params

    @action
    async def times(self, ctx: Context) -> Any:
        return ctx.params["text"] * ctx.params["n"]

    @action
    async def count(self, ctx: Context) -> Any:
        for number in range(ctx.params["to"]):
            yield {"number": number, "filling": "x" * 2_000}

    @event("told")
    def on_told(self, ctx: Context) -> None:
        self.heard.append(ctx.params)


def encryption(algorithm: str = "aes-256-cbc", password: str = KEY) -> Encryption:
    key_bytes, mode = ALGORITHMS[algorithm]
    return Encryption(password[:key_bytes], algorithm, None if mode == "ecb" else IV)


def both_ways(middleware: Middleware, data: bytes) -> tuple[bytes, bytes]:
    """What goes over the line, and what comes out of that at the other end."""
    sent: list[bytes] = []
    read: list[bytes] = []
    middleware.transporter_send(lambda _topic, data, _token: sent.append(data))("t", data, None)
    middleware.transporter_receive(lambda _topic, data: read.append(data))("t", sent[0])
    return sent[0], read[0]


# --- bytes ---


@given(data=BYTES, method=st.sampled_from(METHODS), threshold=st.sampled_from([0, 1, 100, "1kb"]))
def test_what_is_compressed_comes_out_as_it_was(data, method, threshold):
    sent, read = both_ways(Compression(method, threshold), data)

    assert data == read
    assert len(sent) <= len(data) + 1


@pytest.mark.parametrize(("size", "mark"), [(1023, 0), (1024, 1)])
def test_what_is_under_the_threshold_stays_as_it_is(size, mark):
    sent, _ = both_ways(Compression(), b"a" * size)

    assert mark == sent[0]
    assert (len(sent) == size + 1) is (mark == 0)


def test_a_level_trades_time_for_size_and_is_nobody_elses_business():
    data = json.dumps([{"id": n * 7919 % 10_007, "share": (n % 89) / 97} for n in range(2_000)]).encode()

    quick, read = both_ways(Compression(level=1), data)
    small, _ = both_ways(Compression(level=9), data)

    assert len(small) < len(quick) < len(data)
    assert data == read == both_ways(Compression(), data)[1]


def test_what_would_not_get_smaller_stays_as_it_is():
    data = os.urandom(5_000)

    sent, _ = both_ways(Compression(), data)

    assert b"\0" + data == sent


@given(data=BYTES, algorithm=st.sampled_from(sorted(ALGORITHMS)))
def test_what_is_encrypted_comes_out_as_it_was(data, algorithm):
    sent, read = both_ways(encryption(algorithm), data)

    assert data == read
    assert data not in sent or len(data) < 8


@pytest.mark.parametrize("method", METHODS)
def test_a_bomb_is_refused_at_its_bound(method):
    """And one that comes out just at the bound is not."""
    window = {"deflate": 15, "deflateRaw": -15, "gzip": 31}[method]
    receive = Compression(method, bytes_max="1mb").transporter_receive(lambda _topic, data: len(data))

    receive("t", b"\1" + zlib.compress(bytes(1024**2), 9, window))
    with pytest.raises(Refused, match="inflate to over 1048576"):
        receive("t", b"\1" + zlib.compress(bytes(1024**2 + 1), 9, window))
    with pytest.raises(Refused, match="inflate to over 1048576"):
        receive("t", b"\1" + zlib.compress(bytes(300 * 1024**2), 9, window))


@given(data=st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data):
    for middleware in (*map(Compression, METHODS), *map(encryption, ALGORITHMS)):
        with suppress(Refused):
            middleware.transporter_receive(lambda _topic, _data: None)("t", data)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "does its sender compress otherwise"),
        (b"{}", "does its sender compress otherwise"),
        (b"\1" + zlib.compress(b"a" * 2_000)[:-3], "cut off"),
        (b"\1" + zlib.compress(b"a" * 2_000) + b"more", "something follows"),
        (b"\1" + gzip.compress(b"a"), "does its sender compress otherwise"),
    ],
)
def test_what_cannot_be_inflated_says_why(data, told):
    with pytest.raises(Refused) as refused:
        Compression().transporter_receive(lambda _topic, _data: None)("t", data)

    assert "uninflatable" == refused.value.reason
    assert told in refused.value.detail


# --- nodes ---

LAYERS = {
    "compressed": lambda: [Compression(threshold=0)],
    "encrypted": lambda: [encryption()],
    "both": lambda: [Compression("gzip"), encryption("aes-128-ctr")],
    "the other way round": lambda: [encryption(), Compression()],
    "by name": lambda: [
        "Transmit.Compression",
        {"type": "Transmit.Encryption", "options": {"password": KEY, "iv": IV}},
    ],
}


@pytest.mark.parametrize("layers", LAYERS)
async def test_nodes_that_do_alike_understand_each_other(mesh: Mesh, layers: str) -> None:
    there = await mesh.node("b", Math, middlewares=LAYERS[layers]())
    here = await mesh.node("a", middlewares=LAYERS[layers]())
    await here.wait_for_services("math", 5)
    large = {"text": "ä" * 50_000, "list": list(range(2_000))}

    assert large == await here.call("math.echo", large, timeout=5)
    stream = await here.call("math.count", {"to": 50}, timeout=5)
    assert list(range(50)) == [item["number"] async for item in stream]
    await here.emit("told", "x")
    math: Any = there.get_local_service("math")
    await until(lambda: ["x"] == math.heard)
    for node in (here, there):
        assert node.transit is not None
        assert {} == node.transit.dropped


@pytest.mark.parametrize(
    ("theirs", "reasons"),
    [
        (list, {"undecryptable"}),
        (lambda: [encryption(password="o" * 32)], {"undecryptable", "uninflatable"}),
        (lambda: [encryption()], {"uninflatable"}),
    ],
    ids=["no password", "another password", "no compression"],
)
async def test_who_does_otherwise_is_not_understood_and_does_no_harm(
    mesh: Mesh, caplog: pytest.LogCaptureFixture, theirs: Any, reasons: set[str]
) -> None:
    def ours() -> list[Middleware]:
        return [Compression(), encryption()]

    here = await mesh.node("a", middlewares=ours())
    with caplog.at_level(logging.WARNING, "tautomer.transit"):
        stranger = await mesh.node("s", Math, middlewares=theirs())
        await mesh.node("b", Math, middlewares=ours())
        await here.wait_for_services("math", 5)
        for _ in range(20):
            stranger.emit("told", "nonsense")
            assert "well" == await here.call("math.echo", "well", timeout=5)

    assert here.transit is not None
    assert "s" not in here.registry.nodes
    assert {"a", "b"}.isdisjoint(stranger.registry.nodes)
    dropped = here.transit.dropped
    assert dropped
    assert set(dropped) <= reasons
    lines = [one for one in caplog.records if one.message == "packet dropped" and getattr(one, "reason", "") in dropped]
    assert all("has its sender another" in one.detail or "inflated" in one.detail for one in lines)
    # Three nodes drop here: each says once why.
    assert len(lines) <= 3 * len(reasons | {"undecodable"})


async def test_a_bomb_from_another_node_is_dropped_and_counted(mesh: Mesh, peer: Foreign) -> None:
    here = await mesh.node("a", Math, middlewares=[Compression()])
    assert here.transit is not None

    peer.say_bytes("REQ", b"\1" + zlib.compress(bytes(64 * 1024**2)), "a")
    peer.say_bytes("INFO", b"\1" + zlib.compress(b"[" * 10_000))

    await until(lambda: here.transit and {"uninflatable": 1, "undecodable": 1} == here.transit.dropped)
    assert 1 == await here.call("math.echo", 1)


async def test_what_is_over_the_bound_fails_at_its_sender(mesh: Mesh) -> None:
    layers = [Compression(bytes_max="100kb")]
    await mesh.node("b", Math, middlewares=layers)
    here = await mesh.node("a", middlewares=layers)
    await here.wait_for_services("math", 5)

    with pytest.raises(PayloadTooLargeError, match="bytes_max"):
        await here.call("math.echo", "x" * 200_000)
    with pytest.raises(PayloadTooLargeError, match="bytes_max"):
        await here.call("math.times", {"text": "x", "n": 200_000}, timeout=5)
    assert "fine" == await here.call("math.echo", "fine")


async def test_a_node_alone_may_list_them(mesh: Mesh) -> None:
    async with Broker("alone", Settings(middlewares=[Compression(), encryption()])) as broker:
        await broker.register(Math)
        assert 1 == await broker.call("math.echo", 1)


async def test_encrypting_before_compressing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """It is how Node's list would be copied."""
    with caplog.at_level(logging.WARNING, "tautomer.transit"):
        Broker("a", Settings(middlewares=[Compression(), encryption()]))
        assert [] == caplog.messages
        Broker("a", Settings(middlewares=[encryption(), Compression()]))

    assert "list Compression first" in caplog.text


# --- what is set up wrong ---


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Compression("br"), "method is one of deflate, deflateRaw, gzip, not 'br'"),
        (lambda: Compression(threshold="much"), "threshold is a number of bytes or a text such as"),
        (lambda: Compression(threshold=-1), "threshold is a number of bytes"),
        (lambda: Compression(threshold=float("inf")), "leave the middleware out"),  # type: ignore[arg-type]  # The point.
        (lambda: Compression(bytes_max=True), "bytes_max is a number of bytes"),
        (lambda: Compression(level=0), "level is a number from 1 to 9, not 0"),
        (lambda: Compression(level=True), "level is a number from 1 to 9"),
        (lambda: Encryption(), "aes-256-cbc needs the 'password': 32 bytes"),
        (lambda: Encryption("secret", iv=IV), "needs 'password' of 32 bytes, this one has 6"),
        (lambda: Encryption(KEY), "needs the 'iv': 16 bytes"),
        (lambda: Encryption(KEY, iv="short"), "needs 'iv' of 16 bytes, this one has 5"),
        (lambda: Encryption(KEY, "aes-256-ecb", IV), "aes-256-ecb has no iv"),
        (lambda: Encryption(KEY, "aes-256-gcm", IV), "algorithm 'aes-256-gcm' is not known; known: aes-128-cbc"),
        (lambda: Encryption(5, iv=IV), "password is a text or bytes, not a int"),  # type: ignore[arg-type]  # The point.
    ],
)
def test_what_cannot_be_is_told_with_what_is_missing_and_no_secret(make, told):
    with pytest.raises(BrokerOptionsError) as failed:
        make()

    assert told in failed.value.message
    assert "secret" not in failed.value.message
    assert KEY not in failed.value.message


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ("Transmit.Compressoin", "is not known; did you mean 'Transmit.Compression'"),
        ("Throttle", "is not known; known: Transmit.Compression, Transmit.Encryption"),
        ("Transmit.Encryption", "needs the 'password'"),
        ({"type": "Compression", "options": {"treshold": 1}}, "unknown setting 'treshold'; did you mean 'threshold'"),
        ({"type": "Compression", "method": "gzip"}, "unknown setting 'method'; known: options, type"),
        ({"options": {}}, "a mapping has 'type'"),
        ({"type": "Compression", "options": 5}, "a mapping has 'type'"),
    ],
)
def test_a_name_that_is_wrong_is_told_with_the_nearest(listed: Any, told: str) -> None:
    with pytest.raises(BrokerOptionsError) as failed:
        Broker("a", Settings(middlewares=[listed]))

    assert told in failed.value.message


def test_no_secret_is_shown():
    settings = Settings(middlewares=[{"type": "Encryption", "options": {"password": KEY, "iv": IV}}])

    assert "<Encryption aes-256-cbc>" == repr(encryption())
    assert KEY not in repr(settings)
    assert repr(Broker("a", settings).middlewares) == "(<Encryption aes-256-cbc>,)"


def test_without_the_extra_the_error_names_it() -> None:
    code = """
import sys
sys.modules["cryptography"] = None
from tautomer.errors import BrokerOptionsError
from tautomer.middlewares import Encryption
try:
    Encryption("k" * 32, iv="i" * 16)
except BrokerOptionsError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert 'Encryption needs: pip install "tautomer[encryption]"' == done.stdout.strip()


def test_who_lists_neither_imports_neither() -> None:
    code = """
import sys
from tautomer import Broker
Broker("a")
print([name for name in sys.modules if "cryptography" in name or name.startswith("tautomer.middlewares.compr")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
