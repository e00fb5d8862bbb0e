"""A mesh that is compressed and encrypted, Python and Node.js in one; and the bytes, held against Node's middlewares."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

import nats
from tautomer.middleware import Middleware
from tautomer.middlewares import Compression, Encryption
from tautomer.middlewares.encryption import ALGORITHMS
from tautomer.protocol.codec import Refused

from .mesh import SHORT, Mesh, Pair, hears, knows_listeners
from .npm import HERE
from .peers import MODULES, until
from .streams import Streams
from .test_streams import OBJECTS, content, fetch, only, push

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

KEY, IV = "0123456789abcdef0123456789abcdef", "fedcba9876543210"
LARGE = {"text": "Größe 🎉 " * 3_000, "list": list(range(3_000)), "none": None}

# --- bytes ---

PLAIN = [b"{}", b"x" * 15, b"x" * 16, b"x" * 1023, b"x" * 1024, bytes(range(256)) * 40, "日本語 😀".encode() * 2_000]


def wire(data: bytes) -> str:
    return base64.b64encode(data).decode()


def turned(middleware: Middleware, data: bytes) -> bytes:
    """What it sends."""
    sent: list[bytes] = []
    middleware.transporter_send(lambda _topic, data, _token: sent.append(data))("t", data, None)
    return sent[0]


def turned_back(middleware: Middleware, data: bytes) -> bytes | None:
    """What it reads; None: nothing."""
    read: list[bytes] = []
    try:
        middleware.transporter_receive(lambda _topic, data: read.append(data))("t", data)
    except Refused:
        return None
    return read[0]


def encryption(algorithm: str) -> tuple[Encryption, list[Any]]:
    """Ours, and the arguments of Node's."""
    key_bytes, mode = ALGORITHMS[algorithm]
    iv = None if mode == "ecb" else IV
    return Encryption(KEY[:key_bytes], algorithm, iv), [KEY[:key_bytes], algorithm, iv]


def compression(method: str, threshold: Any) -> tuple[Compression, list[Any]]:
    return Compression(method, threshold), [{"method": method, "threshold": threshold}]


def ask(node: str, line: str, cases: list[tuple[Middleware, list[Any], bytes, bytes]]) -> list[dict[str, Any]]:
    told = [
        {"middleware": type(ours).__name__, "args": args, "plain": wire(plain), "theirs": wire(theirs)}
        for ours, args, plain, theirs in cases
    ]
    command = [node, HERE / "node" / "transmit.js", MODULES[line]]
    done = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=True, timeout=60)
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


async def test_what_is_encrypted_is_the_same_byte_for_byte(node: str, line: str) -> None:
    # 0.14 without an iv derives the key in a way that Node.js has given up since.
    known = [name for name, (_, mode) in ALGORITHMS.items() if line == "0.15" or mode != "ecb"]
    pairs = [(*encryption(name), plain) for name in known for plain in PLAIN]
    cases = [(ours, args, plain, turned(ours, plain)) for ours, args, plain in pairs]

    answers = ask(node, line, cases)

    for (ours, args, plain, sent), answer in zip(cases, answers, strict=True):
        assert (wire(sent), wire(plain)) == (answer["sent"], answer["read"]), args[1]
        assert plain == turned_back(ours, base64.b64decode(answer["sent"]))


@pytest.mark.parametrize("method", ["deflate", "deflateRaw", "gzip"])
@pytest.mark.parametrize("threshold", ["1kb", 0, 16])
async def test_what_is_compressed_by_one_is_read_by_the_other(
    node: str, line: str, method: str, threshold: Any
) -> None:
    ours, args = compression(method, threshold)
    cases = [(ours, args, plain, turned(ours, plain)) for plain in PLAIN]

    answers = ask(node, line, cases)

    for (_, _, plain, sent), answer in zip(cases, answers, strict=True):
        theirs = base64.b64decode(answer["sent"])
        assert (plain, wire(plain)) == (turned_back(ours, theirs), answer["read"])
        if len(plain) >= 1024:
            assert (1, 1) == (sent[0], theirs[0])
        elif threshold == "1kb":
            assert sent == theirs == b"\0" + plain


async def test_what_was_not_meant_for_it_neither_reads(node: str, line: str) -> None:
    aes, aes_args = encryption("aes-256-cbc")
    zipped, zipped_args = compression("deflate", 0)
    foreign = [b'{"ver":"5"}', b"x" * 32, turned(Encryption(KEY[::-1], iv=IV), b'{"ver":"5"}' * 3)]
    cut = [b"\1" + turned(zipped, PLAIN[-1])[1:-4], turned(Compression("gzip", 0), PLAIN[-1])]
    cases = [(aes, aes_args, b"", one) for one in foreign] + [(zipped, zipped_args, b"", one) for one in cut]

    answers = ask(node, line, cases)

    assert [None] * 5 == [turned_back(ours, one) for ours, _, _, one in cases]
    assert [None] * 5 == [answer["read"] for answer in answers]


# --- the mesh ---


def ours() -> list[Middleware]:
    return [Compression(), Encryption(KEY, iv=IV)]


THEIRS = {"transmit": [["Encryption", KEY, "aes-256-cbc", IV], ["Compression", {}]]}
"""The same for Node.js, whose last middleware is the outermost."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def couple(node: str, nats_url: str, line: str) -> AsyncIterator[Mesh]:
    async with Mesh(nats_url, node) as mesh:
        id = SHORT[line]
        services = [{"kind": "streams", "name": id}]
        await mesh.add_node(line, services=services, listeners={"node-ears": {"told": None}}, broker=THEIRS)
        await mesh.add_python(services=[Streams("py")], listeners={"python-ears": {"told": None}}, middlewares=ours())
        await mesh.meet()
        for peer in mesh.peers.values():
            await knows_listeners(peer, "told", *mesh.peers)
        yield mesh


@pytest.mark.parametrize("params", [{"small": 1}, LARGE], ids=["small", "large"])
async def test_calls_come_through(pair: Pair, params: Any) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.echo", params)

    assert (params, None) == (answer.value, answer.error)


async def test_many_calls_of_all_sizes_at_once_come_through(pair: Pair) -> None:
    """Node compresses in threads, so that what it sends overtakes each other."""
    sent = [{"number": number, "filling": "x" * (number % 7 * 700)} for number in range(100)]

    answers = await asyncio.gather(*(pair.caller.call(f"{pair.callee.id}.echo", one) for one in sent))

    assert sent == [answer.value for answer in answers]


async def test_errors_come_through(pair: Pair) -> None:
    answer = await pair.caller.call(f"{pair.callee.id}.fail", {"kind": "MoleculerClientError"})

    assert answer.error is not None
    assert ("went wrong", 456, "SOME_TYPE") == tuple(answer.error[name] for name in ("message", "code", "type"))


@pytest.mark.parametrize("data", [{"small": 1}, LARGE], ids=["small", "large"])
async def test_events_come_through(pair: Pair, data: Any) -> None:
    before = len(pair.callee.heard("told"))

    await pair.caller.tell("broadcast", "told", data)

    assert data == (await hears(pair.callee, "told", before + 1))[-1]["data"]


@pytest.mark.parametrize(
    "kind", [{"kind": "bytes", "count": 20, "size": 60_000}, {"kind": "objects", "items": OBJECTS}]
)
async def test_streams_come_through_in_order(pair: Pair, kind: dict[str, Any]) -> None:
    whole = content(20, 60_000) if kind["kind"] == "bytes" else {**content(0, 0), "items": OBJECTS}

    assert whole == only(await fetch(pair, **kind))
    assert whole == only(await push(pair, **kind))


async def test_on_the_line_nothing_can_be_read(couple: Mesh, line: str) -> None:
    client = await nats.connect(couple.url)
    seen: list[bytes] = []

    async def look(message: Any) -> None:
        seen.append(message.data)

    await client.subscribe(f"MOL-{couple.namespace}.>", cb=look)
    await client.flush()
    secret = {"word": "swordfish" * 300}
    for pair in (Pair(couple["py"], couple[SHORT[line]]), Pair(couple[SHORT[line]], couple["py"])):
        assert secret == (await pair.caller.call(f"{pair.callee.id}.echo", secret)).value

    async def all_seen() -> bool:
        return len(seen) >= 4

    await until(all_seen)
    await client.close()
    for data in seen:
        assert b"swordfish" not in data
        assert b"sender" not in data
        # A block cipher's; and compressed before that, or 2,700 bytes would not be so few.
        assert len(data) % 16 == 0
        assert len(data) < 1_000


STRANGERS: dict[str, Callable[[], dict[str, Any]]] = {
    "no password": lambda: {"middlewares": [Compression()]},
    "another password": lambda: {"middlewares": [Compression(), Encryption(KEY[::-1], iv=IV)]},
    "nothing at all": dict,
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_a_python_stranger_is_not_understood_and_does_no_harm(couple: Mesh, line: str, kind: str) -> None:
    known = couple["py"], couple[SHORT[line]]
    broker = couple["py"].broker
    before = sum(broker.statistics()["transit"]["dropped"].values())
    stranger = await couple.add_python("stranger", **STRANGERS[kind]())

    try:
        for _ in range(5):
            await stranger.tell("broadcast", "told", "nonsense")
            assert [1, 2] == [(await peer.call(f"{other.id}.echo", n)).value for n, peer, other in _both(known)]
        assert "stranger" not in await known[0].nodes()
        assert "stranger" not in await known[1].nodes()
        assert {"stranger"} == set(await stranger.nodes())
        assert before < sum(broker.statistics()["transit"]["dropped"].values())
        assert set(broker.statistics()["transit"]["dropped"]) <= {"undecryptable", "uninflatable"}
    finally:
        await couple.peers.pop("stranger").close()


async def test_a_node_stranger_is_not_understood_and_does_no_harm(couple: Mesh, line: str) -> None:
    known = couple["py"], couple[SHORT[line]]
    stranger = await couple.add_node(line, "stranger")

    try:
        assert [1, 2] == [(await peer.call(f"{other.id}.echo", n)).value for n, peer, other in _both(known)]
        assert "stranger" not in await known[0].nodes()
        assert {"stranger"} == set(await stranger.nodes())
        assert 0 < couple["py"].broker.statistics()["transit"]["dropped"]["undecryptable"]
    finally:
        await couple.peers.pop("stranger").close()


def _both(known: tuple[Any, Any]) -> list[tuple[int, Any, Any]]:
    return [(1, known[0], known[1]), (2, known[1], known[0])]


@pytest.mark.parametrize("method", ["deflateRaw", "gzip"])
async def test_the_other_methods_and_a_stream_cipher_make_a_mesh_too(mesh: Mesh, line: str, method: str) -> None:
    transmit = [["Encryption", KEY[:16], "aes-128-ctr", IV], ["Compression", {"method": method, "threshold": 0}]]
    listed = [
        {"type": "Transmit.Compression", "options": {"method": method, "threshold": 0}},
        {"type": "Transmit.Encryption", "options": {"password": KEY[:16], "algorithm": "aes-128-ctr", "iv": IV}},
    ]
    theirs = await mesh.add_node(line, broker={"transmit": transmit})
    python = await mesh.add_python(middlewares=listed)
    await mesh.meet()

    digest = hashlib.sha256(b"x").hexdigest()
    for peer, other in ((python, theirs), (theirs, python)):
        assert LARGE == (await peer.call(f"{other.id}.echo", LARGE)).value
        assert digest == (await peer.call(f"{other.id}.echo", digest)).value
