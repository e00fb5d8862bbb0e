"""nameko's configuration: what is taken, what is refused, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
import sys
import urllib.request
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tautomer import (
    ApiGatewayService,
    Broker,
    Context,
    Service,
    Settings,
    action,
    event,
    http,
    run,
    timer,
    websocket_rpc,
)
from tautomer.configuration import Configuration
from tautomer.errors import BrokerOptionsError, QueueIsFullError
from tautomer.runner import _open_doors
from tautomer.settings import BulkheadSettings
from tautomer.web.listening import http_gateway
from tests.examples.test_shop import free_port
from tests.programs import Program
from tests.web.door import ask


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"WEB_SERVER_ADRESS": "1"}, "config has 'WEB_SERVER_ADRESS'; did you mean 'WEB_SERVER_ADDRESS'?"),
        ({"max_worker": 1}, "did you mean 'max_workers'"),
        ({"max_workers": -1}, "max_workers is a whole number of at least 0, not -1"),
        ({"max_workers": True}, "max_workers is a whole number"),
        ({"max_workers": 1.5}, "max_workers is a whole number"),
        ({"parent_calls_tracked": "x"}, "parent_calls_tracked is a whole number"),
        ({"WEB_SERVER_TIMEOUT": 0}, "WEB_SERVER_TIMEOUT is a number over 0"),
        ({"WEB_SERVER_TIMEOUT": "nan"}, "WEB_SERVER_TIMEOUT is a number over 0"),
        ({"WEB_SERVER_ADDRESS": []}, "WEB_SERVER_ADDRESS is a text"),
        ({"WEBSOCKET_HUB_CONFIG": 5}, "WEBSOCKET_HUB_CONFIG holds keys and values"),
        ({"LOGGING": "INFO"}, "LOGGING holds keys and values"),
        (
            {"AMQP_URI": "amqp://guest:guest@localhost"},
            "there is no transporter for AMQP yet: give another one as 'transporter'",
        ),
        ({"HEARTBEAT": 5, "AMQP_SSL": True}, "'HEARTBEAT', which is for AMQP.* and 'AMQP_SSL', which is for AMQP"),
        ({"serializer": "pickle"}, "serializer 'pickle'; known: json"),
        (["a"], "config holds keys and values"),
    ],
)
def test_what_is_wrong_is_told(config: Any, said: str) -> None:
    with pytest.raises(BrokerOptionsError, match=said) as raised:
        Configuration.of(config)

    assert "guest" not in str(raised.value)


def test_what_becomes_of_it() -> None:
    config = {
        "WEB_SERVER_ADDRESS": 8001,
        "WEB_SERVER_TIMEOUT": "2.5",
        "WEB_SERVER_MAX_WORKERS": 3,
        "max_workers": 7,
        "parent_calls_tracked": 2,
        "transporter": "memory://x",
        "serializer": "json",
    }

    found = Configuration.of(config)
    settings = found.applied(Settings(namespace="n"))

    assert ("8001", 2.5) == (found.address, found.timeout)
    assert (7, 2, "memory://x", "n") == (
        settings.max_workers,
        settings.parent_calls_tracked,
        settings.transporter,
        settings.namespace,
    )
    assert (3, 3) == (settings.pools.threads, settings.pools.thread_queue_max)


def test_with_a_transporter_of_ones_own_that_of_amqp_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    own = Settings(transporter="memory://own")

    found = Configuration.of({"AMQP_URI": "amqp://localhost", "transporter": "memory://x"}, settings=own)

    assert "memory://own" == found.applied(own).transporter
    assert "AMQP_URI is not used" in caplog.text


def test_without_one_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_SERVER_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("WEB_SERVER_MAX_WORKERS", "4")
    monkeypatch.setenv("max_workers", "5")

    found = Configuration.of(None)

    assert ("127.0.0.1:1", 4, None) == (found.address, found.web_workers, found.max_workers)
    assert None is Configuration.of({}).address
    monkeypatch.setenv("WEB_SERVER_TIMEOUT", "soon")
    with pytest.raises(BrokerOptionsError, match="the environment: WEB_SERVER_TIMEOUT"):
        Configuration.of(None)


def test_a_file_of_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("max_workers: ${WORKERS_HERE:3}\nWEB_SERVER_ADDRESS: 127.0.0.1:${PORT_HERE}\n")
    monkeypatch.setenv("PORT_HERE", "80")

    found = Configuration.of(file)

    assert (3, "127.0.0.1:80") == (found.max_workers, found.address)
    file.write_text("max_worker: 1")
    with pytest.raises(BrokerOptionsError, match=r"config.yaml' has 'max_worker'; did you mean 'max_workers'\?"):
        Configuration.of(str(file))


def test_logging_is_given_to_the_standard_library(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("tests.of_configuration")
    handler = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "f"}
    config = {
        "formatters": {"f": {"format": "mine %(message)s"}},
        "handlers": {"h": handler},
        "loggers": {"tests.other": {"handlers": ["h"], "level": "INFO"}},
    }

    Configuration.of({"LOGGING": config}).configure_logging()
    logging.getLogger("tests.other").info("hello")

    assert "mine hello\n" == capsys.readouterr().out
    assert not logger.disabled
    with pytest.raises(BrokerOptionsError, match=r"LOGGING is refused .*handler"):
        Configuration.of({"LOGGING": {"handlers": {"h": {"class": "no.such"}}}}).configure_logging()


# --- max_workers ---


class Busy(Service):
    name = "busy"

    def __init__(self) -> None:
        super().__init__()
        self.running = self.most = self.done = 0
        self.go_on = asyncio.Event()

    async def work(self) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        await self.go_on.wait()
        self.running -= 1
        self.done += 1

    @action
    async def one(self) -> None:
        await self.work()

    @action
    async def two(self) -> None:
        await self.work()

    @event("go.*")
    async def heard(self) -> None:
        await self.work()

    @timer(3600, eager=True)
    async def tick(self) -> None:
        await self.work()

    @action
    async def nested(self, ctx: Context) -> Any:
        return await ctx.call("between.back", {"to": "busy.inner"})

    @action
    async def inner(self) -> str:
        return "inner"


class Between(Service):
    name = "between"

    @action
    async def back(self, ctx: Context) -> Any:
        return await ctx.call(ctx.params["to"])


async def test_all_kinds_of_a_service_share_its_workers() -> None:
    settings = Settings(max_workers=2, bulkhead=BulkheadSettings(max_queue_size=5))
    async with Broker(settings=settings) as broker:
        busy = Busy()
        await broker.register(busy)
        heard = [asyncio.ensure_future(broker.call(f"busy.{name}")) for name in ("one", "two", "one")]
        told = broker.emit("go.now")
        while broker.statistics()["bulkheads"]["busy"]["waiting"] < 3:
            await asyncio.sleep(0)
        assert 2 == busy.running
        more = [asyncio.ensure_future(broker.call("busy.two")) for _ in range(3)]
        with pytest.raises(QueueIsFullError):
            await more[2]
        busy.go_on.set()
        await asyncio.gather(*heard, *more[:2])
        await told
        while busy.done < 7:
            await asyncio.sleep(0)

    assert 2 == busy.most


async def test_what_a_service_asks_of_itself_waits_for_no_other_worker() -> None:
    async with Broker(settings=Settings(max_workers=1)) as broker:
        for one in (Busy, Between):
            await broker.register(one)
        broker.get_local_service("busy").go_on.set()  # type: ignore[union-attr]  # It is there.
        async with asyncio.timeout(10):
            assert "inner" == await broker.call("busy.nested")


# --- call_id ---


class Asks(Service):
    name = "asks"
    version = 2

    @action
    async def ask(self, ctx: Context) -> Any:
        depth = ctx.params["depth"]
        if depth:
            return await ctx.call("v2.asks.ask", {"depth": depth - 1})
        return ctx.call_id, ctx.call_id_stack, ctx.id

    @event("asks.heard")
    async def heard(self, ctx: Context) -> None:
        self.seen = ctx.call_id_stack


@pytest.mark.parametrize(("tracked", "length"), [(10, 4), (2, 3), (0, 1)])
async def test_a_call_knows_the_calls_that_led_to_it(tracked: int, length: int) -> None:
    async with Broker(settings=Settings(parent_calls_tracked=tracked)) as broker:
        await broker.register(Asks)
        call_id, stack, own = await broker.call("v2.asks.ask", {"depth": 3})

    assert f"v2.asks.ask.{own}" == call_id == stack[-1]
    assert length == len(stack) == len(set(stack))
    assert all(one.startswith("v2.asks.ask.") for one in stack)


async def test_an_event_and_a_call_of_another_node_know_what_they_can() -> None:
    async with (
        Broker("a", Settings(transporter="memory://ids")) as a,
        Broker("b", Settings(transporter="memory://ids")) as b,
    ):
        await a.register(Asks)
        await b.wait_for_services("v2.asks", 10)
        _, stack, _ = await b.call("v2.asks.ask", {"depth": 0}, parent=b.context(request_id="r"))
        await a.emit("asks.heard")
        (service,) = [one for one in a.services if one.name == "asks"]

    assert 2 == len(stack)
    assert service.seen[-1].startswith("v2.asks.asks.heard.")  # type: ignore[attr-defined]  # Its own attribute.


# --- doors ---


class Talks:
    name = "talks"

    @websocket_rpc
    async def hello(self, socket_id: str) -> str:
        return "hello"


class Answers:
    name = "answers"

    @http("GET", "/slow")
    async def slow(self, request: Any) -> str:
        await asyncio.sleep(0.2)
        return "done"


async def opened(*services: Any, config: dict[str, Any] | None = None) -> Broker:
    broker = Broker()
    for service in services:
        await broker.register(service)
    await _open_doors(broker, Configuration.of({"WEB_SERVER_ADDRESS": "127.0.0.1:0", **(config or {})}))
    return broker


def doors(broker: Broker) -> list[tuple[bool, bool]]:
    """Whether each gateway leads to `@http`, and to sockets."""
    gateways = [service for service in broker.services if isinstance(service, ApiGatewayService)]
    return [(one.options.http is not None, one.options.websocket is not None) for one in gateways]


async def test_a_service_for_sockets_alone_gets_a_gateway() -> None:
    broker = await opened(Talks)

    assert [(False, True)] == doors(broker)
    async with broker:
        (gateway,) = [service for service in broker.services if isinstance(service, ApiGatewayService)]
        assert 426 == (await ask(gateway.port, "GET", "/ws")).status


@pytest.mark.parametrize(
    ("services", "own", "expected"),
    [
        ((Talks, Answers), None, [(True, True)]),
        ((Answers,), None, [(True, True)]),
        ((Talks,), {}, [(True, True)]),
        ((Talks,), {"websocket": False}, [(True, False), (False, True)]),
        ((Talks, Answers), {"websocket": False}, [(True, False), (False, True)]),
        ((Talks, Answers), {"http": False}, [(False, True), (True, False)]),
    ],
)
async def test_a_gateway_is_opened_for_what_none_leads_to(services: Any, own: Any, expected: Any) -> None:
    gateway = () if own is None else (ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1", **own}),)

    broker = await opened(*services, *gateway)

    assert expected == doors(broker)
    await broker.stop()


async def test_the_settings_of_the_hub() -> None:
    broker = await opened(Answers, config={"WEBSOCKET_HUB_CONFIG": {"max_connections": 5, "heartbeat_interval": 30}})
    (gateway,) = [service for service in broker.services if isinstance(service, ApiGatewayService)]
    sockets = gateway.options.websocket

    assert sockets is not None
    assert (5, 30.0, True) == (sockets.connections_max, sockets.line.heartbeat_interval, sockets.asked_for)
    await broker.stop()
    with pytest.raises(BrokerOptionsError, match=r"WEBSOCKET_HUB_CONFIG.max_conections is not a setting; did you mean"):
        await opened(Talks, config={"WEBSOCKET_HUB_CONFIG": {"max_conections": 5}})


async def test_what_is_said_of_a_server_that_is_not_opened_is_told(caplog: pytest.LogCaptureFixture) -> None:
    broker = await opened(Answers, ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1"}))

    assert "a gateway of your own has settings of its own" in caplog.text
    await broker.stop()


async def test_a_bare_broker_says_which_marks_want_a_gateway(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    for service in (Talks, Answers):
        await broker.register(service)
    async with broker:
        pass

    assert "methods with @http and @websocket_rpc and no gateway" in caplog.text


async def test_so_many_requests_run_as_many_wait_and_the_rest_is_answered_503() -> None:
    broker = await opened(Answers, config={"WEB_SERVER_MAX_WORKERS": 2})
    async with broker:
        (gateway,) = [service for service in broker.services if isinstance(service, ApiGatewayService)]
        answers = await asyncio.gather(*(ask(gateway.port, "GET", "/slow") for _ in range(6)))

    assert [200, 200, 200, 200, 503, 503] == sorted(one.status for one in answers)
    assert {"1"} == {one.header("retry-after") for one in answers if one.status == 503}


def test_no_gateway_is_opened_where_nothing_asks_for_one() -> None:
    assert None is http_gateway([], None)
    with pytest.raises(BrokerOptionsError, match="@http or @websocket_rpc"):
        run(Busy, http="127.0.0.1:0")


PROGRAM = """
    from tautomer import http, timer

    class Hello:
        name = "hello"

        @http("GET", "/hello")
        def hello(self, request):
            return "hello"

        @timer(interval=0.05)
        def tick(self):
            print("tick", flush=True)
"""
CONFIG = """
    WEB_SERVER_ADDRESS: 127.0.0.1:${PORT_HERE}
    max_workers: 5
    LOGGING:
      formatters:
        f: {format: "mine %(levelname)s %(message)s"}
      handlers:
        h: {class: logging.StreamHandler, formatter: f}
      root: {level: INFO, handlers: [h]}
"""


@pytest.mark.slow
def test_the_command_line_takes_a_file_of_configuration(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(dedent(PROGRAM))
    (tmp_path / "config.yaml").write_text(dedent(CONFIG))
    port = free_port()
    command = (sys.executable, "-W", "error", "-m", "tautomer", "run", "hello.py", "--config", "config.yaml")

    with Program(*command, env={"PORT_HERE": str(port)}, cwd=tmp_path) as program:
        program.wait_for("mine INFO node started")
        program.wait_for("tick")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/hello", timeout=10) as answer:
            assert b"hello" == answer.read()
        assert 0 == program.end()
    with Program(*command, cwd=tmp_path) as program:
        assert 1 == program.wait()
        assert "'WEB_SERVER_ADDRESS' needs the environment variable PORT_HERE" in program.output
