"""Whatever another node answers: the client gets one well-formed reply, and the gateway goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.cluster import Cluster
from tests.web.door import Door, open_door
from tests.web.http.conftest import until
from tests.web.http.wire import get

from .conftest import Dial
from .peer import Peer
from .strict import replies
from .test_odd_results import Odd, looks_only

ALIASES = {"GET /far": "far.thing", "GET /fine": "odd.fine"}
WAYS = ["", "/stages"]
DEEP = "[" * 200 + "]" * 200
VERY_DEEP = "[" * 100_000 + "]" * 100_000

# What stands in `data` of a success, and the status of the reply; 504 for a packet that is refused, so that the call ends
# by its time.
DATA: dict[str, tuple[str, int]] = {
    "nothing": ("null", 200),
    "scalar": ("1", 200),
    "text": ('"a\\u0000b"', 200),
    "line ends": ('"a\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\n\\r\\n"', 200),
    "number beyond range": ("1e999", 200),
    "number of 5,000 digits": ("1" * 5_000, 200),
    "not a number": ("NaN", 504),
    "infinite": ("-Infinity", 504),
    "cut": ('{"a":', 504),
    "two documents": ("1 2", 504),
    "deep": (DEEP, 200),
    "very deep": (VERY_DEEP, 504),
    "lone surrogate": ('"\\ud800"', 200),
    "no UTF-8": ('"\udcff\udcfe"', 504),
    "a key twice": ('{"a":1,"a":2}', 200),
    "proto": ('{"__proto__":{"a":1},"constructor":1}', 200),
    "buffer": ('{"type":"Buffer","data":[1,2]}', 200),
    "buffer of wrong numbers": ('{"type":"Buffer","data":[300,-1]}', 200),
    "buffer of texts": ('{"type":"Buffer","data":["a"]}', 200),
    "buffer of lists": ('{"data":[[]],"type":"Buffer"}', 200),
    "buffer and more": ('{"type":"Buffer","data":[1],"x":1}', 200),
    "buffer of nothing": ('{"type":"Buffer","data":null}', 200),
    "buffer that is long": ('{"type":"Buffer","data":[' + ",".join(["1"] * 100_000) + "]}", 200),
}
# What goes on as it came, but has no value here for a hook to look at.
NO_VALUES = {"number beyond range", "number of 5,000 digits", "lone surrogate", "deep"}

# What stands in `error` of a failure.
ERRORS: dict[str, tuple[str, int]] = {
    "null": ("null", 500),
    "text": ('"broken"', 500),
    "list": ("[]", 500),
    "empty": ("{}", 500),
    "number": ("5", 500),
    "true": ("true", 500),
    "code as text": ('{"code":"404","message":"x"}', 500),
    "code that is text": ('{"code":"E_FAIL","message":"x"}', 500),
    "code of a success": ('{"code":200,"message":"x","type":"T"}', 500),
    "code of a redirect": ('{"code":302,"message":"x","type":"T"}', 500),
    "code of no message": ('{"code":101,"message":"x","type":"T"}', 500),
    "code below 0": ('{"code":-1,"message":"x","type":"T"}', 500),
    "code beyond": ('{"code":600,"message":"x","type":"T"}', 500),
    "code far beyond": ('{"code":99999999999999999999999,"message":"x","type":"T"}', 500),
    "code of a fraction": ('{"code":404.5,"message":"x","type":"T"}', 500),
    "code true": ('{"code":true,"message":"x","type":"T"}', 500),
    "code a list": ('{"code":[404],"message":"x","type":"T"}', 500),
    "code 404": ('{"code":404,"message":"x","type":"T"}', 404),
    "name a number": ('{"name":5,"code":404,"type":"T"}', 404),
    "name with line ends": ('{"name":"A\\r\\nB","code":404,"type":"T"}', 404),
    "name of a class": ('{"name":"SystemExit","code":404,"type":"T"}', 404),
    "name of a method": ('{"name":"__init__","code":404,"type":"T"}', 404),
    "message an object": ('{"message":{"a":1},"code":404,"type":"T"}', 404),
    "message with a NUL": ('{"message":"a\\u0000b","code":404,"type":"T"}', 404),
    "type a list": ('{"type":[],"code":404}', 404),
    "type with line ends": ('{"type":"A\\r\\nB","code":404}', 404),
    "data with big numbers": ('{"data":{"a":123456789012345678901234567890},"code":404,"type":"T"}', 404),
    "data proto": ('{"data":{"__proto__":1},"code":404,"type":"T"}', 404),
    "validation without a list": ('{"name":"ValidationError","code":422,"type":"VALIDATION_ERROR","data":"x"}', 422),
    "validation of odd faults": ('{"name":"ValidationError","code":422,"type":"VALIDATION_ERROR","data":[1,null,{"a":1}]}', 422),
    "not found of odd data": ('{"name":"ServiceNotFoundError","code":404,"type":"SERVICE_NOT_FOUND","data":[1]}', 404),
    "not found of an odd action": ('{"name":"ServiceNotFoundError","code":404,"type":"T","data":{"action":{"a":1}}}', 404),
    "stack a number": ('{"stack":5,"code":404,"type":"T"}', 404),
    "retryable a text": ('{"retryable":"yes","code":404,"type":"T"}', 404),
}  # fmt: skip

# What stands in `meta` of a success, and the status.
META: dict[str, tuple[str, int]] = {
    "status too low": ('{"$statusCode":99}', 500),
    "status of no message": ('{"$statusCode":101}', 500),
    "status too high": ('{"$statusCode":600}', 500),
    "status far too high": ('{"$statusCode":99999999999999999999999999}', 500),
    "status below 0": ('{"$statusCode":-200}', 500),
    "status of a fraction": ('{"$statusCode":200.5}', 500),
    "status that is nearly whole": ('{"$statusCode":200.0}', 500),
    "status true": ('{"$statusCode":true}', 500),
    "status a list": ('{"$statusCode":[200]}', 500),
    "status an object": ('{"$statusCode":{"a":1}}', 500),
    "status null": ('{"$statusCode":null}', 200),
    "status in digits": ('{"$statusCode":"201"}', 201),
    "status in other digits": ('{"$statusCode":"\\u0662\\u0660\\u0660"}', 500),
    "status with a line end": ('{"$statusCode":"200\\r\\nX: y"}', 500),
    "reason with a line end": ('{"$statusMessage":"OK\\r\\nX: y\\r\\n\\r\\n"}', 200),
    "reason a number": ('{"$statusMessage":5}', 200),
    "location with a line end": ('{"$statusCode":302,"$location":"/a\\r\\nSet-Cookie: a=b"}', 302),
    "location an object": ('{"$statusCode":302,"$location":{"a":1}}', 302),
    "type with a line end": ('{"$responseType":"text/html\\r\\n\\r\\n<script>"}', 200),
    "type a number": ('{"$responseType":5}', 200),
    "headers a text": ('{"$responseHeaders":"X: y"}', 200),
    "headers a list": ('{"$responseHeaders":[["X","y"]]}', 200),
    "headers of framing": ('{"$responseHeaders":{"Content-Length":"0","Transfer-Encoding":"chunked","Connection":"close"}}', 200),
    "headers of other names": ('{"$responseHeaders":{"":"a","a b":"c","a:":"b","a\\r\\nb":"c","\\u00e9":"a"}}', 200),
    "headers of other values": ('{"$responseHeaders":{"A":null,"B":{"a":1},"C":[[1]],"D":"a\\u0000b","E":"a\\nb"}}', 200),
    "headers of a big number": ('{"$responseHeaders":{"A":1' + "0" * 4_400 + "}}", 504),
    "headers of many": ('{"$responseHeaders":{' + ",".join(f'"X-{n}":"{n}"' for n in range(2_000)) + "}}", 200),
    "headers of the gateway": ('{"$responseHeaders":{"X-Request-ID":"other","Date":"never"}}', 200),
    "a list": ("[]", 504),
    "a text": ('"x"', 504),
    "a list where an object is": ('{"user":[1],"$x":1}', 200),
}  # fmt: skip


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.stop()


@pytest.fixture
async def peer(cluster: Cluster) -> AsyncIterator[Peer]:
    made = Peer(cluster.url)
    await made.join()
    yield made
    await made.leave()


@pytest.fixture
async def at(cluster: Cluster, peer: Peer) -> Door:
    broker = await cluster.node("gateway", request_timeout=0.1)
    opened = await open_door(
        Odd,
        routes=[{"aliases": ALIASES}, {"path": "/stages", "aliases": ALIASES, "onAfterCall": looks_only}],
        broker=broker,
    )
    await until(lambda: "far.thing" in broker.registry.actions)
    return opened


async def statuses(at: Door, dial: Dial) -> list[int]:
    """Of the reply to a request that goes to the other node, and of one that does not, for each way through the gateway."""
    found = []
    for way in WAYS:
        for _ in range(2):
            wire = await dial(at)
            wire.send(get(f"{way}/far") + get("/fine", "Connection: close"))
            first, second = replies(await wire.rest())
            assert (200, b'"fine"') == (second.status, second.body)
            assert "x" not in first.headers
            assert "set-cookie" not in first.headers
            found.append(first.status)
    return found


@pytest.mark.slow
async def test_data_of_any_kind(at: Door, dial: Dial, peer: Peer) -> None:
    found = {}
    for name, (data, _status) in DATA.items():
        peer.answer = f'"success":true,"data":{data}'
        found[name] = await statuses(at, dial)

    assert {
        name: [status, status, 500, 500] if name in NO_VALUES else [status] * 4 for name, (_, status) in DATA.items()
    } == found


@pytest.mark.slow
async def test_errors_of_any_kind(at: Door, dial: Dial, peer: Peer) -> None:
    found = {}
    for name, (error, _status) in ERRORS.items():
        peer.answer = f'"success":false,"error":{error}'
        found[name] = await statuses(at, dial)

    assert {name: [status] * 4 for name, (_, status) in ERRORS.items()} == found


@pytest.mark.slow
async def test_meta_of_any_kind(at: Door, dial: Dial, peer: Peer) -> None:
    found = {}
    for name, (meta, _status) in META.items():
        peer.answer = f'"success":true,"data":"x","meta":{meta}'
        found[name] = await statuses(at, dial)

    assert {name: [status] * 4 for name, (_, status) in META.items()} == found
