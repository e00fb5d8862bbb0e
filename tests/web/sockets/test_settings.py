"""`websocket` of a gateway's settings."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker
from tautomer.errors import ServiceSchemaError
from tautomer.web.settings.loading import read_settings
from tautomer.web.settings.records import SocketSettings
from tautomer.web.websocket.line import LineLimits
from tests.web.sockets.chat import Room


def read(websocket: Any, **more: Any) -> SocketSettings | None:
    given = {"port": 0, **({} if websocket is None else {"websocket": websocket}), **more}
    return read_settings(given, {})[0].websocket


def test_the_defaults_are_those_of_the_reference():
    found = read({})

    assert SocketSettings(asked_for=True) == found
    assert ("/ws", 1, 100, False) == (found.path, found.max_in_flight, found.messages_per_second, found.compression)
    assert LineLimits(
        message_bytes_max=2**20,
        fragments_max=1000,
        queue_messages_max=1000,
        queue_bytes_max=2**20,
        heartbeat_interval=20.0,
    ) == (found.line)


@pytest.mark.parametrize(("given", "asked"), [(None, False), (True, True), ({}, True)])
def test_there_are_sockets_unless_they_are_refused(given: Any, asked: bool):
    found = read(given)

    assert found is not None
    assert asked == found.asked_for
    assert read(False) is None


def test_everything_can_be_said_in_both_spellings():
    camel = {
        "path": "chat/",
        "maxConnections": 1000,
        "heartbeatInterval": 30_000,
        "idleTimeout": 60_000,
        "maxMessage": "64kb",
        "maxFragments": 5,
        "sendQueue": 10,
        "sendQueueBytes": "1mb",
        "maxInFlight": 4,
        "messagesPerSecond": 7,
        "compression": True,
        "protocols": ["a"],
        "closeTime": 500,
        "debug": True,
    }
    snake = {
        "path": "/chat",
        "max_connections": 1000,
        "heartbeat_interval": 30,
        "idle_timeout": 60,
        "max_message": 65536,
        "max_fragments": 5,
        "send_queue": 10,
        "send_queue_bytes": 2**20,
        "max_in_flight": 4,
        "messages_per_second": 7,
        "compression": True,
        "protocols": ["a"],
        "close_time": 0.5,
        "debug": True,
    }

    assert read(camel) == read(snake)
    assert 30.0 == read(camel).line.heartbeat_interval


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("yes", "settings.websocket is true, false or a mapping"),
        ({"pfad": "/x"}, "settings.websocket.pfad is not a setting"),
        ({"max_in_flight": 0}, "settings.websocket.max_in_flight is a whole number from 1 to 100"),
        ({"max_in_flight": 101}, "settings.websocket.max_in_flight is a whole number from 1 to 100"),
        ({"max_message": -1}, "settings.websocket.max_message is a number of bytes"),
        ({"origins": "nonsense"}, "settings.websocket.origins holds origins such as"),
        ({"origins": [1]}, "settings.websocket.origins is '*', an origin"),
        ({"heartbeat_interval": "30"}, "settings.websocket.heartbeat_interval is a number"),
        ({"authentication": True}, "settings.websocket.authentication"),
    ],
)
def test_what_is_wrong_is_told(given: Any, told: str):
    with pytest.raises(ServiceSchemaError, match=told.replace("?", r"\?").replace("*", r"\*")):
        read(given)


def test_sites_that_may_read_answers_may_open_sockets_if_they_are_listed():
    """Every site may not, as browsers send cookies along."""
    assert read({}, cors={"origin": ["https://a.example"]}).origins.permit("https://a.example")
    assert read({}, cors=True).origins is None
    assert "*" == read({"origins": "*"}).origins


@pytest.mark.parametrize(
    ("services", "websocket", "warned"), [((), None, 1), ((), True, 0), ((Room,), None, 0), ((Room,), False, 1)]
)
async def test_a_gateway_that_answers_nobody_says_so(
    caplog: pytest.LogCaptureFixture, services: Any, websocket: Any, warned: int
):
    chosen = {} if websocket is None else {"websocket": websocket}
    broker = Broker()
    for service in services:
        await broker.register(service)
    await broker.register(ApiGatewayService(settings={"ip": "127.0.0.1", "port": 0, **chosen}))

    async with broker:
        assert warned == sum("the gateway has no routes" in record.message for record in caplog.records)
