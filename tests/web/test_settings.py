"""Settings of the gateway: read once, and every fault told."""

from __future__ import annotations

import logging
from collections import Counter

import pytest

from tautomer import ApiGatewayService, Broker
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.web.limits import HttpLimits
from tautomer.web.settings import BodyParsers, GatewaySettings, RouteSettings, read_route, read_settings


def read(environment=None, **settings) -> GatewaySettings:
    return read_settings(settings, environment or {})[0]


def read_one(**route) -> RouteSettings:
    return read(routes=[route]).routes[0]


def faults(**settings) -> list[str]:
    with pytest.raises(ServiceSchemaError) as raised:
        read(**settings)
    found = raised.value.data["faults"]
    assert all(fault in raised.value.message for fault in found)
    return found


def test_the_defaults():
    assert GatewaySettings(port=3000, ip="0.0.0.0", path="/") == read()


def test_the_defaults_of_a_route_close_what_is_not_named():
    route = read_one()

    assert "restrict" == route.mapping_policy
    assert route.merge_params
    assert not route.auto_aliases
    assert BodyParsers(json=True, urlencoded=True) == route.body_parsers


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [({}, {"PORT": "8080"}, 8080), ({"port": 5000}, {"PORT": "8080"}, 5000), ({"port": 0}, {"PORT": "8080"}, 0)],
)
def test_the_port_comes_from_the_settings_then_from_the_environment(settings, environment, expected):
    assert expected == read(environment, **settings).port


def test_the_address_comes_from_the_environment_too():
    assert "127.0.0.1" == read({"IP": "127.0.0.1"}).ip


def test_both_spellings_are_read_alike():
    camel = {"mappingPolicy": "all", "autoAliases": True, "mergeParams": False, "bodyParsers": {"json": True}}
    snake = {"mapping_policy": "all", "auto_aliases": True, "merge_params": False, "body_parsers": {"json": True}}

    assert read_one(**camel) == read_one(**snake)


def test_paths_are_put_together_and_tidied():
    settings = read(path="api//", routes=[{"path": "/v1/"}, {"path": "", "name": "root"}])

    assert ["/api/v1", "/api"] == [route.path for route in settings.routes]


def test_durations_are_milliseconds_under_camel_case_and_seconds_otherwise():
    assert 0.5 == read(debounceTime=500).debounce_time
    assert 0.5 == read(debounce_time=0.5).debounce_time
    assert 5.0 == read(limits={"keepAliveIdle": 5_000}).limits.keep_alive_idle
    assert 5.0 == read(limits={"keep_alive_idle": 5}).limits.keep_alive_idle
    assert 5.0 == read_one(callOptions={"timeout": 5}).call_options["timeout"]


def test_seconds_that_look_like_milliseconds_are_kept_and_warned_about():
    settings, warnings = read_settings({"routes": [{"callOptions": {"timeout": 30_000}}]}, {})

    assert 30_000 == settings.routes[0].call_options["timeout"]
    assert ["settings.routes[0].callOptions.timeout is 30000 seconds; was it meant as milliseconds?"] == warnings


def test_the_limits_are_those_of_the_server():
    limits = read(limits={"body_bytes_max": 10, "headersMax": 7, "header_time": 1}).limits

    assert HttpLimits(body_bytes_max=10, headers_max=7, header_time=1.0) == limits


@pytest.mark.parametrize(
    ("value", "level"), [(True, logging.INFO), ("debug", logging.DEBUG), (False, None), (None, None)]
)
def test_logging_of_requests_is_a_level_or_off(value, level):
    assert level == read(logRequest=value).log_request


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, BodyParsers()),
        (None, BodyParsers()),
        (False, BodyParsers(json=False, urlencoded=False)),
        ({"json": True}, BodyParsers(json=True, urlencoded=False)),
        ({"json": {}, "urlencoded": {"extended": True}}, BodyParsers()),
        ({"text": False, "json": True}, BodyParsers(json=True, urlencoded=False)),
    ],
)
def test_body_parsers(value, expected):
    assert expected == read_one(bodyParsers=value).body_parsers


def test_all_faults_are_told_at_once_and_where_they_are():
    found = faults(
        port=99_999,
        prot=1,
        routes=[
            {"mapingPolicy": "all", "aliases": {"GET /a/:": "x.y", "GET /b": 5}},
            {"path": "/x", "mappingPolicy": "some", "whitelist": "users.*", "onBeforeCall": "before"},
        ],
        limits={"bodyBytesMax": "1mb"},
    )

    assert {
        "settings.port": 1,
        "settings.prot": 1,
        "settings.routes[0].aliases:": 2,
        "settings.routes[0].mapingPolicy": 1,
        "settings.routes[1].mappingPolicy": 1,
        "settings.routes[1].whitelist": 1,
        "settings.routes[1].onBeforeCall": 1,
        "settings.limits.bodyBytesMax": 1,
    } == Counter(fault.split()[0] for fault in found)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cors": True}, "settings.cors is not supported yet"),
        ({"rateLimit": {"limit": 5}}, "settings.rateLimit is not supported yet"),
        ({"etag": "weak"}, "settings.etag is not supported yet"),
        ({"assets": {"folder": "x"}}, "settings.assets is not supported yet"),
        ({"https": {"key": "k"}}, "settings.https is not supported yet"),
        ({"server": False}, "settings.server is not supported yet"),
        ({"use": [len]}, "settings.use is not supported yet"),
        ({"optimizeOrder": False}, "settings.optimizeOrder is not supported yet"),
        ({"requestTimeout": 5_000}, "use 'limits.request_time'"),
        ({"routes": [{"authentication": True}]}, "settings.routes[0].authentication is not supported yet"),
        ({"routes": [{"authorization": len}]}, "settings.routes[0].authorization is not supported yet"),
        ({"routes": [{"cors": {"origin": "*"}}]}, "settings.routes[0].cors is not supported yet"),
        ({"routes": [{"camelCaseNames": True}]}, "settings.routes[0].camelCaseNames is not supported yet"),
        ({"routes": [{"bodyParsers": {"raw": True}}]}, "settings.routes[0].bodyParsers.raw is not supported yet"),
        ({"routes": [{"bodyParsers": {"json": {"limit": "2MB"}}}]}, "limits.body_bytes_max"),
        ({"routes": [{"callOptions": {"retries": 3}}]}, "callOptions.retries is not supported yet"),
        ({"routes": [{"aliases": {"POST /up": "multipart:a.b"}}]}, "'multipart' is not supported yet"),
    ],
)
def test_what_moleculer_web_has_and_we_have_not_yet_stops_the_start(settings, told):
    """A guard that is silently left out would be an open door."""
    found = faults(**settings)

    assert 1 == len(found)
    assert told in found[0]


def test_what_is_not_supported_may_be_switched_off():
    assert read() == read(cors=None, etag=False, server=True, optimizeOrder=True, http2=False, rateLimit=None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"routes": {}}, "settings.routes is a list"),
        ({"routes": ["x"]}, "settings.routes[0] is a mapping"),
        ({"path": "/a/:"}, "settings.path is a path"),
        ({"path": 5}, "settings.path is a text"),
        ({"ip": 5}, "settings.ip is a text"),
        ({"port": "http"}, "settings.port is a number"),
        ({"port": True}, "settings.port is a number"),
        ({"limits": {"headers_max": -1}}, "settings.limits.headers_max is a whole number, 0 or more"),
        ({"limits": {"write_buffer_bytes": 0}}, "must have a bound"),
        ({"limits": {"header_time": float("nan")}}, "settings.limits.header_time is a number"),
        ({"limits": {"header_tiem": 1}}, "did you mean 'header_time'"),
        ({"logRequest": "loud"}, "name of a log level"),
        ({"routes": [{"path": "/:x", "mappingPolicy": "all"}]}, "needs a path without values"),
        ({"routes": [{"path": "/a?"}]}, "settings.routes[0].path"),
        ({"routes": [{"whitelist": [5]}]}, "each entry is an action name"),
        ({"routes": [{"autoAliases": "yes"}]}, "true or false"),
        ({"routes": [{"bodyParsers": "json"}]}, "true, false or a mapping"),
        ({"routes": [{"autoAliases": True, "auto_aliases": True}]}, "given twice"),
        ({"routes": [{"path": "/a"}, {"path": "/A/"}]}, "the same route as settings.routes[0]"),
        ({"routes": [{"path": "/a", "name": "x"}, {"path": "/b", "name": "x"}]}, "the same route"),
        ({"routes": [{"path": "/x:id", "aliases": {"GET /:id": "a.b"}}]}, "uses one name twice"),
    ],
)
def test_a_wrong_value_is_told(settings, told):
    assert any(told in fault for fault in faults(**settings))


def test_two_routes_of_one_path_are_told_apart_by_their_names():
    assert 2 == len(read(routes=[{"path": "/a", "name": "x"}, {"path": "/a", "name": "y"}]).routes)


def test_what_belongs_to_the_service_is_left_alone():
    assert read() == read(**{"$secureSettings": ["x"], "$shutdownTimeout": 100, "rest": "/gateway"})


def test_a_route_alone_is_read_as_add_route_gives_it():
    assert "/api/x" == read_route({"path": "/x"}, "/api").path
    with pytest.raises(ServiceSchemaError, match=r"route\.pahts is not a setting"):
        read_route({"pahts": "/x"}, "/api")


def test_the_records_name_the_nearest_setting_too():
    with pytest.raises(BrokerOptionsError, match="unknown setting 'whitelits'"):
        RouteSettings(whitelits=[])


def test_a_gateway_that_is_set_up_wrong_is_refused_where_it_is_registered():
    with pytest.raises(ServiceSchemaError, match=r"settings\.prot is not a setting"):
        Broker("n").create_service(ApiGatewayService(settings={"prot": 1}))


async def test_a_broker_may_be_handed_over_as_the_documents_show_it():
    broker = Broker("n")

    gateway = ApiGatewayService(broker=broker, settings={"port": 0, "routes": [{"path": "/x"}]})
    await broker.register(gateway)

    assert broker is gateway.broker
    assert "/x" == gateway.options.routes[0].path


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ({}, {}, False),
        ({}, {"TAUTOMER_WORKER": "w-1"}, True),
        ({"reusePort": True}, {}, True),
        ({"reuse_port": False}, {"TAUTOMER_WORKER": "w-1"}, False),
    ],
)
def test_workers_share_their_port(given: dict[str, bool], environment: dict[str, str], expected: bool) -> None:
    settings, _ = read_settings(given, environment)

    assert expected == settings.reuse_port
