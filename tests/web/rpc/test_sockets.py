"""JSON-RPC over WebSockets, by every door: our own server, and the ASGI servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tautomer import (
    ApiGatewayService,
    BasicCookieStrategy,
    Broker,
    Context,
    MicroService,
    Service,
    Settings,
    WebSocketHubProvider,
    errors,
    private_api_method,
    public_method,
    websocket_rpc,
)
from tests.rpc_cases import EDGES, STANDARD, ask, good, read, written
from tests.web.asgi.hosts import SERVERS, serve
from tests.web.sockets.chat import WAIT, sockets_of, until

from .services import Calculator, Vault

LAST = '"the last"'


def many(*requests: str) -> str:
    return f"[{','.join(requests)}]"


class Lobby(Service):
    """What is called by sockets, and uses the hub."""

    name = "lobby"
    hub = WebSocketHubProvider()

    def __init__(self) -> None:
        super().__init__()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.go_on = asyncio.Event()

    @public_method
    async def join(self, ctx: Context, room: str) -> str:
        self.hub.subscribe(ctx.meta["$socketId"], room)
        return "ok"

    @public_method
    async def say(self, room: str, text: str) -> None:
        self.hub.broadcast(room, "said", {"text": text})

    @public_method
    async def wait(self, name: str) -> str:
        self.begun.put_nowait(name)
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.ended.put_nowait("cancelled")
            raise
        self.ended.put_nowait(name)
        return name


class Client:
    """One end of a socket. Every wait is bounded."""

    def __init__(self, line: ClientConnection) -> None:
        self.line = line
        self._calls = 0

    async def send(self, text: str) -> None:
        await self.line.send(written(text))

    async def next(self) -> Any:
        async with asyncio.timeout(WAIT):
            return json.loads(await self.line.recv())

    async def raw(self, text: str, answered: bool = True) -> str:
        """What is answered to a message; empty where nothing is to be, which the next answer shows."""
        await self.send(text)
        if not answered:
            await self.send(ask("nothing", None, LAST))
        async with asyncio.timeout(WAIT):
            told = str(await self.line.recv())
        return told if answered else told.replace(written(good(LAST, "null")), "")

    async def call(self, method: str, params: Any = None) -> Any:
        """The answer to a call."""
        self._calls += 1
        told = {"jsonrpc": "2.0", "method": method, "id": self._calls, **({} if params is None else {"params": params})}
        await self.line.send(json.dumps(told))
        answer = await self.next()
        assert self._calls == answer["id"]
        return answer

    async def closed(self) -> int | None:
        async with asyncio.timeout(WAIT):
            await self.line.wait_closed()
        return self.line.close_code


Open = Callable[..., AbstractAsyncContextManager[Client]]


class Door:
    """One kind of server in front of a node with services."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.lobby = Lobby()

    @asynccontextmanager
    async def __call__(
        self,
        *services: Any,
        jsonrpc: Any = True,
        route: dict[str, Any] | None = None,
        websocket: Any = None,
        settings: dict[str, Any] | None = None,
    ) -> AsyncIterator[Open]:
        self.broker = Broker("node", Settings(shutdown_timeout=2.0, **(settings or {})))
        for service in (*services, self.lobby):
            await self.broker.register(service)
        own = self.kind == "own"
        gateway = ApiGatewayService(
            settings={
                "ip": "127.0.0.1",
                "port": 0,
                "server": own,
                "routes": [{"path": "/api", "jsonrpc": jsonrpc, **(route or {})}],
                "websocket": websocket,
            }
        )
        await self.broker.register(gateway)
        if own:
            async with self.broker:
                yield opener("127.0.0.1", gateway.port)
        else:
            async with serve(gateway.app, self.kind) as (host, port):
                yield opener(host, port)


def opener(host: str, port: int) -> Open:
    @asynccontextmanager
    async def dial(path: str = "/api", headers: dict[str, str] | None = None, **options: Any) -> AsyncIterator[Client]:
        options = {"compression": None, "proxy": None, "max_queue": None, "ping_interval": None, **options}
        url = f"ws://{host}:{port}{path}"
        async with connect(url, additional_headers=headers, open_timeout=WAIT, **options) as line:
            yield Client(line)

    return dial


@pytest.fixture(params=["own", *SERVERS])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture
def own() -> Door:
    """For what is the same behind every server."""
    return Door("own")


# --- the standard ---


async def test_every_case_of_the_table(door: Door) -> None:
    """Alone and inside a batch."""
    async with door(Calculator, websocket={"messages_per_second": 0}) as dial, dial() as client:
        for name, request, expected in (*STANDARD, *EDGES):
            if any(0xD800 <= ord(one) <= 0xDFFF for one in request):
                continue  # No text of a WebSocket.
            assert read(None if expected is None else written(expected)) == read(
                await client.raw(request, expected is not None)
            ), name
            assert await client.raw(ask("nothing"))  # Ten faults in a row would be the last.

            try:
                value = json.loads(written(request))
            except (ValueError, RecursionError):
                continue
            if isinstance(value, list):
                continue
            told = read(await client.raw(f"[{request},{ask('nothing')}]"))
            if isinstance(told, list):
                assert ([] if expected is None else [read(written(expected))]) == told[:-1], name
            else:
                assert -32700 == told["error"]["code"], name


async def test_answers_come_as_they_are_ready(door: Door) -> None:
    async with door() as dial, dial() as client:
        await client.send(ask("wait", '["slow"]', "1"))
        await client.send(ask("join", '["a"]', "2"))

        assert 2 == (await client.next())["id"]
        door.lobby.go_on.set()
        assert {"jsonrpc": "2.0", "result": "slow", "id": 1} == await client.next()


async def test_one_after_the_other_where_the_endpoint_wants_it_so(own: Door) -> None:
    async with own(jsonrpc={"sequential": True}) as dial, dial() as client:
        await client.send(ask("wait", '["notified"]', None))
        await client.send(many(ask("wait", '["1"]', None), ask("wait", '["2"]', "1")))
        await client.send(ask("join", '["a"]', "2"))
        assert "notified" == await own.lobby.begun.get()
        await asyncio.sleep(0.05)
        assert own.lobby.begun.empty()
        own.lobby.go_on.set()

        assert [{"jsonrpc": "2.0", "result": "2", "id": 1}] == await client.next()
        assert 2 == (await client.next())["id"]
        assert ["notified", "1", "2"] == [own.lobby.ended.get_nowait() for _ in range(3)]


async def test_so_many_of_a_socket_run_at_once(own: Door) -> None:
    async with own(jsonrpc={"max_in_flight": 3}) as dial, dial() as client:
        for number in range(5):
            await client.send(ask("wait", f'["{number}"]', str(number)))
        for _ in range(3):
            await own.lobby.begun.get()
        await asyncio.sleep(0.05)
        assert own.lobby.begun.empty()
        own.lobby.go_on.set()

        assert set(range(5)) == {(await client.next())["id"] for _ in range(5)}


async def test_long_messages_take_more_places(own: Door) -> None:
    async with own(Calculator, websocket={"max_message": 1000}, jsonrpc={"max_in_flight": 4}) as dial, dial() as client:
        for number in range(3):
            await client.send(ask("wait", f'["{"x" * 400}"]', str(number)))
        for _ in range(2):
            await own.lobby.begun.get()
        await asyncio.sleep(0.05)
        assert own.lobby.begun.empty()
        own.lobby.go_on.set()

        assert {0, 1, 2} == {(await client.next())["id"] for _ in range(3)}


async def test_a_hundred_calls_at_once_each_have_their_own_answer(door: Door) -> None:
    async with door(Calculator, websocket={"messages_per_second": 0}) as dial, dial() as client:
        for number in range(300):
            await client.send(ask("subtract", f"[{number},1]" if number % 3 else "[1]", str(number)))
        answers = {one["id"]: one for one in [await client.next() for _ in range(300)]}

    assert set(range(300)) == set(answers)
    assert [number - 1 if number % 3 else -32602 for number in range(300)] == [
        answers[number].get("result", answers[number].get("error", {}).get("code")) for number in range(300)
    ]


async def test_notifications_run_and_are_not_answered(door: Door) -> None:
    vault = Vault()
    async with door(vault) as dial, dial() as client:
        await client.send(ask("slow", "[1]", None))
        await client.send(many(ask("slow", "[2]", None), ask("nobody", None, None)))
        assert "result" in await client.call("whoami")
        await until(lambda: len(vault.ran) == 2)


# --- tokens, and who may ---


@pytest.mark.parametrize(
    ("headers", "code"),
    [({}, -32001), ({"X-Api-Token": "bad"}, -32001), ({"X-Api-Token": "good"}, None), ({"X-Api-Token": "ann"}, None)],
)
async def test_the_handshake_shows_the_token(door: Door, headers: dict[str, str], code: int | None) -> None:
    vault = Vault()
    async with door(vault) as dial, dial(headers=headers) as client:
        answer = await client.call("secret")
        again = await client.call("secret")

    assert [code] * 2 == [one.get("error", {}).get("code") for one in (answer, again)]
    assert ([] if code else ["secret"] * 2) == vault.ran


async def test_a_browser_shows_it_by_a_cookie(own: Door) -> None:
    class Hidden(MicroService):
        name = "hidden"
        validation_strategies = (BasicCookieStrategy(),)

        @private_api_method
        def secret(self) -> str:
            return "secret"

        def api_token_is_valid(self, api_token: str | None) -> Any:
            return api_token == "good"

    async with own(Hidden) as dial:
        async with dial(headers={"Cookie": "AuthToken=good"}) as client:
            assert "secret" == (await client.call("secret"))["result"]
        async with dial(headers={"Cookie": "AuthToken=bad"}) as client:
            assert -32001 == (await client.call("secret"))["error"]["code"]


async def test_the_route_s_guards_stand_before_the_handshake(door: Door) -> None:
    def authenticate(ctx: Any, route: Any, request: Any) -> Any:
        if request.header("authorization") != "Bearer x":
            raise errors.UnAuthorizedError()
        return {"name": "Bob"}

    async with door(Vault, route={"authentication": authenticate}) as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial():
                pass
        async with dial(headers={"Authorization": "Bearer x"}) as client:
            assert {"name": "Bob"} == (await client.call("whoami"))["result"]["user"]

    assert refused.value.response.status_code in (401, 403)
    if door.kind == "own":
        assert -32001 == json.loads(refused.value.response.body or b"")["error"]["code"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
async def test_pages_of_other_sites_get_no_socket(door: Door, origin: str) -> None:
    async with door() as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial(origin=origin):
                pass

    assert 403 == refused.value.response.status_code


@pytest.mark.parametrize(
    "settings",
    [{"route": {"cors": {"origin": ["https://a.example"]}}}, {"websocket": {"origins": "https://a.example"}}],
)
async def test_pages_of_sites_that_the_route_or_the_sockets_list_do(own: Door, settings: Any) -> None:
    async with own(Calculator, **settings) as dial, dial(origin="https://a.example") as client:
        assert 3 == (await client.call("sum", [1, 2]))["result"]


@pytest.mark.parametrize("settings", [{"jsonrpc": {"websocket": False}}, {"websocket": False}])
async def test_sockets_may_be_forbidden(door: Door, settings: Any) -> None:
    async with door(Calculator, **settings) as dial:
        with pytest.raises(InvalidStatus) as refused:
            async with dial():
                pass

    assert refused.value.response.status_code in (400, 403)


@pytest.mark.parametrize(("path", "found"), [("/api/", True), ("/API", True), ("/api?x=1", True), ("/api/x", False)])
async def test_they_are_where_its_posts_are(own: Door, path: str, found: bool) -> None:
    async with own(Calculator) as dial:
        if found:
            async with dial(path) as client:
                assert 3 == (await client.call("sum", [1, 2]))["result"]
        else:
            with pytest.raises(InvalidStatus):
                async with dial(path):
                    pass


async def test_routes_may_come_and_go(own: Door) -> None:
    async with own(Calculator) as dial:
        added = {"route": {"path": "/tenants/:id/rpc", "jsonrpc": True}}
        await own.broker.call("api.addRoute", added)
        async with dial("/tenants/7/rpc") as client:
            assert 3 == (await client.call("sum", [1, 2]))["result"]
        await own.broker.call("api.removeRoute", {"path": "/tenants/:id/rpc"})
        with pytest.raises(InvalidStatus):
            async with dial("/tenants/7/rpc"):
                pass


# --- limits ---


async def test_the_route_s_rate_limit_counts_messages(own: Door) -> None:
    async with own(Calculator, route={"rateLimit": {"limit": 3, "window": 60}}) as dial, dial() as client:
        answers = [await client.call("sum", [1]) for _ in range(3)]

    # The handshake was the first request.
    assert [None, None, -32003] == [one.get("error", {}).get("code") for one in answers]
    assert 0 < answers[2]["error"]["data"]["retryAfter"] <= 60


async def test_who_sends_too_much_is_told_and_then_closed(door: Door) -> None:
    async with door(Calculator, websocket={"messages_per_second": 3}) as dial, dial() as client:
        for number in range(20):
            await client.send(ask("sum", "[1]", str(number)))
        answers = [await client.next() for _ in range(13)]

        assert 1008 == await client.closed()
    assert -32003 == answers[-1]["error"]["code"]
    assert [0, 1, 2] == [one["id"] for one in answers if "result" in one][:3]


async def test_ten_malformed_messages_in_a_row_close(door: Door) -> None:
    async with door(Calculator) as dial, dial() as client:
        for text in ("no json", "[]", "{}") * 3:
            await client.send(text)
            assert (await client.next())["error"]["code"] in (-32700, -32600)
        await client.call("sum", [1])
        for _ in range(10):
            await client.send("[1]")

        assert 1008 == await client.closed()


async def test_a_binary_message_closes(door: Door) -> None:
    async with door() as dial, dial() as client:
        await client.line.send(b"{}")

        assert 1003 == await client.closed()


async def test_a_long_message_closes(door: Door) -> None:
    async with door(websocket={"max_message": 1000}) as dial, dial() as client:
        await client.send(ask("join", f'["{"x" * 2000}"]'))

        assert 1009 == await client.closed()


async def test_all_sockets_of_a_gateway_count(own: Door) -> None:
    async with own(websocket={"max_connections": 1}) as dial, dial():
        with pytest.raises(InvalidStatus) as refused:
            async with dial():
                pass

    assert 503 == refused.value.response.status_code


async def test_a_client_that_says_nothing_for_long_is_closed(own: Door) -> None:
    async with own(Calculator, websocket={"idle_timeout": 0.05}) as dial, dial() as client:
        await client.call("sum", [1])

        assert 1000 == await client.closed()


# --- time, and the end ---


async def test_a_call_whose_time_is_over_is_an_error(door: Door) -> None:
    async with door(settings={"request_timeout": 0.2}) as dial, dial() as client:
        alone = await client.call("wait", ["a"])
        batch = many(ask("wait", '["b"]', "1"), ask("join", "[2]", "2"))
        await client.send(batch)
        both = await client.next()

        assert {"timeout": 0.2} == alone["error"]["data"]
        assert [-32002, -32602] == [alone["error"]["code"], both[1]["error"]["code"]]
        assert -32002 == both[0]["error"]["code"]
        assert "cancelled" == await door.lobby.ended.get()


async def test_a_client_may_wait_for_less(own: Door) -> None:
    async with own() as dial, dial(headers={"X-Request-Timeout": "0.1"}) as client:
        assert {"timeout": 0.1} == (await client.call("wait", ["a"]))["error"]["data"]


@pytest.mark.parametrize("how", ["exit", "interrupt", "cancel"])
async def test_a_method_that_would_end_everything_ends_its_own_call_only(own: Door, how: str) -> None:
    async with own(Vault) as dial, dial() as client:
        assert -32603 == (await client.call("leave", [how]))["error"]["code"]
        assert "result" in await client.call("whoami")


async def test_a_call_whose_client_leaves_runs_to_its_end(door: Door) -> None:
    async with door() as dial:
        async with dial() as client:
            await client.send(ask("wait", '["call"]'))
            await client.send(ask("wait", '["notification"]', None))
            await door.lobby.begun.get()
            await door.lobby.begun.get()
        await until(lambda: not sockets_of(door.broker).open)
        door.lobby.go_on.set()

        assert {"call", "notification"} == {await door.lobby.ended.get() for _ in range(2)}
        await until(lambda: not sockets_of(door.broker).running.tasks)


async def test_at_the_end_of_the_node_running_calls_are_answered_and_sockets_closed(door: Door) -> None:
    async with door() as dial, dial() as idle, dial() as busy:
        await busy.send(ask("wait", '["a"]'))
        await door.lobby.begun.get()
        stopping = asyncio.create_task(door.broker.stop())

        assert 1001 == await idle.closed()
        door.lobby.go_on.set()
        assert "a" == (await busy.next())["result"]
        assert 1001 == await busy.closed()
        async with asyncio.timeout(20):
            await stopping


# --- what the server says of itself ---


async def test_events_of_the_hub_come_as_notifications(door: Door) -> None:
    async with door() as dial, dial() as ann, dial() as bob, dial() as other:
        await ann.call("join", ["tea"])
        await bob.call("join", ["tea"])
        await other.call("join", ["coffee"])
        await bob.send(ask("say", '["tea","hi"]', None))

        told = {"jsonrpc": "2.0", "method": "event", "params": {"event": "said", "data": {"text": "hi"}}}
        assert [told, told] == [await ann.next(), await bob.next()]
        assert "ok" == (await other.call("join", ["x"]))["result"]


async def test_nothing_is_said_before_the_client_asks(own: Door) -> None:
    async with own(Calculator) as dial, dial() as client:
        assert {"jsonrpc": "2.0", "result": 1, "id": 1} == await client.call("sum", [1])


# --- both languages in one place ---


class Both(Lobby):
    name = "both"

    @websocket_rpc
    async def hear(self, socket_id: str, room: str) -> str:
        self.hub.subscribe(socket_id, room)
        return "hearing"


async def test_where_both_are_spoken_each_message_is_answered_in_its_own(door: Door) -> None:
    sockets = {"jsonrpc": {"max_in_flight": 5}}
    async with (
        door(Both(), Calculator, jsonrpc=False, websocket=sockets) as dial,
        dial("/ws") as rpc,
        dial("/ws") as old,
    ):
        assert ["connected"] * 2 == [(await one.next())["event"] for one in (rpc, old)]
        assert 3 == (await rpc.call("sum", [1, 2]))["result"]
        await old.send('{"method":"hear","data":{"room":"x"},"correlation_id":"jsonrpc"}')
        assert "hearing" == (await old.next())["data"]
        # In the other one's language: nothing settles again.
        await rpc.send('{"method":"hear","data":{"room":"x"}}')
        assert "hearing" == (await rpc.next())["data"]
        await old.send('{"method":"echo","data":{"jsonrpc":"2.0"}}')
        assert "MethodNotFound" == (await old.next())["error"]["exc_type"]
        await old.send(many(ask("sum", "[1]", "1"), ask("both.say", '["x","hi"]', None)))
        # Whichever is ready first.
        told = [await old.next(), await old.next()]

        assert [{"jsonrpc": "2.0", "result": 1, "id": 1}] in told
        assert {"type": "event", "event": "said", "data": {"text": "hi"}} in told
        assert {"event": "said", "data": {"text": "hi"}} == (await rpc.next())["params"]


async def test_who_spoke_json_rpc_first_has_its_calls_run_at_once(own: Door) -> None:
    async with own(Both(), jsonrpc=False, websocket={"jsonrpc": True}) as dial, dial("/ws") as client:
        await client.next()
        await client.send(ask("lobby.wait", '["slow"]', "1"))
        await client.send(ask("lobby.join", '["a"]', "2"))

        assert 2 == (await client.next())["id"]
        own.lobby.go_on.set()
        assert 1 == (await client.next())["id"]
