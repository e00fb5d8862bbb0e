"""Both clients against a real service, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tautomer import (
    ApiGatewayService,
    AsyncRemoteClient,
    MicroService,
    RemoteClient,
    ServiceRegistry,
    private_api_method,
    public_method,
)
from tautomer.client import (
    AccessDeniedError,
    CalledServiceError,
    InvalidParams,
    MethodCall,
    MethodNotFound,
    Notification,
    RequestTimeout,
    ServiceUnreachable,
)
from tests.web.door import Door, open_door


class Hello(MicroService):
    name = "hello.world.service"

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    @public_method
    async def say_hello(self, name: str = "you") -> str:
        return f"hello {name}"

    @public_method(name="users.register")
    async def register(self, name: str) -> str:
        return f"registered {name}"

    @public_method(name="name")
    async def own_name(self) -> str:
        return "a method called name"

    @public_method(name="close")
    async def shut(self) -> str:
        return "a method called close"

    @public_method
    async def note(self, text: str) -> None:
        self.heard.append(text)

    @public_method
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @private_api_method
    async def secret(self) -> str:
        return "secret"

    async def api_token_is_valid(self, api_token: str | None) -> bool:
        return api_token == "good"


@pytest.fixture
async def hello() -> AsyncIterator[tuple[Door, Hello, str]]:
    service = Hello()
    door = await open_door(service, routes=[{"path": "/api", "jsonrpc": {"services": [service.name]}}])
    yield door, service, f"http://127.0.0.1:{door.port}/api"
    await door.broker.stop()


Run = Callable[[Callable[[Any], Any]], Awaitable[Any]]


@pytest.fixture(params=["blocking", "awaited", "blocking socket", "awaited socket"])
def run(request: pytest.FixtureRequest, hello: tuple[Door, Hello, str]) -> Run:
    """Runs a test's steps with either client, by HTTP or by WebSocket: ``await run(lambda client: client.methods.f())``."""
    kind, _, socket = request.param.partition(" ")
    return runner(kind, hello[2].replace("http:", "ws:") if socket else hello[2])


@pytest.fixture(params=["blocking", "awaited"])
def run_http(request: pytest.FixtureRequest) -> Run:
    return runner(request.param, "")


def runner(kind: str, home: str) -> Run:
    async def go(step: Callable[[Any], Any], url: str = home, **settings: Any) -> Any:
        url = url.replace("http:", "ws:") if home.startswith("ws:") else url
        if kind == "awaited":
            async with AsyncRemoteClient(url, **settings) as client:
                made = step(client)
                return await made if hasattr(made, "__await__") else made

        def blocking() -> Any:
            with RemoteClient(url, **settings) as client:
                return step(client)

        return await asyncio.to_thread(blocking)

    return go


@pytest.mark.parametrize(
    ("step", "result"),
    [
        (lambda client: client.methods.say_hello("world"), "hello world"),
        (lambda client: client.methods.say_hello(name="world"), "hello world"),
        (lambda client: client.methods.say_hello(), "hello you"),
        (lambda client: client.methods["users.register"]("x"), "registered x"),
        (lambda client: client.methods.users.register(name="x"), "registered x"),
        (lambda client: client.methods.name(), "a method called name"),
        (lambda client: client.methods.close(), "a method called close"),
        (lambda client: client.name, "hello.world.service"),
    ],
)
async def test_calls(run: Run, step: Any, result: str) -> None:
    assert result == await run(step)


async def test_its_methods(run: Run) -> None:
    assert {"say_hello", "users.register", "secret"} <= set(await run(lambda client: client.get_available_methods()))


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (lambda client: client.methods.nothing(), MethodNotFound),
        (lambda client: client.methods.say_hello(nam="x"), InvalidParams),
        (lambda client: client.methods.secret(), AccessDeniedError),
        (lambda client: client.methods.say_hello("x", name="y"), ValueError),
        (lambda client: client.call_batch("say_hello"), TypeError),
    ],
)
async def test_errors(run: Run, step: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await run(step)


async def test_call_method_does_not_raise_for_errors_of_the_method(run: Run) -> None:
    result = await run(lambda client: client.call_method("say_hello", {"x": 1}))

    assert (None, -32602) == (result.result, result.error["code"])


@pytest.mark.parametrize("kind", ["header", "cookie"])
async def test_a_token(run: Any, hello: tuple[Door, Hello, str], kind: str) -> None:
    if kind == "cookie":
        from tautomer import BasicCookieStrategy

        hello[1].validation_strategies = (BasicCookieStrategy(),)
    options = {"auth_type": kind, "auth_token": "good"}

    assert "secret" == await run(lambda client: client.methods.secret(), options=options)


async def test_notifications(run: Run, hello: tuple[Door, Hello, str]) -> None:
    assert None is await run(lambda client: client.notifications.note("by name"))
    assert None is await run(lambda client: client.notify(Notification("note", ["as object"])))
    assert None is await run(lambda client: client.notifications.nothing())
    await hello[0].broker.stop()
    assert ["by name", "as object"] == hello[1].heard


async def test_batches(run: Run) -> None:
    first, second = MethodCall("say_hello", ["a"], id=0), MethodCall("nothing")

    batch = await run(lambda client: client.call_batch(first, Notification("note", ["x"]), second))

    assert 2 == len(batch)
    assert "hello a" == batch.get_response_for_call(first).result
    assert -32601 == batch.get_response_for_call(second).error["code"]
    assert 0 == len(await run(lambda client: client.call_batch(Notification("note", ["x"]))))
    assert 0 == len(await run(lambda client: client.call_batch()))


@pytest.mark.slow
async def test_a_method_that_hangs_ends_with_the_timeout(run: Any) -> None:
    with pytest.raises(RequestTimeout) as caught:
        await run(lambda client: client.methods.hang(), timeout=0.3)

    assert isinstance(caught.value, TimeoutError)


async def test_nobody_there(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(ServiceUnreachable) as caught:
        await run(lambda client: client.methods.say_hello(), url=f"http://127.0.0.1:{port}/api", retries=2)

    assert isinstance(caught.value, ConnectionError)


async def test_a_blocking_client_refuses_to_block_a_loop(hello: tuple[Door, Hello, str]) -> None:
    with RemoteClient(hello[2]) as client, pytest.raises(RuntimeError, match="AsyncRemoteClient"):
        client.methods.say_hello()


async def test_names_are_checked_once_they_are_known(hello: tuple[Door, Hello, str]) -> None:
    client = await AsyncRemoteClient.connect(hello[2])
    async with client:
        with pytest.raises(AttributeError, match="say_hello"):
            _ = client.methods.say_helo
        assert "registered x" == await client.methods.users.register("x")

    def blocking() -> None:
        with RemoteClient.connect(hello[2]) as made, pytest.raises(AttributeError):
            _ = made.methods.nothing

    await asyncio.to_thread(blocking)


async def test_several_threads_share_a_client(hello: tuple[Door, Hello, str]) -> None:
    with RemoteClient(hello[2]) as client:
        told = await asyncio.gather(*[asyncio.to_thread(client.methods.say_hello, str(n)) for n in range(20)])

    assert [f"hello {n}" for n in range(20)] == told


async def test_a_service_found_by_its_name_in_the_mesh(hello: tuple[Door, Hello, str]) -> None:
    door, _service, url = hello
    there, registry = Hello(), ServiceRegistry()
    there.name, there.accessible_at = "hello.there", url
    gateway = ApiGatewayService(
        "registry",
        settings={"port": 0, "ip": "127.0.0.1", "routes": [{"path": "/api", "jsonrpc": {"services": [registry.name]}}]},
    )
    for one in (there, registry, gateway):
        await door.broker.register(one)

    found = await AsyncRemoteClient.get_service_by_name(f"http://127.0.0.1:{gateway.port}/api", "hello.t*")
    async with found:
        assert "hello x" == await found.methods.say_hello("x")


# --- servers that misbehave ---


class Odd(BaseHTTPRequestHandler):
    """Answers by the path: ``/drop`` closes the first connection without a word, ``/old`` speaks as gemstone."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append(asked)
        if self.path == "/drop" and len(server.asked) == 1:
            self.close_connection = True
            return
        answer: Any = {"jsonrpc": "2.0", "result": "late", "error": None, "id": asked.get("id")}
        if self.path == "/registry":
            answer["result"] = server.located
        elif asked["method"] == "get_service_specs":
            answer["result"] = {"name": "old", "methods": {"f": None}}
        told = json.dumps(answer).encode()
        if self.path == "/page":
            told = b"<html>"
        self.send_response(502 if self.path == "/page" else 200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def odd() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as server:
        server.daemon_threads = True
        server.asked = []  # type: ignore[attr-defined]  # Ours.
        server.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]  # As above.
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_an_old_server(run_http: Any, odd: Any) -> None:
    assert "late" == await run_http(lambda client: client.methods.f(), url=f"{odd.url}/old")
    assert "old" == await run_http(lambda client: client.name, url=f"{odd.url}/old")


async def test_a_page_in_the_place_of_an_answer(run_http: Any, odd: Any) -> None:
    with pytest.raises(CalledServiceError, match="HTTP status 502: <html>"):
        await run_http(lambda client: client.methods.f(), url=f"{odd.url}/page")


async def test_what_may_have_run_is_sent_again_only_where_that_does_no_harm(run_http: Any, odd: Any) -> None:
    with pytest.raises(ServiceUnreachable):
        await run_http(lambda client: client.methods.f(), url=f"{odd.url}/drop")
    assert 1 == len(odd.asked)

    odd.asked.clear()
    assert "late" == await run_http(lambda client: client.methods.f(), url=f"{odd.url}/drop", idempotent=True)
    assert 2 == len(odd.asked)


async def test_of_several_found_the_dead_one_is_skipped(odd: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        dead = f"http://127.0.0.1:{free.getsockname()[1]}/api"
    odd.located = [dead, f"{odd.url}/old", dead]

    def blocking() -> str:
        with RemoteClient.get_service_by_name(f"{odd.url}/registry", "old", retries=0) as client:
            return client.name

    assert "old" == await asyncio.to_thread(blocking)
    async with await AsyncRemoteClient.get_service_by_name(f"{odd.url}/registry", "old", retries=0) as client:
        assert "old" == await client.name
    odd.located = []
    with pytest.raises(CalledServiceError, match="Unable to locate service x"):
        await AsyncRemoteClient.get_service_by_name(f"{odd.url}/registry", "x")


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"options": {"auth_type": "basic"}}])
def test_wrong_settings(settings: Any) -> None:
    with pytest.raises(ValueError):
        RemoteClient("http://127.0.0.1/", **settings)


@pytest.mark.slow
def test_without_the_library_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['httpx2'] = None\n"
        "from tautomer import RemoteClient, errors\n"
        "try: RemoteClient('http://127.0.0.1:1/').methods.f()\n"
        "except errors.BrokerOptionsError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout

    assert "pip install 'tautomer[client]'" in told
