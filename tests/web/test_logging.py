"""Lines about requests: which, at which level, and what never stands in one."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tautomer import ApiGatewayService, Broker, Context, Service, action
from tautomer.errors import MoleculerClientError
from tautomer.logs import PlainFormatter
from tautomer.web.messages.message import Reply, Request
from tautomer.web.request_log import masked
from tests.web.conftest import OpenDoor
from tests.web.door import Door


class Users(Service):
    name = "users"

    @action
    def get(self, ctx: Context) -> Any:
        return {"id": 1, "access_token": "hidden-in-data"}

    @action
    def text(self, ctx: Context) -> bytes:
        return b"\x00\x01"

    @action
    def fails(self, ctx: Context) -> None:
        raise MoleculerClientError("no\ntea", 409, "NO_TEA")


ALIASES = {"/get": "users.get", "/text": "users.text", "/fails": "users.fails"}


def lines(caplog: pytest.LogCaptureFixture, message: str) -> list[Any]:
    return [one for one in caplog.records if one.message == message]


@pytest.fixture(autouse=True)
def everything_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "tautomer.web")


async def test_by_default_nothing_is_written_about_a_request(door: OpenDoor, caplog):
    at = await door(Users, routes=[{"aliases": ALIASES}])

    for path in ("/get", "/none", "/fails"):
        await at.get(path)

    assert [] == [record for record in caplog.records if record.name == "tautomer.web"]


@pytest.mark.parametrize("target", ["/get", "/none"])
async def test_a_line_for_the_request_and_one_for_its_answer(door: OpenDoor, caplog, target):
    at = await door(Users, routes=[{"aliases": ALIASES}], logRequest="debug", logResponse="info")

    answer = await at.get(f"{target}?token=secret", Authorization="Bearer secret", Cookie="sid=secret")

    (came,), (answered,) = lines(caplog, "request"), lines(caplog, "response")
    assert (logging.DEBUG, logging.INFO) == (came.levelno, answered.levelno)
    assert ("GET", target, "127.0.0.1", answer.header("X-Request-ID")) == (
        came.method,
        came.path,
        came.client,
        came.request,
    )
    assert (target, answer.status, came.request) == (answered.path, answered.status, answered.request)
    assert answered.ms >= 0
    assert "secret" not in str([vars(came), vars(answered)])


async def test_a_route_may_be_left_out(door: OpenDoor, caplog):
    at = await door(
        Users,
        routes=[{"path": "/quiet", "aliases": ALIASES, "logging": False}, {"path": "/loud", "aliases": ALIASES}],
        logRequest=True,
        logResponse=True,
        logRequestParams=True,
        logResponseData=True,
        log4XXResponses=True,
    )

    for path in ("/quiet/get", "/loud/get", "/quiet/fails", "/loud/fails"):
        await at.get(path)

    told = [getattr(one, "path", None) for one in caplog.records if one.name == "tautomer.web"]
    assert not any("quiet" in str(path) for path in told)
    assert {"request", "response", "request params", "response data", "request refused"} == {
        one.message for one in caplog.records if one.name == "tautomer.web"
    }


async def test_params_and_results_are_written_without_secrets(door: OpenDoor, caplog):
    at = await door(Users, routes=[{"aliases": ALIASES}], logRequestParams="debug", logResponseData="debug")

    await at.send("POST", "/get?x=1", {"user": {"name": "Ann", "password": "hidden"}, "apiKey": "hidden"})

    (params,), (data,) = lines(caplog, "request params"), lines(caplog, "response data")
    assert "users.get" == params.action
    assert {"user": {"name": "Ann", "password": "***"}, "apiKey": "***", "x": "1"} == params.params
    assert {"id": 1, "access_token": "***"} == data.data
    assert "hidden" not in caplog.text


async def test_of_a_result_that_is_not_json_the_size_is_written(door: OpenDoor, caplog):
    at = await door(Users, routes=[{"aliases": ALIASES}], logResponseData=True)

    await at.get("/text")

    assert ["<2 bytes>"] == [one.data for one in lines(caplog, "response data")]


@pytest.mark.parametrize("key", ["log4XXResponses", "log_4xx_responses"])
async def test_errors_raised_on_purpose_are_written_if_asked_for(door: OpenDoor, caplog, key):
    at = await door(Users, routes=[{"aliases": ALIASES}], **{key: True})

    for path in ("/fails", "/none", "/get"):
        await at.get(path)

    assert [(409, "NO_TEA", "/fails"), (404, "NOT_FOUND", "/none")] == [
        (one.status, one.type, one.path) for one in lines(caplog, "request refused")
    ]


async def test_foreign_text_cannot_make_a_line_of_its_own(door: OpenDoor, caplog):
    at = await door(Users, routes=[{"aliases": ALIASES}], logRequestParams=True, log4XXResponses=True)

    await at.get("/get?a=x%0AINFO%20forged")
    await at.get("/fails")

    written = [PlainFormatter().format(one) for one in caplog.records if one.name == "tautomer.web"]
    assert 3 == len(written)
    assert not any("\n" in line for line in written)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None, True, 1.5]}, {"a": [1, None, True, 1.5]}),
        ({"X-Api-Key": 1, "refresh_token": 1, "pin": 1, "shipping": 1}, {"X-Api-Key": "***", "refresh_token": "***", "pin": "***", "shipping": 1}),
        ("x" * 600, "x" * 500 + "…"),
        (list(range(200)), list(range(100))),
        ({"a": object()}, {"a": "<object>"}),
        ((1, 2), [1, 2]),
    ],
)  # fmt: skip
def test_what_is_written_of_a_value_has_a_bound(value, expected):
    assert expected == masked(value)


def test_a_value_that_holds_itself_is_cut_off():
    loop: dict[str, Any] = {}
    loop["loop"] = loop

    assert "…" in str(masked(loop))


class Own(ApiGatewayService):
    def __init__(self, **settings: Any) -> None:
        super().__init__(settings={"port": 0, "ip": "127.0.0.1", "routes": [{"aliases": ALIASES}], **settings})
        self.told: list[Any] = []

    def log_request(self, request: Request) -> None:
        self.told.append(request.path)

    def log_response(self, request: Request, reply: Reply, seconds: float) -> None:
        self.told.append((reply.status, seconds >= 0))
        raise ValueError("out of ink")


async def test_a_service_may_write_the_lines_itself_and_fail_at_it(caplog):
    broker, own = Broker("gateway-node"), Own(logRequest=True)
    await broker.register(Users())
    await broker.register(own)
    async with broker:
        answer = await Door(broker, own).get("/get")

    assert 200 == answer.status
    assert ["/get", (200, True)] == own.told
    assert [] == lines(caplog, "request")
    assert ["log_response"] == [one.method for one in lines(caplog, "the gateway's own log method failed")]
