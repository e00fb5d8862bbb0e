"""A gateway under real ASGI servers: `server: False`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tautomer.errors import BrokerOptionsError, MoleculerClientError, ServiceSchemaError
from tests.web.asgi.hosts import SERVERS, serve
from tests.web.door import Answer, ask


class Things(Service):
    name = "things"

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.ended: asyncio.Queue[str] = asyncio.Queue()

    @action
    def get(self, ctx: Context) -> Any:
        return {"params": ctx.params}

    @action
    def fail(self, ctx: Context) -> None:
        raise MoleculerClientError("no tea", 418, "TEAPOT")

    @action
    async def wait(self, ctx: Context) -> str:
        self.begun.set()
        try:
            await asyncio.sleep(float(ctx.params.get("seconds", 30)))
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait("done")
        return "done"

    @action
    async def stream(self, ctx: Context) -> AsyncIterator[bytes]:
        try:
            for index in range(int(ctx.params["count"])):
                yield b"piece %d\n" % index
                if ctx.params.get("fail"):
                    raise ValueError("broken")
        finally:
            self.ended.put_nowait("closed")

    @action
    async def flood(self, ctx: Context) -> AsyncIterator[bytes]:
        self.begun.set()
        try:
            while True:
                yield bytes(65536)
        finally:
            self.ended.put_nowait("closed")


ALIASES = {
    "GET /things/:id": "things.get",
    "POST /things": "things.get",
    "GET /fail": "things.fail",
    "/wait": "things.wait",
    "/stream": "things.stream",
    "/flood": "things.flood",
}


def gateway(**settings: Any) -> ApiGatewayService:
    return ApiGatewayService(settings={"server": False, "routes": [{"aliases": ALIASES}], **settings})


async def registered(**settings: Any) -> tuple[Broker, Things, ApiGatewayService]:
    broker, things, made = Broker("hosted"), Things(), gateway(**settings)
    await broker.register(things)
    await broker.register(made)
    return broker, things, made


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def raw(port: int, request: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    return reader, writer


async def gone(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def test_the_server_starts_and_stops_the_node(server: str):
    broker, _, made = await registered()

    async with serve(made.app, server) as (_, port):
        assert broker.started
        answer = await ask(port, "GET", "/things/5?a=1")

    assert not broker.started
    assert (200, {"params": {"id": "5", "a": "1"}}) == (answer.status, answer.json)
    assert "application/json; charset=utf-8" == answer.header("content-type")


async def test_what_a_client_sends_reaches_the_action_and_back(server: str):
    _, _, made = await registered()

    async with serve(made.app, server) as (_, port):
        seen = {
            "json": await ask(
                port, "POST", "/things", headers={"Content-Type": "application/json"}, body=b'{"a": "\xc3\xa9"}'
            ),
            "head": await ask(port, "HEAD", "/things/5"),
            "fail": await ask(port, "GET", "/fail"),
            "none": await ask(port, "GET", "/none"),
            "method": await ask(port, "PUT", "/things"),
            "options": await ask(port, "OPTIONS", "/things"),
            "escaped": await ask(port, "GET", "/things/%C3%A9%20x"),
            "id": await ask(port, "GET", "/things/5", headers={"X-Request-ID": "mine-1"}),
        }

    assert {"params": {"a": "é"}} == seen["json"].json
    assert (200, b"", "21") == (seen["head"].status, seen["head"].body, seen["head"].header("content-length"))
    assert (418, "TEAPOT") == (seen["fail"].status, seen["fail"].type)
    assert (404, "NOT_FOUND") == (seen["none"].status, seen["none"].type)
    assert (405, "OPTIONS, POST") == (seen["method"].status, seen["method"].header("allow"))
    assert (204, b"", None) == (seen["options"].status, seen["options"].body, seen["options"].header("content-length"))
    assert "é x" == seen["escaped"].json["params"]["id"]
    assert "mine-1" == seen["id"].header("x-request-id")


@pytest.mark.parametrize(("trusted", "client"), [(["127.0.0.1"], "203.0.113.9"), ([], "127.0.0.1")])
async def test_proxies_are_believed_that_the_settings_trust(server: str, trusted: list[str], client: str):
    _, _, made = await registered(
        trustedProxies=trusted, routes=[{"aliases": {"GET /client": lambda request: request.client}}]
    )
    # Of itself it believes every client of this machine.
    options = {"proxy_headers": False} if server == "uvicorn" else {}

    async with serve(made.app, server, **options) as (_, port):
        answer = await ask(port, "GET", "/client", headers={"X-Forwarded-For": "6.6.6.6, 203.0.113.9"})

    assert client == answer.json


@pytest.mark.parametrize("target", ["/things/%2e%2e", "/things/a%2fb", "/things/%00", "/things/%ff", "/things/a%5cb"])
async def test_paths_that_might_be_read_in_two_ways_are_refused(server: str, target: str):
    _, _, made = await registered()

    async with serve(made.app, server) as (_, port):
        answer = await ask(port, "GET", target)

    assert (400, "INVALID_PATH") == (answer.status, answer.type)


async def test_trace_reaches_no_route(server: str):
    _, _, made = await registered()

    async with serve(made.app, server) as (_, port):
        answer = await ask(port, "TRACE", "/wait")

    assert (405, "METHOD_NOT_ALLOWED") == (answer.status, answer.type)


async def test_a_stream_goes_out_as_it_comes(server: str):
    _, things, made = await registered()

    async with serve(made.app, server) as (_, port):
        answer = await ask(port, "GET", "/stream?count=3")
        assert "closed" == await things.ended.get()

    assert "chunked" == answer.header("transfer-encoding")
    assert [b"piece 0\n", b"piece 1\n", b"piece 2\n"] == answer.body.split(b"\r\n")[1:-2:2]


async def test_a_stream_that_breaks_does_not_look_whole(server: str, caplog: pytest.LogCaptureFixture):
    _, _, made = await registered()

    async with serve(made.app, server) as (_, port):
        answer = await ask(port, "GET", "/stream?count=3&fail=1")

    assert 200 == answer.status
    assert not answer.body.endswith(b"0\r\n\r\n")
    assert "request failed" in [record.message for record in caplog.records]


@pytest.mark.parametrize(("method", "end"), [("GET", "cancelled"), ("POST", "done")])
async def test_a_client_that_leaves_cancels_what_is_safe_to_cancel(server: str, method: str, end: str):
    _, things, made = await registered()

    async with serve(made.app, server) as (_, port):
        _, writer = await raw(port, f"{method} /wait?seconds=0.3 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await things.begun.wait()
        await gone(writer)
        assert end == await asyncio.wait_for(things.ended.get(), 10)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_leaves_ends_its_stream(server: str, method: str):
    _, things, made = await registered()

    async with serve(made.app, server) as (_, port):
        reader, writer = await raw(port, f"{method} /flood HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readexactly(100)
        await gone(writer)
        assert "closed" == await asyncio.wait_for(things.ended.get(), 10)


async def test_a_body_over_the_limit_is_refused(server: str):
    _, _, made = await registered(limits={"body_bytes_max": 10_000})

    async with serve(made.app, server) as (_, port):
        told = await ask(port, "POST", "/things", body=b"x" * 200_000)
        reader, writer = await raw(
            port,
            b"POST /things HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"3e8\r\n%s\r\n" % (b"x" * 1000) * 20,
        )
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert (413, "PAYLOAD_TOO_LARGE") == (told.status, told.type)
    assert b"413" in head.split(b"\r\n")[0]


async def test_a_request_ends_at_its_deadline(server: str):
    _, things, made = await registered(routes=[{"aliases": ALIASES, "callOptions": {"timeout": 0.2}}])

    async with serve(made.app, server) as (_, port):
        answer = await ask(port, "POST", "/wait")

    assert (504, "REQUEST_TIMEOUT") == (answer.status, answer.type)
    assert "cancelled" == things.ended.get_nowait()


async def test_more_requests_than_may_run_at_once_are_refused(server: str):
    _, things, made = await registered(limits={"requests_max": 1})

    async with serve(made.app, server) as (_, port):
        _, writer = await raw(port, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await things.begun.wait()
        answer = await ask(port, "GET", "/things/5")
        await gone(writer)

    assert (503, "1") == (answer.status, answer.header("retry-after"))


async def test_a_node_that_runs_already_is_left_alone(server: str):
    broker, _, made = await registered()
    await broker.start()

    async with serve(made.app, server) as (_, port):
        assert 200 == (await ask(port, "GET", "/things/5")).status

    assert broker.started
    await broker.stop()


async def test_a_node_that_does_not_start_is_told_to_the_server(caplog: pytest.LogCaptureFixture):
    class Broken(Service):
        name = "broken"

        def started(self) -> None:
            raise ValueError("no database")

    broker, _, made = await registered()
    await broker.register(Broken())
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    await made.app({"type": "lifespan"}, receive, send)

    assert [{"type": "lifespan.startup.failed", "message": "ValueError: no database"}] == told
    assert not broker.started


async def test_below_another_path_of_its_host_the_gateway_sees_its_own_paths():
    from starlette.applications import Starlette
    from starlette.routing import Mount

    broker, _, made = await registered()
    await broker.start()

    async with serve(Starlette(routes=[Mount("/api", app=made.app)]), "uvicorn") as (_, port):
        seen = [await ask(port, "GET", path) for path in ("/api/things/5", "/things/5", "/api/%2e%2e/things/5")]

    await broker.stop()
    assert [200, 404, 400] == [answer.status for answer in seen]


async def test_http_2_reaches_the_gateway_under_hypercorn():
    pytest.importorskip("h2")
    from tests.web.asgi.http2 import ask_http2

    _, _, made = await registered(limits={"body_bytes_max": 100})

    async with serve(made.app, "hypercorn") as (_, port):
        get = await ask_http2(port, "GET", "/things/5?a=1")
        post = await ask_http2(port, "POST", "/things", b'{"a": 1}')
        large = await ask_http2(port, "POST", "/things", b"x" * 1000)

    assert (200, {"params": {"id": "5", "a": "1"}}) == (get.status, get.json)
    assert {"params": {"a": 1}} == post.json
    assert (413, "PAYLOAD_TOO_LARGE") == (large.status, large.type)


def test_a_gateway_with_a_port_of_its_own_has_no_app():
    made = ApiGatewayService(settings={"port": 0})
    Broker("n").create_service(made)

    with pytest.raises(BrokerOptionsError, match="set 'server' to False"):
        _ = made.app


def test_a_gateway_that_no_broker_knows_has_no_app():
    with pytest.raises(ServiceSchemaError, match="not registered"):
        _ = gateway().app


def answer_of(told: list[Any]) -> Answer:
    head, *pieces = told
    headers = [(name.decode(), value.decode()) for name, value in head["headers"]]
    return Answer(head["status"], "", headers, b"".join(piece["body"] for piece in pieces))


async def test_before_its_start_and_after_its_end_requests_are_refused():
    _, _, made = await registered()
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    await made.app({"type": "http"}, None, send)

    answer = answer_of(told)
    assert (503, "1", "SERVICE_UNAVAILABLE") == (
        answer.status,
        answer.header("retry-after"),
        json.loads(answer.body)["type"],
    )


async def test_a_websocket_is_not_accepted():
    _, _, made = await registered()
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        told.append(message)

    await made.app({"type": "websocket"}, receive, send)

    assert ["websocket.close"] == [message["type"] for message in told]
