"""Settings of the gateway: read once, and every fault told."""

from __future__ import annotations

import logging
import re
from collections import Counter

import pytest

from tautomer import ApiGatewayService, Broker
from tautomer.errors import BrokerOptionsError, ServiceSchemaError
from tautomer.web.messages.limits import HttpLimits
from tautomer.web.routing.aliases import snake
from tautomer.web.settings.loading import read_route, read_settings
from tautomer.web.settings.methods import Methods
from tautomer.web.settings.records import GatewaySettings, RouteSettings


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
    assert GatewaySettings(port=3000, ip="0.0.0.0", path="/", http=RouteSettings()) == read()


def test_the_defaults_of_a_route_close_what_is_not_named():
    route = read_one()

    assert "restrict" == route.mapping_policy
    assert route.merge_params
    assert not route.auto_aliases
    assert ["json", "urlencoded"] == [parser.kind for parser in route.body_parsers.in_order]


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
    settings, warnings = read_settings({"routes": [{"autoAliases": True, "callOptions": {"timeout": 30_000}}]}, {})

    assert 30_000 == settings.routes[0].call_options["timeout"]
    assert ["settings.routes[0].callOptions.timeout is 30000 seconds; was it meant as milliseconds?"] == warnings


def test_the_limits_are_those_of_the_server():
    limits = read(limits={"body_bytes_max": 10, "headersMax": 7, "header_time": 1}).limits

    assert HttpLimits(body_bytes_max=10, headers_max=7, header_time=1.0) == limits


@pytest.mark.parametrize(
    ("value", "level"), [(True, logging.INFO), ("debug", logging.DEBUG), (False, None), (None, None)]
)
def test_logging_of_requests_is_a_level_or_off(value, level):
    assert level == read(logRequest=value).logs.request


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
        ({"rootCallOptions": {"parentSpan": {}}}, "settings.rootCallOptions.parentSpan is not supported yet"),
    ],
)
def test_what_moleculer_web_has_and_we_have_not_yet_stops_the_start(settings, told):
    """A guard that is silently left out would be an open door."""
    found = faults(**settings)

    assert 1 == len(found)
    assert told in found[0]


def test_what_is_not_supported_may_be_switched_off():
    assert read() == read(cors=None, etag=False, server=True, http2=False, rateLimit=None)


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
        ({"routes": [{"path": "/a{/b}", "mappingPolicy": "all"}]}, "needs a path without values"),
        ({"optimizeOrder": "no"}, "settings.optimizeOrder is true or false"),
        ({"internalServiceSpecialChar": ""}, "settings.internalServiceSpecialChar is a text that is not empty"),
        ({"internalServiceSpecialChar": re.compile(b"~")}, "settings.internalServiceSpecialChar is a text"),
        ({"requestTimeout": 5, "limits": {"requestTime": 5}}, "settings.limits.request_time is given twice"),
        ({"requestTimeout": -1}, "settings.requestTimeout is a number, 0 or more"),
        ({"logRouteRegistration": "loud"}, "settings.logRouteRegistration is true, false or the name of a log level"),
        ({"routes": [{"camelCaseNames": 1}]}, "settings.routes[0].camelCaseNames is true or false"),
        ({"routes": [{"pathToRegexpOptions": {"end": False}}]}, "pathToRegexpOptions.end can only be True: end the"),
        ({"routes": [{"pathToRegexpOptions": {"delimiter": "."}}]}, "pathToRegexpOptions.delimiter can only be '/'"),
        ({"routes": [{"pathToRegexpOptions": {"sensitiv": True}}]}, "did you mean 'sensitive'"),
        (
            {"routes": [{"aliases": {"GET /x": [lambda request: 1, "a.b"]}}]},
            "is a stage and takes (request, call_next)",
        ),
        ({"routes": [{"aliases": {"GET /x": lambda request, more: 1}}]}, "a function that answers takes (request)"),
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


def test_moleculer_webs_names_for_limits_are_milliseconds():
    limits = read(requestTimeout=60_000, httpServerTimeout=None).limits

    assert (60.0, 5.0) == (limits.request_time, limits.keep_alive_idle)
    assert 2.0 == read(http_server_timeout=2).limits.keep_alive_idle


def test_options_of_patterns_that_change_nothing_are_taken():
    options = {"sensitive": True, "strict": True, "trailing": False, "end": True, "start": True, "delimiter": "/"}

    assert read_one(pathToRegexpOptions=options).case_sensitive
    assert not read_one(path_to_regexp_options={}).case_sensitive


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({"blacklist": ["admin*"]}, "settings.routes[0].blacklist: 'admin*' fits no name with a dot"),
        ({"whitelist": ["*"]}, "write '**' for all that begins so"),
        ({"debounceTime": 500}, "settings.routes[0].debounceTime has no effect"),
        ({"callOptions": {"timeout": 1000}}, "callOptions.timeout is 1000 seconds; was it meant as milliseconds?"),
        ({"aliases": {"GET /x": {"action": "a.b", "fulPath": "/y"}}}, "was 'full_path' meant?"),
    ],
)
def test_what_is_doubtful_is_warned_about(route, told):
    _, warnings = read_settings({"routes": [{"autoAliases": True, **route}]}, {})

    assert 1 == len(warnings)
    assert told in warnings[0]


@pytest.mark.parametrize("name", ["checkOrigin", "check_origin"])
def test_methods_that_moleculer_web_would_call_are_warned_about(name):
    methods = Methods({name: print, "check_stock": print})

    _, warnings = read_settings({"routes": [{"autoAliases": True}]}, {}, methods)

    assert ["the method 'check_origin' is not called by the gateway; `cors.origin` takes a function"] == warnings


@pytest.mark.parametrize(
    ("route", "told"),
    [
        ({}, True),
        ({"aliases": {}}, True),
        ({"mappingPolicy": "restrict"}, False),
        ({"mappingPolicy": "all"}, False),
        ({"autoAliases": True}, False),
        ({"aliases": {"GET /x": "a.b"}}, False),
    ],
)
def test_a_route_that_moleculer_web_would_open_is_warned_about(route, told):
    _, warnings = read_settings({"routes": [route]}, {})

    assert told is any("settings.routes[0] leads nowhere" in warning for warning in warnings)


GATEWAY_KEYS = [
    "port",
    "ip",
    "server",
    "https",
    "http2",
    "httpServerTimeout",
    "requestTimeout",
    "path",
    "routes",
    "use",
    "cors",
    "rateLimit",
    "etag",
    "assets",
    "onError",
    "qsOptions",
    "internalServiceSpecialChar",
    "rootCallOptions",
    "optimizeOrder",
    "debounceTime",
    "logRequest",
    "logRequestParams",
    "logResponse",
    "logResponseData",
    "log4XXResponses",
    "logRouteRegistration",
]
ROUTE_KEYS = [
    "path",
    "name",
    "aliases",
    "autoAliases",
    "mappingPolicy",
    "whitelist",
    "blacklist",
    "bodyParsers",
    "mergeParams",
    "use",
    "callOptions",
    "camelCaseNames",
    "authentication",
    "authorization",
    "onBeforeCall",
    "onAfterCall",
    "onError",
    "cors",
    "rateLimit",
    "etag",
    "logging",
    "busboyConfig",
    "pathToRegexpOptions",
    "debounceTime",
]


@pytest.mark.parametrize("spelling", [str, snake])
def test_every_setting_of_moleculer_web_is_known_in_either_spelling(spelling):
    given = {spelling(key): object() for key in GATEWAY_KEYS if key != "routes"}
    given["routes"] = [{spelling(key): object() for key in ROUTE_KEYS}]

    found = faults(**given)

    # Each is a fault of its own, as no setting may be just any object; that it is unknown is none of them.
    assert len(GATEWAY_KEYS) - 1 + len(ROUTE_KEYS) <= len(found)
    assert [] == [fault for fault in found if "is not a setting" in fault]


def test_two_routes_of_one_path_are_told_apart_by_their_names():
    assert 2 == len(read(routes=[{"path": "/a", "name": "x"}, {"path": "/a", "name": "y"}]).routes)


def test_what_belongs_to_the_service_is_left_alone():
    assert read() == read(**{"$secureSettings": ["x"], "$shutdownTimeout": 100, "rest": "/gateway"})


def test_a_route_alone_is_read_as_add_route_gives_it():
    assert "/api/x" == read_route({"path": "/x"}, GatewaySettings(path="/api")).path
    with pytest.raises(ServiceSchemaError, match=r"route\.pahts is not a setting"):
        read_route({"pahts": "/x"}, GatewaySettings(path="/api"))


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
