"""Bodies that are read while they still arrive, on the wire."""

from __future__ import annotations

import asyncio

import pytest

from tautomer.errors import MoleculerError, StreamError
from tautomer.incoming import HELD_BYTES_MAX, IncomingBody
from tautomer.web.messages.limits import BodyPlan
from tautomer.web.messages.message import Reply, Request

from .conftest import Dial, Serve, until
from .wire import Wire, get, post


def streamed(bytes_max: int = 0) -> BodyPlan:
    return BodyPlan(bytes_max, streamed=True)


class App:
    """Reads bodies as they come. The path says what it does."""

    def __init__(self) -> None:
        self.begun = 0
        self.got = bytearray()
        self.errors: list[BaseException] = []
        self.go = asyncio.Event()

    async def handle(self, request: Request) -> Reply:
        self.begun += 1
        body = request.incoming
        if request.path == "/plain" or body is None:
            return Reply(200, [], b"plain " + request.raw_body)
        if request.path == "/refuse":
            return Reply(401, [], b"no")
        try:
            if request.path == "/wait":
                await self.go.wait()
            if request.path == "/echo":
                return Reply(200, [], body)
            if request.path == "/first":
                return Reply(200, [], await anext(body))
            self.got.clear()
            async for chunk in body:
                self.got += chunk
        except MoleculerError as error:
            self.errors.append(error)
            return Reply(int(error.code), [], error.type.encode())  # type: ignore[union-attr]  # Such an error has one.
        except asyncio.CancelledError as error:
            self.errors.append(error)
            raise
        return Reply(200, [], b"%d" % len(self.got))


@pytest.fixture
def app() -> App:
    return App()


def plan(request: Request) -> BodyPlan:
    return BodyPlan(100) if request.path == "/plain" else streamed(1_000_000)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_request_runs_before_its_body_is_there(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan))
    wire.send(get("/", "Content-Length: 6", method="PUT"))

    await until(lambda: app.begun == 1)
    wire.send(b"abc")
    await until(lambda: app.got == b"abc")
    wire.send(b"def")

    answer = await wire.answer()
    assert (200, b"6", False) == (answer.status, answer.body, answer.closes)
    assert b"abcdef" == app.got


async def test_a_connection_serves_on_after_a_body_that_was_read_and_what_was_sent_ahead_keeps_its_turn(
    serve: Serve, dial: Dial, app: App
) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan))
    chunked = get("/", "Transfer-Encoding: chunked", method="PUT") + chunk(b"abc") + chunk(b"de") + b"0\r\n\r\n"
    wire.send(post(b"x" * 200_000) + chunked + post(b"now", path="/plain") + post(b"", path="/") + post(b"12"))

    answers = [await wire.answer() for _ in range(5)]

    assert [b"200000", b"5", b"plain now", b"plain ", b"2"] == [answer.body for answer in answers]
    assert not any(answer.closes for answer in answers)


async def test_a_body_that_came_whole_need_not_be_read(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan))
    wire.send(post(b"abc", path="/refuse") + post(b"abc"))

    assert (401, False) == ((first := await wire.answer()).status, first.closes)
    assert b"3" == (await wire.answer()).body


async def test_who_does_not_read_holds_the_client_back(serve: Serve, dial: Dial, app: App) -> None:
    server = await serve(app.handle, body_plan=lambda request: streamed(), body_grace=0.1, body_rate_bytes=2_000_000)
    wire = await dial(server)
    size = 64 * 1024 * 1024
    wire.send(get("/wait", f"Content-Length: {size}", method="PUT"))
    piece = bytes(65536)

    async def push() -> None:
        for _ in range(size // len(piece)):
            wire.send(piece)
            await wire.writer.drain()

    pushing = asyncio.create_task(push())
    await until(lambda: app.begun == 1)
    # Past the time by which more would have to be there, if it were not we who hold it back.
    await asyncio.sleep(0.5)
    assert not pushing.done()
    app.go.set()
    await pushing

    assert b"%d" % size == (await wire.answer()).body
    assert size == len(app.got)


@pytest.mark.parametrize("body", [b"Content-Length: 1000001", b"Transfer-Encoding: chunked"])
async def test_a_body_over_its_limit_is_413(serve: Serve, dial: Dial, app: App, body: bytes) -> None:
    server = await serve(app.handle, body_plan=plan, linger=0.1)
    wire = await dial(server)
    wire.send(get("/", body.decode(), method="PUT"))
    if b"chunked" in body:
        wire.send(chunk(b"x" * 999_999) + b"2\r\n")

    answer = await wire.answer()

    assert (413, True) == (answer.status, answer.closes)
    assert b"PAYLOAD_TOO_LARGE" in answer.body
    assert {"PAYLOAD_TOO_LARGE": 1} == server.statistics()["refused"]
    assert b"" == await wire.rest()


async def test_broken_framing_reaches_the_reader(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan, linger=0.1))
    wire.send(get("/", "Transfer-Encoding: chunked", method="PUT") + chunk(b"abc") + b"nonsense\r\n" + get("/plain"))

    answer = await wire.answer()

    assert (400, b"BAD_REQUEST", True) == (answer.status, answer.body, answer.closes)
    assert b"" == await wire.rest()


@pytest.mark.parametrize("limits", [{"body_grace": 0.05, "body_rate_bytes": 1000}, {"request_time": 0.1}])
async def test_a_client_that_is_too_slow_is_408(serve: Serve, dial: Dial, app: App, limits: dict[str, float]) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan, linger=0.1, **limits))
    wire.send(get("/", "Content-Length: 6", method="PUT") + b"abc")

    answer = await wire.answer()

    assert (408, b"REQUEST_TIMEOUT", True) == (answer.status, answer.body, answer.closes)


async def test_who_expects_100_is_told_to_go_on_when_the_body_is_wanted(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan, body_grace=0.4, body_rate_bytes=1_000_000))
    wire.send(get("/wait", "Content-Length: 6", "Expect: 100-continue", method="PUT"))

    await until(lambda: app.begun == 1)
    await asyncio.sleep(0.6)  # Its time does not run while it waits for our word.
    app.go.set()
    assert 100 == (await wire.answer()).status
    wire.send(b"abcdef")

    assert b"6" == (await wire.answer()).body


async def test_who_expects_100_and_is_refused_is_never_told_to_go_on(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan, linger=0.1))
    wire.send(get("/refuse", "Content-Length: 6", "Expect: 100-continue", method="PUT"))

    answer = await wire.answer()

    assert (401, True) == (answer.status, answer.closes)
    assert b"" == await wire.rest()


async def test_an_answer_before_the_end_of_the_body_is_out_at_once_and_the_last(
    serve: Serve, dial: Dial, app: App
) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan, linger=0.2))
    wire.send(get("/first", "Content-Length: 60", method="PUT") + b"abc")

    answer = await wire.answer()
    wire.send(get("/plain"))

    assert (200, b"abc", True) == (answer.status, answer.body, answer.closes)
    assert b"" == await wire.rest()
    assert 1 == app.begun


async def test_a_body_may_flow_back_as_it_comes(serve: Serve, dial: Dial, app: App) -> None:
    wire = await dial(await serve(app.handle, body_plan=plan))
    wire.send(get("/echo", "Content-Length: 6", method="PUT") + b"abc")

    head = await wire.reader.readuntil(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert b"3\r\nabc\r\n" == await wire.reader.readexactly(8)
    wire.send(b"def")

    assert b"3\r\ndef\r\n0\r\n\r\n" == await wire.rest()


@pytest.mark.parametrize("how", ["reset", "close", "half"])
async def test_a_client_that_leaves_midway_ends_the_request(serve: Serve, dial: Dial, app: App, how: str) -> None:
    server = await serve(app.handle, body_plan=plan)
    wire = await dial(server)
    wire.send(get("/", "Content-Length: 60", method="PUT") + b"abc")
    await until(lambda: app.got == b"abc")

    await leave(wire, how)

    await until(lambda: bool(app.errors))
    assert isinstance(app.errors[0], StreamError | asyncio.CancelledError)
    await until(lambda: server.statistics()["requests_running"] == 0 and server.statistics()["connections"] == 0)


async def leave(wire: Wire, how: str) -> None:
    if how == "reset":
        wire.reset()
    elif how == "close":
        await wire.close()
    else:
        wire.writer.write_eof()


async def test_a_client_that_leaves_after_its_body_does_not_end_the_request(serve: Serve, dial: Dial, app: App) -> None:
    server = await serve(app.handle, body_plan=plan)
    wire = await dial(server)
    wire.send(get("/wait", "Content-Length: 3", method="PUT") + b"abc")
    await until(lambda: app.begun == 1)

    wire.reset()
    await until(lambda: server.statistics()["connections"] == 0)
    app.go.set()

    await until(lambda: server.statistics()["requests_running"] == 0)
    assert (b"abc", []) == (app.got, app.errors)


async def test_what_waits_for_the_reader_is_bounded(serve: Serve, dial: Dial) -> None:
    bodies = []

    async def handle(request: Request) -> Reply:
        bodies.append(request.incoming)
        await asyncio.Event().wait()
        return Reply(200)

    wire = await dial(await serve(handle, body_plan=lambda request: streamed()))
    wire.send(get("/", "Content-Length: 100000000", method="PUT"))
    wire.send(bytes(10_000_000))

    await until(lambda: bool(bodies) and bodies[0].is_full)
    await asyncio.sleep(0.05)
    # One read more than the mark.
    assert bodies[0]._held <= HELD_BYTES_MAX + 256 * 1024
    wire.reset()


async def test_a_busy_server_refuses_an_upload_without_reading_it(serve: Serve, dial: Dial, app: App) -> None:
    server = await serve(app.handle, body_plan=plan, requests_max=1, linger=0.1)
    first, second = await dial(server), await dial(server)
    first.send(get("/wait", "Content-Length: 3", method="PUT"))
    await until(lambda: app.begun == 1)
    second.send(get("/", "Content-Length: 3", method="PUT"))

    answer = await second.answer()

    assert (503, True) == (answer.status, answer.closes)
    assert b"" == await second.rest()


async def test_a_stop_waits_for_an_upload_and_then_cuts_it(serve: Serve, dial: Dial, app: App) -> None:
    server = await serve(app.handle, body_plan=plan)
    wire = await dial(server)
    wire.send(get("/", "Content-Length: 6", method="PUT") + b"abc")
    await until(lambda: app.got == b"abc")

    await server.stop(0.05)

    assert [asyncio.CancelledError] == [type(error) for error in app.errors]


async def test_two_readers_of_one_body_are_told_apart() -> None:
    body = IncomingBody(lambda: None)

    async def read() -> bytes:
        return await anext(body)

    first = asyncio.create_task(read())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="one reader"):
        await anext(body)
    body.push(b"x")

    assert b"x" == await first
