"""From exceptions to answers: what a client is told, and what not."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tautomer import Context, Service, action, errors
from tautomer.error_wire import from_wire, is_on_purpose
from tautomer.web.answers.failures import failure_reply, not_found_body
from tautomer.web.messages.message import Request
from tests.web.conftest import OpenDoor
from tests.web.door import Door


def asked(**headers: str) -> Request:
    return Request.build(headers=headers.items())


class OwnError(errors.MoleculerClientError):
    code = 409
    type = "CONFLICT"


async def answer_to(door: OpenDoor, error: BaseException, meta: dict[str, Any] | None = None, **route: Any) -> Any:
    class Fails(Service):
        name = "fails"

        @action
        async def always(self, ctx: Context) -> None:
            ctx.meta.update(meta or {})
            raise error

    at: Door = await door(Fails, routes=[{"aliases": {"/x": "fails.always"}, **route}])
    return await at.get("/x")


@pytest.mark.parametrize(
    ("error", "status", "body"),
    [
        (
            errors.MoleculerClientError("taken", 409, "TAKEN", {"field": "name"}),
            409,
            {
                "name": "MoleculerClientError",
                "message": "taken",
                "code": 409,
                "type": "TAKEN",
                "data": {"field": "name"},
            },
        ),
        (errors.MoleculerError("bad"), 500, {"name": "MoleculerError", "message": "bad", "code": 500}),
        (OwnError("own"), 409, {"name": "OwnError", "message": "own", "code": 409, "type": "CONFLICT"}),
        (
            errors.ForbiddenError("NO", {"a": 1}),
            403,
            {"name": "ForbiddenError", "message": "Forbidden", "code": 403, "type": "NO", "data": {"a": 1}},
        ),
        (errors.MoleculerError("x", 399), 500, {"name": "MoleculerError", "message": "x", "code": 500}),
        (errors.MoleculerError("x", 600), 500, {"name": "MoleculerError", "message": "x", "code": 500}),
        (errors.MoleculerError("x", 599), 599, {"name": "MoleculerError", "message": "x", "code": 599}),
        (errors.MoleculerError("x", "E_X"), 500, {"name": "MoleculerError", "message": "x", "code": 500}),
        (
            errors.MoleculerError("x", data={"a": object()}),
            500,
            {"name": "MoleculerError", "message": "x", "code": 500},
        ),
        (
            errors.ServiceNotFoundError("a.b", "node-7"),
            404,
            {
                "name": "ServiceNotFoundError",
                "message": "Service 'a.b' is not found.",
                "code": 404,
                "type": "SERVICE_NOT_FOUND",
                "data": {"action": "a.b"},
            },
        ),
        (
            errors.RequestTimeoutError("a.b", "node-7"),
            504,
            {
                "name": "RequestTimeoutError",
                "message": "Request to 'a.b' got no answer in time.",
                "code": 504,
                "type": "REQUEST_TIMEOUT",
                "data": {"action": "a.b"},
            },
        ),
        (
            errors.MaxCallLevelError("node-7", 3),
            500,
            {
                "name": "MaxCallLevelError",
                "message": "Calls are nested too deep.",
                "code": 500,
                "type": "MAX_CALL_LEVEL",
                "data": {"level": 3},
            },
        ),
    ],
)
async def test_an_error_raised_on_purpose_is_told(door: OpenDoor, error, status, body):
    answer = await answer_to(door, error)

    assert (status, body) == (answer.status, answer.json)
    assert "application/json; charset=utf-8" == answer.header("Content-Type")


@pytest.mark.parametrize(
    "error", [KeyError("/etc/secret"), RuntimeError("secret"), AssertionError("secret"), RecursionError("secret")]
)
async def test_an_unexpected_one_is_hidden_and_logged_under_the_request_id(door: OpenDoor, error, caplog):
    with caplog.at_level(logging.ERROR):
        answer = await answer_to(door, error)

    assert 500 == answer.status
    assert {
        "name": "MoleculerServerError",
        "message": "Internal server error",
        "code": 500,
        "type": "INTERNAL_ERROR",
        "data": {"requestID": answer.header("X-Request-ID")},
    } == answer.json
    (record,) = [one for one in caplog.records if one.name == "tautomer.web"]
    assert (answer.header("X-Request-ID"), "fails.always") == (record.request, record.action)
    assert record.exc_info is not None
    assert error is record.exc_info[1]


async def test_strict_validation_tells_the_faults_without_the_values(door: OpenDoor):
    class Strict(Service):
        name = "strict"

        @action(params={"id": "number", "name": {"type": "string", "min": 3}})
        def run(self, ctx: Context) -> None: ...

    at: Door = await door(Strict, routes=[{"aliases": {"/x": "strict.run"}}])

    answer = await at.send("POST", "/x", {"id": "hunter2", "name": "yo"})

    assert (422, "VALIDATION_ERROR") == (answer.status, answer.type)
    assert {"id", "name"} == {fault["field"] for fault in answer.json["data"]}
    assert all({"field", "type", "message"} == fault.keys() for fault in answer.json["data"])
    assert b"hunter2" not in answer.body


def test_what_a_service_adds_to_its_own_validation_faults_stays():
    error = errors.ValidationError("no", data=[{"field": "a", "hint": "b", "actual": "secret", "nodeID": "n"}, "text"])

    body = failure_reply(error, asked(), "a.b", None).body

    assert b'"data":[{"field":"a","hint":"b"},"text"]' in body


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.RemoteError("TypeError", "x of undefined"), False),
        (errors.RemoteError("TypeError", "x of undefined", 500), False),
        (errors.RemoteError("Error", "connect", "ECONNREFUSED"), False),
        (errors.RemoteError("Error", "x", 200), False),
        (errors.RemoteError("EntityNotFound", "no", 404), True),
        (errors.RemoteError("OwnError", "no", 500, "OWN"), True),
        (errors.MoleculerError("x"), True),
        (errors.TautomerError("x"), False),
        (ValueError("x"), False),
    ],
)
def test_what_counts_as_raised_on_purpose(error, expected):
    assert expected is is_on_purpose(error)


def test_what_a_node_sent_of_itself_stays_in_our_log(caplog):
    error = from_wire(
        {"name": "TypeError", "message": "secret", "stack": "at /srv/app.js:1", "nodeID": "node-7", "code": 500},
        "node-7",
    )

    reply = failure_reply(error, asked(), "a.b", None)

    assert not any(word in reply.body for word in (b"secret", b"node-7", b"app.js", b"TypeError"))
    (record,) = caplog.records
    assert ("node-7", "at /srv/app.js:1") == (record.node, record.remote_stack)


def test_the_words_of_a_node_about_nodes_are_replaced_by_ours():
    error = from_wire(
        {
            "name": "ServiceNotFoundError",
            "message": "Service 'a.b' is not found on 'node-7' node.",
            "code": 404,
            "data": {"action": "a.b", "nodeID": "node-7"},
        },
        "node-7",
    )

    assert b"node-7" not in failure_reply(error, asked(), "a.b", None).body


def test_a_subclass_of_an_error_about_nodes_is_kept_quiet_too():
    class Odd(errors.ServiceNotFoundError):
        def __init__(self) -> None:
            super().__init__("a.b", "node-7")

    reply = failure_reply(Odd(), asked(), "a.b", None)

    assert 404 == reply.status
    assert b"node-7" not in reply.body


def test_an_error_whose_message_is_no_text_is_still_answered():
    error = errors.MoleculerError("x", 418)
    error.message = "\ud800"

    assert (418, b"418" in failure_reply(error, asked(), "a.b", None).body) == (418, True)


async def test_response_headers_hold_for_errors_too_but_not_the_type(door: OpenDoor):
    meta = {
        "$responseHeaders": {"WWW-Authenticate": "Basic", "Content-Type": "text/html", "Content-Length": "1"},
        "$responseType": "text/html",
        "$statusCode": 200,
    }

    answer = await answer_to(door, errors.UnAuthorizedError(), meta)

    assert (401, "Basic") == (answer.status, answer.header("WWW-Authenticate"))
    assert "application/json; charset=utf-8" == answer.header("Content-Type")


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt()])
async def test_an_action_that_wants_to_end_the_process_ends_its_request(door: OpenDoor, error):
    answer = await answer_to(door, error)

    assert (500, "INTERNAL_ERROR") == (answer.status, answer.type)


PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    ("accept", "is_problem"),
    [
        (PROBLEM, True),
        (f"{PROBLEM}, application/json", True),
        (f"application/json, {PROBLEM}", True),
        (f"application/json, {PROBLEM};q=0.9", False),
        (f"{PROBLEM};q=0.5, */*;q=0.1", True),
        (f"{PROBLEM};q=0", False),
        ("*/*", False),
        ("application/*", False),
        ("application/json", False),
    ],
)
async def test_an_error_has_the_form_that_the_client_prefers(door: OpenDoor, accept: str, is_problem: bool) -> None:
    at = await door(routes=[{"aliases": {"/x": "not.there"}}])

    answer = await at.get("/x", Accept=accept)

    kind = PROBLEM if is_problem else "application/json; charset=utf-8"
    assert (503, kind, is_problem) == (answer.status, answer.header("Content-Type"), "status" in answer.json)


async def test_the_members_of_a_problem(door: OpenDoor) -> None:
    def fails(_request: Request) -> None:
        raise errors.MoleculerClientError("no tea", 409, "NO TEA", {"pot": 1})

    def breaks(_request: Request) -> None:
        raise ValueError("secret")

    at = await door(routes=[{"aliases": {"/fails": fails, "/breaks": breaks}}])
    headers = {"Accept": PROBLEM, "X-Request-ID": "r-1"}

    told, hidden = await at.get("/fails", **headers), await at.get("/breaks", **headers)
    nowhere = await at.get("/nowhere", **headers)

    assert {
        "type": "urn:problem-type:NO%20TEA",
        "title": "Conflict",
        "status": 409,
        "detail": "no tea",
        "instance": "r-1",
        "name": "MoleculerClientError",
        "code": 409,
        "data": {"pot": 1},
    } == told.json
    assert "Accept" == told.header("Vary")
    assert (500, "Internal server error") == (hidden.json["status"], hidden.json["detail"])
    assert b"secret" not in hidden.body
    assert (404, PROBLEM, "Not Found") == (nowhere.status, nowhere.header("Content-Type"), nowhere.json["title"])


async def test_a_problem_of_an_action_that_a_path_names(door: OpenDoor) -> None:
    at = await door(routes=[{"mappingPolicy": "all"}])

    answer = await at.get("/not/there", Accept=PROBLEM)

    assert (404, "urn:problem-type:SERVICE_NOT_FOUND") == (answer.status, answer.json["type"])


def test_a_problem_whose_data_has_no_json_form_goes_without() -> None:
    error = errors.MoleculerClientError("no", 418, "", {"odd": object()})

    reply = failure_reply(error, asked(accept=PROBLEM), "a.b", None)

    assert isinstance(reply.body, bytes)
    assert (418, b"about:blank" in reply.body, b"odd" in reply.body) == (reply.status, True, False)


@pytest.mark.parametrize("action", ["users.get", "a'b\"c", "grüße.\u2028"])
def test_the_body_for_an_action_that_nobody_has_is_that_of_its_error(action):
    usual = failure_reply(errors.ServiceNotFoundError(action), asked(), action, None)

    assert usual.body == not_found_body(action)
