"""The JSON-RPC endpoint of a gateway, over a real port."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tautomer import Service, action, errors
from tautomer.web.decorators import public_method
from tests.cluster import Cluster
from tests.rpc_cases import EDGES, STANDARD, ask, read, written
from tests.web.conftest import OpenDoor
from tests.web.door import Answer, Door, open_door

from .services import Calculator, Vault

ROUTE = {"path": "/api", "jsonrpc": True}
CASES = [*STANDARD, *EDGES]


async def post(door: Door, text: str | bytes, **headers: str) -> Answer:
    body = text if isinstance(text, bytes) else written(text).encode("utf-8", "surrogatepass")
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    return await door.ask("POST", "/api", headers=lines, body=body)


async def call(door: Door, method: str, params: Any = None, **headers: str) -> Any:
    """The whole answer to a call."""
    told = {"jsonrpc": "2.0", "method": method, "id": 1, **({} if params is None else {"params": params})}
    answer = await post(door, json.dumps(told), **headers)
    assert 200 == answer.status
    assert 1 == answer.json["id"]
    return answer.json


@pytest.fixture
async def calculator(door: OpenDoor) -> Door:
    return await door(Calculator, routes=[ROUTE])


# --- the standard ---


async def test_every_case_of_the_table_alone(calculator: Door) -> None:
    for name, request, expected in CASES:
        answer = await post(calculator, request)
        assert (read(None if expected is None else written(expected)), 204 if expected is None else 200) == (
            read(answer.body),
            answer.status,
        ), name


async def test_every_case_of_the_table_inside_a_batch(calculator: Door) -> None:
    for name, request, expected in CASES:
        text = written(request)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, list):
            continue
        answer = await post(calculator, f"[{text},{written(ask('nothing', None, chr(34) + 'last' + chr(34)))}]")
        told = read(answer.body)
        if told and not isinstance(told, list):
            assert -32700 == told["error"]["code"], name  # Nothing of what it stands in can be read either.
            continue
        assert "last" == told[-1]["id"], name
        assert ([] if expected is None else [read(written(expected))]) == told[:-1], name


async def test_nothing_for_notifications_is_204_without_a_body(calculator: Door) -> None:
    answer = await post(calculator, ask("update", "[1]", None))

    assert (204, b"") == (answer.status, answer.body)


# --- over HTTP ---


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "application/json-rpc", "Application/JsonRequest;x=y"],
)
async def test_its_content_types(calculator: Door, kind: str) -> None:
    answer = await post(calculator, ask("get_data"), **{"Content-Type": kind})

    assert (200, "application/json; charset=utf-8") == (answer.status, answer.header("content-type"))


async def test_without_a_content_type_it_is_json(calculator: Door) -> None:
    body = written(ask("get_data")).encode()

    assert 200 == (await calculator.ask("POST", "/api", body=body)).status


async def test_another_content_type_is_refused_in_the_form_of_the_protocol(calculator: Door) -> None:
    answer = await post(calculator, ask("get_data"), **{"Content-Type": "text/plain"})

    assert (415, -32600, None) == (answer.status, answer.json["error"]["code"], answer.json["id"])


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_refused_in_the_form_of_the_protocol(calculator: Door, method: str) -> None:
    answer = await calculator.ask(method, "/api/")

    assert (405, "OPTIONS, POST") == (answer.status, answer.header("allow"))
    assert -32600 == answer.json["error"]["code"]


async def test_packed_bodies_are_read(calculator: Door) -> None:
    import gzip

    answer = await post(
        calculator, gzip.compress(written(ask("sum", "[1,2]")).encode()), **{"Content-Encoding": "gzip"}
    )

    assert 3 == answer.json["result"]


async def test_the_route_s_other_guards_stand_before_it(door: OpenDoor) -> None:
    def authenticate(ctx: Any, route: Any, request: Any) -> Any:
        if request.header("authorization") != "Bearer x":
            raise errors.UnAuthorizedError()
        return {"name": "Bob"}

    route = {**ROUTE, "cors": {"origin": "https://a.test"}, "authentication": authenticate, "rateLimit": {"limit": 2}}
    made = await door(Vault, routes=[route])

    refused = await post(made, ask("whoami"), Origin="https://a.test")
    assert (401, -32001) == (refused.status, refused.json["error"]["code"])
    assert "https://a.test" == refused.header("access-control-allow-origin")

    told = await call(made, "whoami", Authorization="Bearer x")
    assert {"name": "Bob"} == told["result"]["user"]

    preflight = await made.ask(
        "OPTIONS", "/api", headers={"Origin": "https://a.test", "Access-Control-Request-Method": "POST"}
    )
    assert 204 == preflight.status

    limited = await post(made, ask("whoami"), Authorization="Bearer x")
    assert (429, -32003) == (limited.status, limited.json["error"]["code"])


async def test_paths_below_it_are_no_business_of_its(calculator: Door) -> None:
    answer = await calculator.ask("POST", "/api/other", body=b"{}")

    assert (404, "NotFoundError") == (answer.status, answer.json["name"])


# --- what it leads to ---


async def test_actions_are_hidden_until_the_whitelist_names_them(door: OpenDoor) -> None:
    shut = await door(Calculator, routes=[ROUTE])
    opened = await door(Calculator, routes=[{**ROUTE, "whitelist": ["math.hidden", "$node.list"]}])

    assert -32601 == (await call(shut, "math.hidden"))["error"]["code"]
    assert "not for everybody" == (await call(opened, "math.hidden"))["result"]
    assert "error" not in await call(opened, "$node.list")
    assert -32601 == (await call(opened, "math.subtract", [2, 1]))["error"]["code"]


async def test_positional_params_of_an_action_follow_its_schema(door: OpenDoor) -> None:
    class Users(Service):
        name = "users"

        @action(params={"name": "string", "age": "number"})
        async def create(self, ctx: Any) -> Any:
            return ctx.params

        @action
        async def loose(self, ctx: Any) -> Any:
            return ctx.params

    made = await door(Users, routes=[{**ROUTE, "whitelist": ["users.*"]}])

    assert {"name": "Ann", "age": 7} == (await call(made, "users.create", ["Ann", 7]))["result"]
    refused = (await call(made, "users.create", ["Ann", "x"]))["error"]
    assert (-32602, "age") == (refused["code"], refused["data"]["errors"][0]["field"])
    assert "named" in (await call(made, "users.loose", [1]))["error"]["data"]["reason"]
    assert {} == (await call(made, "users.loose", []))["result"]


async def test_a_name_of_two_services_is_told_with_both(door: OpenDoor, caplog: pytest.LogCaptureFixture) -> None:
    class Other(Service):
        name = "other"

        @public_method
        async def sum(self) -> str:
            return "other"

    made = await door(Calculator, Other, routes=[ROUTE])
    async with asyncio.timeout(10):
        while "method of several services" not in caplog.text:
            await asyncio.sleep(0.005)  # A moment after the start.

    error = (await call(made, "sum"))["error"]
    assert (-32601, ["math.sum", "other.sum"]) == (error["code"], error["data"]["candidates"])
    assert "other" == (await call(made, "other.sum"))["result"]

    only = await door(Calculator, Other, routes=[{"path": "/api", "jsonrpc": {"services": ["other"]}}])
    assert "other" == (await call(only, "sum"))["result"]
    assert -32601 == (await call(only, "get_data"))["error"]["code"]


async def test_what_comes_later_is_found_and_what_goes_is_not(door: OpenDoor) -> None:
    made = await door(routes=[ROUTE])
    assert -32601 == (await call(made, "sum", [1]))["error"]["code"]

    service = await made.broker.register(Calculator)
    assert 1 == (await call(made, "sum", [1]))["result"]

    await made.broker.destroy_service(service)
    assert -32601 == (await call(made, "sum", [1]))["error"]["code"]


async def test_methods_of_another_node() -> None:
    cluster = Cluster()
    try:
        await cluster.node("far", Calculator, Vault)
        made = await open_door(routes=[ROUTE], broker=await cluster.node("near"))

        assert 19 == (await call(made, "subtract", [42, 23]))["result"]
        assert 6 == (await call(made, "sum", [1, 2, 3]))["result"]
        own = {"code": 7, "message": "no such colour", "data": {"known": ["red"]}}
        assert own == (await call(made, "fail", ["own"]))["error"]
        assert "KeyError" == (await call(made, "expected"))["error"]["data"]["class"]
        assert -32603 == (await call(made, "boom"))["error"]["code"]
        # Nobody here can tell whether the token is good.
        assert -32001 == (await call(made, "secret", **{"X-Api-Token": "good"}))["error"]["code"]
    finally:
        await cluster.stop()


# --- errors ---


@pytest.mark.parametrize(
    ("kind", "code", "message", "data"),
    [
        ("own", 7, "no such colour", {"known": ["red"]}),
        (
            "client",
            -32000,
            "No such user",
            {"name": "MoleculerClientError", "type": "NO_USER", "code": 404, "data": {"id": 5}},
        ),
        ("full", -32003, "Service overloaded", {"retryAfter": 2}),
        ("limit", -32003, "Service overloaded", {"retryAfter": 3}),
        ("forbidden", -32001, "Access denied", None),
        ("builtin timeout", -32603, "Internal error", ...),
        ("timeout", -32002, "Request timed out", {"timeout": 30}),
    ],
)
async def test_the_codes_of_errors(door: OpenDoor, kind: str, code: int, message: str, data: Any) -> None:
    error = (await call(await door(Vault, routes=[ROUTE]), "fail", [kind]))["error"]

    assert (code, message) == (error["code"], error["message"])
    assert data is ... or data == error.get("data")


async def test_validators_faults_are_told_without_the_values(door: OpenDoor) -> None:
    error = (await call(await door(Vault, routes=[ROUTE]), "fail", ["validation"]))["error"]

    assert (-32602, [{"type": "x", "field": "a"}]) == (error["code"], error["data"]["errors"])


@pytest.mark.parametrize("how", ["exit", "interrupt", "cancel"])
async def test_a_method_that_would_end_everything_ends_its_own_call_only(door: OpenDoor, how: str) -> None:
    made = await door(Vault, routes=[ROUTE])
    leave, whoami = ask("leave", f'["{how}"]'), ask("whoami", None, "2")

    silent = ask("leave", f'["{how}"]', None)
    told = (await post(made, f"[{leave},{whoami},{silent}]")).json
    assert (-32603, True) == (told[0]["error"]["code"], "result" in told[1])

    for params in (f'["{how}"]', f'{{"how":"{how}"}}'):
        alone = await post(made, ask("leave", params))
        assert -32603 == alone.json["error"]["code"]
    assert "result" in await call(made, "whoami")


async def test_nodes_are_not_named(door: OpenDoor) -> None:
    error = (await call(await door(Vault, routes=[ROUTE]), "fail", ["away"]))["error"]

    assert -32004 == error["code"]
    assert "node-7" not in json.dumps(error)


async def test_expected_exceptions_are_told_with_class_and_text(door: OpenDoor) -> None:
    error = (await call(await door(Vault, routes=[ROUTE]), "expected"))["error"]

    assert (-32000, "KeyError") == (error["code"], error["data"]["class"])
    assert "no such thing" in error["message"]


async def test_unexpected_ones_are_told_by_the_request_s_id_and_in_full_only_for_debugging(door: OpenDoor) -> None:
    quiet = await door(Calculator, routes=[ROUTE])
    loud = await door(Calculator, routes=[{"path": "/api", "jsonrpc": {"debug": True}}])

    told = (await call(quiet, "boom", **{"X-Request-ID": "r1"}))["error"]
    assert {"code": -32603, "message": "Internal error", "data": {"requestID": "r1"}} == told
    data = (await call(loud, "boom"))["error"]["data"]
    assert ("ValueError", "boom") == (data["class"], data["info"])


@pytest.mark.parametrize("kind", ["bytes", "surrogate", "object"])
async def test_results_without_a_form_in_json_are_internal_errors(door: OpenDoor, kind: str) -> None:
    assert -32603 == (await call(await door(Vault, routes=[ROUTE]), "give", [kind]))["error"]["code"]


@pytest.mark.parametrize(("kind", "result"), [("date", "2026-01-02"), ("set", [1]), ("nan", None)])
async def test_results_are_encoded_as_elsewhere_in_the_gateway(door: OpenDoor, kind: str, result: Any) -> None:
    assert result == (await call(await door(Vault, routes=[ROUTE]), "give", [kind]))["result"]


async def test_the_same_fault_for_two_clients_at_once_keeps_their_ids(calculator: Door) -> None:
    answers = await asyncio.gather(*[post(calculator, ask("subtract", "[1]", str(n))) for n in range(20)])

    assert list(range(20)) == [answer.json["id"] for answer in answers]


# --- tokens ---


async def test_private_methods_take_a_token_that_their_service_accepts(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[ROUTE])

    assert -32001 == (await call(made, "secret"))["error"]["code"]
    assert -32001 == (await call(made, "secret", **{"X-Api-Token": "bad"}))["error"]["code"]
    assert [] == vault.ran
    assert {"user": None} == (await call(made, "secret", **{"X-Api-Token": "good"}))["result"]
    assert {"user": {"name": "Ann"}} == (await call(made, "secret", **{"X-Api-Token": "ann"}))["result"]


async def test_a_private_one_and_a_public_one_in_a_batch(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[ROUTE])
    both = f"[{ask('secret')},{ask('whoami', None, '2')},{ask('secret', None, '3')}]"

    refused = (await post(made, both)).json
    assert [-32001, None, -32001] == [one.get("error", {}).get("code") for one in refused]
    assert [None] == vault.asked  # Once for a request.

    granted = (await post(made, both, **{"X-Api-Token": "ann"})).json
    assert [{"name": "Ann"}, None, {"name": "Ann"}] == [one["result"]["user"] for one in granted]


async def test_a_private_notification_without_a_token_is_not_run(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[ROUTE])

    assert 204 == (await post(made, ask("secret", None, None))).status
    await post(made, ask("secret", None, None), **{"X-Api-Token": "good"})
    await made.broker.stop()
    assert ["secret"] == vault.ran


async def test_no_other_way_leads_to_a_private_method(door: OpenDoor) -> None:
    made = await door(Vault, routes=[ROUTE, {"path": "/all", "mappingPolicy": "all"}])

    assert 404 == (await made.ask("POST", "/all/vault/secret", headers={"X-Api-Token": "good"})).status


async def test_the_endpoint_may_say_itself_who_asks(door: OpenDoor) -> None:
    async def authenticate(request: Any) -> Any:
        if request.header("x-key") == "broken":
            raise RuntimeError("the database is away")
        return request.header("x-key")

    made = await door(Vault, routes=[{"path": "/api", "jsonrpc": {"authenticate": authenticate}}])

    assert {"user": "k"} == (await call(made, "secret", **{"X-Key": "k"}))["result"]
    assert -32001 == (await call(made, "secret", **{"X-Key": "broken"}))["error"]["code"]
    assert -32001 == (await call(made, "secret", **{"X-Api-Token": "good"}))["error"]["code"]


# --- batches and time ---


async def test_a_batch_runs_at_once_under_its_limit_and_is_answered_in_order(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[{"path": "/api", "jsonrpc": {"batchConcurrency": 4}}])
    batch = ",".join(ask("slow", f"[{n}]", str(n)) for n in range(100))

    told = (await post(made, f"[{batch}]")).json

    assert list(range(100)) == [one["id"] for one in told] == [one["result"] for one in told]
    assert 4 == vault.most


async def test_a_sequential_endpoint_runs_a_batch_in_order(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[{"path": "/api", "jsonrpc": {"sequential": True}}])

    await post(made, f"[{','.join(ask('slow', f'[{n}]', str(n)) for n in range(5))}]")
    assert (1, [f"slow {n}" for n in range(5)]) == (vault.most, vault.ran)


async def test_a_batch_shares_one_request_id(door: OpenDoor) -> None:
    made = await door(Vault, routes=[ROUTE])

    told = (await post(made, f"[{ask('whoami')},{ask('whoami', None, '2')}]", **{"X-Request-ID": "r7"})).json

    assert ["r7", "r7"] == [one["result"]["request"] for one in told]


@pytest.mark.slow
async def test_one_that_hangs_costs_its_own_time_only(door: OpenDoor) -> None:
    made = await door(Vault, routes=[{**ROUTE, "callOptions": {"timeout": 0.3}}])

    told = (await post(made, f"[{ask('hang')},{ask('whoami', None, '2')}]")).json
    assert (-32002, {"timeout": 0.3}) == (told[0]["error"]["code"], told[0]["error"]["data"])
    assert "result" in told[1]

    alone = await call(made, "hang")
    assert (-32002, {"timeout": 0.3}) == (alone["error"]["code"], alone["error"]["data"])


@pytest.mark.slow
async def test_a_client_may_wait_for_less(door: OpenDoor) -> None:
    made = await door(Vault, routes=[ROUTE])

    told = await call(made, "hang", **{"X-Request-Timeout": "0.2"})
    assert (-32002, {"timeout": 0.2}) == (told["error"]["code"], told["error"]["data"])


async def test_notifications_are_answered_before_they_end(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[ROUTE])

    assert 204 == (await post(made, ask("hang", None, None))).status
    assert 204 == (await post(made, f"[{ask('slow', '[1]', None)},{ask('slow', '[2]', None)}]")).status
    vault.release.set()
    await made.broker.stop()
    assert ["hang", "slow 1", "slow 2"] == vault.ran


async def test_in_order_means_notifications_too(door: OpenDoor) -> None:
    vault = Vault()
    made = await door(vault, routes=[{"path": "/api", "jsonrpc": {"sequential": True}}])
    first, second, last = ask("slow", "[1]", None), ask("slow", "[2]"), ask("slow", "[3]", None)

    # Those that are all there is are accepted, as ever, and not waited for.
    assert 204 == (await post(made, f"[{ask('hang', None, None)},{last}]")).status
    assert [2] == [one["result"] for one in (await post(made, f"[{first},{second},{ask('slow', '[4]', None)}]")).json]
    assert ["hang", "slow 1", "slow 2", "slow 4"] == vault.ran
    vault.release.set()
    await made.broker.stop()
    assert ["slow 3"] == vault.ran[4:]


async def test_notifications_over_their_bound_are_dropped_and_counted(door: OpenDoor, caplog: Any) -> None:
    from tautomer.web.rpc import processor

    vault = Vault()
    made = await door(vault, routes=[ROUTE])
    batch = "[" + ",".join([ask("hang", None, None)] * 100) + "]"
    for _ in range(11):
        assert 204 == (await post(made, batch)).status

    assert processor.NOTIFICATIONS_MAX == len(vault.ran)
    (line,) = [one for one in caplog.records if "notifications dropped" in one.message]
    assert line.most == processor.NOTIFICATIONS_MAX
    vault.release.set()


async def test_answers_as_gemstone_s_clients_look_for_them(door: OpenDoor) -> None:
    made = await door(Calculator, routes=[{"path": "/api", "jsonrpc": {"nullErrors": True}}])

    assert {"jsonrpc": "2.0", "result": 3, "error": None, "id": 1} == await call(made, "sum", {"numbers": [1, 2]})
    assert {"jsonrpc": "2.0", "result": 3, "error": None, "id": 1} == await call(made, "sum", [1, 2])
    assert "result" not in await call(made, "nobody")


# --- discovery ---


async def test_it_tells_what_it_leads_to(door: OpenDoor) -> None:
    made = await door(Calculator, Vault, routes=[{"path": "/api", "jsonrpc": {"discover": True}}])

    document = (await call(made, "rpc.discover"))["result"]

    methods = {one["name"]: one for one in document["methods"]}
    assert "1." == document["openrpc"][:2]
    assert {"subtract", "sum", "greet", "secret"} <= set(methods)
    assert "hidden" not in str(methods)
    assert [("minuend", True), ("subtrahend", True)] == [
        (one["name"], one["required"]) for one in methods["subtract"]["params"]
    ]
    assert {"type": "number"} == methods["subtract"]["params"][0]["schema"]
    assert {"type": "number"} == methods["subtract"]["result"]["schema"]
    assert "Say who is greeted." == methods["greet"]["summary"]
    assert methods["secret"]["x-private"]


# --- settings ---


@pytest.mark.parametrize(
    ("jsonrpc", "fault"),
    [
        ({"maxBatsh": 3}, "settings.routes[0].jsonrpc.maxBatsh is not a setting; did you mean 'max_batch'?"),
        ({"max_batch": 0}, "settings.routes[0].jsonrpc.max_batch is a whole number, 1 or more, not 0"),
        ({"authenticate": "nobody"}, "names the method 'nobody'"),
        ("yes", "settings.routes[0].jsonrpc is a mapping, not 'yes'"),
    ],
)
async def test_wrong_settings_are_told(jsonrpc: Any, fault: str) -> None:
    with pytest.raises(errors.ServiceSchemaError) as caught:
        await open_door(routes=[{"path": "/api", "jsonrpc": jsonrpc}])

    assert fault in caught.value.message
