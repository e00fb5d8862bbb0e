"""The error tree, and its way over the wire and back (protocol reference, section 8).

Long, as it tables every class.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer import errors
from tautomer.error_wire import from_wire, to_wire
from tautomer.errors import (
    BrokerDisconnectedError,
    MoleculerClientError,
    MoleculerError,
    MoleculerRetryableError,
    RemoteError,
    ServiceNotFoundError,
    TautomerError,
    ValidationError,
)

from .protocol.values import json_values

CLASSES: dict[str, type[MoleculerError]] = {
    name: found
    for name in errors.__all__
    if isinstance(found := getattr(errors, name), type) and issubclass(found, MoleculerError)
}

MADE: dict[str, MoleculerError] = {
    "MoleculerError": errors.MoleculerError("broken", 518, "MINE", {"a": 1}),
    "MoleculerRetryableError": errors.MoleculerRetryableError("broken", 518, "MINE", [1]),
    "MoleculerServerError": errors.MoleculerServerError("broken", 518, "MINE", 5),
    "MoleculerClientError": errors.MoleculerClientError("broken", 418, "TEAPOT", "text"),
    "ValidationError": errors.ValidationError("wrong", "MY_RULES", [{"type": "number", "field": "a"}]),
    "ServiceSchemaError": errors.ServiceSchemaError("wrong", {"a": 1}),
    "BrokerOptionsError": errors.BrokerOptionsError("wrong", {"a": 1}),
    "NodeIdTakenError": errors.NodeIdTakenError("node-1", "i-1", "box"),
    "MaxCallLevelError": errors.MaxCallLevelError("node-1", 100),
    "GracefulStopTimeoutError": errors.GracefulStopTimeoutError({"name": "math", "version": 2}),
    "ProtocolVersionMismatchError": errors.ProtocolVersionMismatchError("node-1", "5", "6"),
    "InvalidPacketDataError": errors.InvalidPacketDataError({"packet": "x"}),
    "QueueIsFullError": errors.QueueIsFullError("math.add", "node-1", size=5, limit=5),
    "RemoteError": errors.RemoteError("TypeError", "bad type", "E_TYPE", "T", {"x": 1}),
    "InvalidResponseTypeError": errors.InvalidResponseTypeError("object"),
    "PayloadTooLarge": errors.PayloadTooLarge({"limit": 5}),
    "InvalidRequestBodyError": errors.InvalidRequestBodyError("no JSON", data={"at": 5}),
    "BrokerDisconnectedError": errors.BrokerDisconnectedError(),
    "StreamError": errors.StreamError("read too slowly", type="STREAM_WINDOW"),
    "JsonRpcError": errors.JsonRpcError(7, "no such colour", {"known": ["red"]}),
}
for _name in ("ServiceNotFound", "ServiceNotAvailable", "RequestTimeout", "RequestRejected", "RequestSkipped"):
    MADE[f"{_name}Error"] = CLASSES[f"{_name}Error"]("math.add", "node-1")
for _name in ("SerializationError", "PayloadTooLargeError", "TransporterError"):
    MADE[_name] = CLASSES[_name]("broken", data={"a": 1})
for _name in ("CommandError", "CommandTimeout", "CommandRejected", "CircuitOpen"):
    MADE[_name] = CLASSES[_name]("get_user", "users", 1.5)  # type: ignore[arg-type]  # Command, group, seconds.
for _name in sorted(set(CLASSES) - set(MADE)):
    MADE[_name] = CLASSES[_name]("MY_TYPE", {"a": 1})  # type: ignore[arg-type]  # moleculer-web's: type, data.


@pytest.mark.parametrize(
    ("name", "parent", "code", "type_", "retryable"),
    [
        ("MoleculerError", "TautomerError", 500, None, False),
        ("MoleculerRetryableError", "MoleculerError", 500, None, True),
        ("MoleculerServerError", "MoleculerRetryableError", 500, None, True),
        ("MoleculerClientError", "MoleculerError", 400, None, False),
        ("BrokerDisconnectedError", "MoleculerRetryableError", 502, "BAD_GATEWAY", True),
        ("ServiceNotFoundError", "MoleculerRetryableError", 404, "SERVICE_NOT_FOUND", True),
        ("ServiceNotAvailableError", "MoleculerRetryableError", 404, "SERVICE_NOT_AVAILABLE", True),
        ("RequestTimeoutError", "MoleculerRetryableError", 504, "REQUEST_TIMEOUT", True),
        ("RequestRejectedError", "MoleculerRetryableError", 503, "REQUEST_REJECTED", True),
        ("QueueIsFullError", "MoleculerRetryableError", 429, "QUEUE_FULL", True),
        ("CommandTimeout", "CommandError", 504, "COMMAND_TIMEOUT", True),
        ("CommandRejected", "CommandError", 503, "COMMAND_REJECTED", True),
        ("CircuitOpen", "CommandError", 503, "CIRCUIT_OPEN", True),
        ("RequestSkippedError", "MoleculerError", 514, "REQUEST_SKIPPED", False),
        ("ValidationError", "MoleculerClientError", 422, "VALIDATION_ERROR", False),
        ("MaxCallLevelError", "MoleculerError", 500, "MAX_CALL_LEVEL", False),
        ("ServiceSchemaError", "MoleculerError", 500, "SERVICE_SCHEMA_ERROR", False),
        ("BrokerOptionsError", "MoleculerError", 500, "BROKER_OPTIONS_ERROR", False),
        ("GracefulStopTimeoutError", "MoleculerError", 500, "GRACEFUL_STOP_TIMEOUT", False),
        ("ProtocolVersionMismatchError", "MoleculerError", 500, "PROTOCOL_VERSION_MISMATCH", False),
        ("InvalidPacketDataError", "MoleculerError", 500, "INVALID_PACKET_DATA", False),
    ],
)
def test_the_classes_are_those_of_the_protocol(
    name: str, parent: str, code: int, type_: str | None, retryable: bool
) -> None:
    cls = CLASSES[name]

    assert issubclass(cls, getattr(errors, parent))
    assert (code, type_, retryable) == (cls.code, cls.type, cls.retryable)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("BadRequestError", 400),
        ("UnAuthorizedError", 401),
        ("ForbiddenError", 403),
        ("NotFoundError", 404),
        ("MethodNotAllowedError", 405),
        ("PayloadTooLarge", 413),
        ("UnsupportedMediaTypeError", 415),
        ("RateLimitExceeded", 429),
        ("InvalidRequestBodyError", 400),
        ("InvalidResponseTypeError", 500),
        ("ServiceUnavailableError", 503),
    ],
)
def test_the_gateways_classes_have_their_status(name: str, code: int) -> None:
    assert code == CLASSES[name].code


def test_every_public_error_is_tried_here() -> None:
    assert set(CLASSES) == set(MADE)


def seen(error: MoleculerError) -> dict[str, Any]:
    return {
        "name": error.name,
        "message": str(error),
        "code": error.code,
        "type": error.type,
        "data": error.data,
        "retryable": error.retryable,
    }


@pytest.mark.parametrize("name", sorted(MADE))
class TestThereAndBack:
    def test_an_error_arrives_as_it_was_raised(self, name: str) -> None:
        raised = MADE[name]

        caught = from_wire(over_the_wire(to_wire(raised, "node-1")), "node-9")

        assert seen(raised) == seen(caught)
        assert "node-1" == caught.node_id

    def test_and_as_its_own_class(self, name: str) -> None:
        """Node sends the one that it can never have been answered with as a plain error, and so do we."""
        expected = RemoteError if name in ("RemoteError", "BrokerDisconnectedError") else CLASSES[name]

        assert type(from_wire(to_wire(MADE[name], "node-1"), "node-9")) is expected

    def test_what_was_changed_on_the_way_arrives(self, name: str) -> None:
        wire = to_wire(MADE[name], "node-1")
        changed = {**wire, "code": 599, "type": "OTHER", "retryable": not wire["retryable"], "message": "other words"}

        assert {**seen(MADE[name]), **{key: changed[key] for key in ("code", "type", "retryable", "message")}} == seen(
            from_wire(changed, "node-9")
        )

    def test_retryable_is_always_said(self, name: str) -> None:
        assert MADE[name].retryable is to_wire(MADE[name], "node-1")["retryable"]

    @pytest.mark.parametrize("data", [None, [], "text", 5])
    def test_the_data_driven_ones_always_have_an_object(self, name: str, data: Any) -> None:
        """A Node caller would hang on anything else (protocol reference, section 8.3)."""
        error = from_wire({**to_wire(MADE[name], "node-1"), "data": data}, "node-9")
        wire = to_wire(error, "node-1")

        if isinstance(error, errors._DataError):
            assert {} == error.data == wire["data"]
            error.data = data
            assert {} == to_wire(error, "node-1")["data"]
        else:
            assert data == error.data

    def test_it_can_be_raised(self, name: str) -> None:
        with pytest.raises(TautomerError) as caught:
            raise from_wire(to_wire(MADE[name], "node-1"), "node-9")

        assert str(MADE[name]) == str(caught.value)


def over_the_wire(wire: dict[str, Any]) -> Any:
    return msgspec.json.decode(msgspec.json.encode(wire))


DATA_DRIVEN = [name for name in MADE if isinstance(MADE[name], errors._DataError)]


def test_the_data_driven_ones_are_those_of_the_protocol() -> None:
    assert {
        "ServiceNotFoundError",
        "UnknownService",
        "ServiceNotAvailableError",
        "RequestTimeoutError",
        "RequestSkippedError",
        "RequestRejectedError",
        "QueueIsFullError",
        "MaxCallLevelError",
        "GracefulStopTimeoutError",
        "ProtocolVersionMismatchError",
        "InvalidPacketDataError",
    } == set(DATA_DRIVEN)


class TestData:
    def test_of_an_action_error_names_action_and_node(self) -> None:
        assert {"action": "math.add", "nodeID": "node-1"} == ServiceNotFoundError("math.add", "node-1").data
        assert {"action": "math.add"} == ServiceNotFoundError("math.add").data

    def test_of_a_full_queue_says_how_full(self) -> None:
        error = errors.QueueIsFullError("math.add", "node-1", size=5, limit=4)

        assert {"action": "math.add", "nodeID": "node-1", "size": 5, "limit": 4} == error.data

    def test_names_the_action(self) -> None:
        error = ServiceNotFoundError("math.add")

        assert "math.add" == error.action
        nothing: list[object] = [None, [], {}, {"action": 5}]
        for data in nothing:
            error.data = data
            assert None is error.action

    def test_of_the_rest(self) -> None:
        assert {"nodeID": "n", "level": 5} == errors.MaxCallLevelError("n", 5).data
        assert {"service": "math"} == errors.GracefulStopTimeoutError("math").data
        assert {"nodeID": "n", "actual": "5", "received": "6"} == errors.ProtocolVersionMismatchError(
            "n", "5", "6"
        ).data


class TestText:
    @pytest.mark.parametrize(
        ("error", "words"),
        [
            (ServiceNotFoundError("a.b"), ["a.b", "not found"]),
            (ServiceNotFoundError("a.b", "n-1"), ["a.b", "n-1"]),
            (errors.ServiceNotAvailableError("a.b"), ["a.b", "not available"]),
            (errors.RequestTimeoutError("a.b", "n-1"), ["a.b", "n-1", "time"]),
            (errors.MaxCallLevelError("n-1", 100), ["100", "n-1"]),
            (errors.GracefulStopTimeoutError({"name": "math"}), ["math"]),
            (errors.GracefulStopTimeoutError(), ["broker"]),
            (errors.ProtocolVersionMismatchError("n-1", "5", "6"), ["n-1", "'5'", "'6'"]),
        ],
    )
    def test_says_what_happened(self, error: MoleculerError, words: list[str]) -> None:
        assert [] == [word for word in words if word not in str(error)]
        assert error.message == str(error)

    def test_an_action_name_is_never_a_template(self) -> None:
        assert "{where}{0.__class__}" in str(ServiceNotFoundError("{where}{0.__class__}"))

    def test_of_an_error_that_came_without_any_is_made_of_its_data(self) -> None:
        told = {"name": "ServiceNotFoundError", "data": {"action": "math.add", "nodeID": "node-3"}}

        assert "Service 'math.add' is not found on node 'node-3'." == str(from_wire(told, "node-1"))
        for data in ({"action": "math.add", "nodeID": {}}, {"service": "math", "version": 2}, None):
            assert "" != str(from_wire({**told, "data": data}, "node-1"))
        assert "" != str(from_wire({"name": "MaxCallLevelError"}, "node-1"))

    def test_that_is_no_text_becomes_one(self) -> None:
        cause = KeyError("a")

        assert str(cause) == MoleculerError(cause).message  # type: ignore[arg-type]  # People do.


class TestForeignErrors:
    def test_an_exception_that_is_not_ours_has_its_class_name(self) -> None:
        assert {
            "name": "TypeError",
            "message": "bad type",
            "nodeID": "node-1",
            "code": 500,
            "retryable": False,
            "stack": "…",
        } == to_wire(TypeError("bad type"), "node-1", "…")

    def test_and_arrives_as_a_remote_error_of_that_name(self) -> None:
        caught = from_wire(to_wire(TypeError("bad type"), "node-1"), "node-9")

        assert isinstance(caught, RemoteError)
        assert ("TypeError", "bad type", 500, None, False) == (
            caught.name,
            str(caught),
            caught.code,
            caught.type,
            caught.retryable,
        )

    def test_one_that_cannot_say_anything_is_sent_all_the_same(self) -> None:
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        wire = to_wire(Broken(), "node-1")

        assert "Broken" == wire["name"]
        assert "__str__" in wire["message"]

    def test_a_subclass_that_does_not_call_its_parent_is_sent_all_the_same(self) -> None:
        class Mine(MoleculerClientError):
            def __init__(self, number: int) -> None:
                self.number = number

        assert {"name": "Mine", "message": "", "nodeID": "node-1", "code": 400, "retryable": False} == to_wire(
            Mine(5), "node-1"
        )

    def test_a_users_own_class_arrives_as_a_remote_error_with_all_it_had(self) -> None:
        class Teapot(MoleculerClientError):
            code = 418
            type = "TEAPOT"

        caught = from_wire(to_wire(Teapot("short and stout", data={"x": 1}), "node-1"), "node-9")

        assert ("Teapot", "short and stout", 418, "TEAPOT", {"x": 1}, False) == tuple(
            seen(caught)[key] for key in ("name", "message", "code", "type", "data", "retryable")
        )
        assert isinstance(caught, RemoteError)

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
    def test_what_ends_programs_elsewhere_is_an_error_here(self, error: BaseException) -> None:
        assert type(error).__name__ == to_wire(error, "node-1")["name"]


class TestFromStrangers:
    @pytest.mark.slow
    @given(json_values(st.text(max_size=20)))
    def test_any_value_becomes_an_error(self, wire: Any) -> None:
        assert isinstance(from_wire(wire, "node-1"), MoleculerError)

    @pytest.mark.slow
    @given(
        st.dictionaries(
            st.sampled_from(["name", "message", "code", "type", "data", "retryable", "nodeID", "stack"]),
            json_values() | st.sampled_from([*CLASSES, 10**5_000, "nodeID"]),
        )
    )
    def test_any_error_object_becomes_a_sound_error(self, wire: dict[str, Any]) -> None:
        error = from_wire(wire, "node-1")

        assert isinstance(error.name, str)
        assert isinstance(str(error), str)
        assert isinstance(error.code, str) or 400 <= error.code <= 599
        assert isinstance(error.retryable, bool)
        assert error.node_id
        assert error.type is None or isinstance(error.type, str)
        assert error.remote_stack is None or isinstance(error.remote_stack, str)
        assert isinstance(to_wire(error, "node-2"), dict)

    @pytest.mark.parametrize("name", sorted(CLASSES))
    def test_data_nested_without_end_harms_no_class(self, name: str) -> None:
        """Its text must not be made of what a stranger nested: that alone could exhaust the stack."""
        deep: Any = "x"
        for _ in range(50_000):
            deep = [deep]
        keys = ("action", "nodeID", "service", "level", "actual", "received", "dataType")

        error = from_wire({"name": name, "data": dict.fromkeys(keys, deep), "message": deep}, "node-1")

        assert len(str(error)) < 200
        unwind(deep)

    @pytest.mark.parametrize("wire", [None, [], 5, "text", {}, {"code": 404}, {"name": 5, "message": None}])
    def test_nothing_usable_says_so(self, wire: object) -> None:
        error = from_wire(wire, "node-1")

        assert ("Error", "remote error without detail", "node-1") == (error.name, str(error), error.node_id)

    @pytest.mark.parametrize(
        ("code", "expected"),
        [
            (400, 400),
            (599, 599),
            (418.0, 418),
            (399, 500),
            (600, 500),
            (200, 500),
            (0, 500),
            (-1, 500),
            (10**5_000, 500),
            (404.5, 500),
            (1e300, 500),
            (True, 500),
            (None, 500),
            ([404], 500),
            ("E_CONN", "E_CONN"),
        ],
        ids=lambda code: str(code)[:10] if not isinstance(code, int) or code.bit_length() < 99 else "huge",
    )
    def test_codes_are_those_that_a_client_may_see(self, code: object, expected: object) -> None:
        for name in ("MoleculerError", "Whatever", "MaxCallLevelError"):
            assert expected == from_wire({"name": name, "code": code}, "node-1").code

    def test_a_missing_code_is_that_of_the_class(self) -> None:
        assert 404 == from_wire({"name": "ServiceNotFoundError"}, "node-1").code
        assert 422 == from_wire({"name": "ValidationError"}, "node-1").code

    def test_only_names_of_public_errors_are_classes(self) -> None:
        for name in (
            "_DataError",
            "_ActionError",
            "TautomerError",
            "Exception",
            "RemoteError",
            "to_wire",
            "__builtins__",
        ):
            assert type(from_wire({"name": name}, "node-1")) is RemoteError

    def test_the_stack_is_kept_apart(self) -> None:
        error = from_wire({"name": "Error", "message": "x", "stack": "at line 5"}, "node-1")

        assert "at line 5" == error.remote_stack
        assert "at line 5" not in str(error)
        assert "at line 5" == to_wire(error, "node-2")["stack"]
        assert "here" == to_wire(error, "node-2", "here")["stack"]

    def test_the_node_that_raised_it_is_named_through_all_hops(self) -> None:
        first = from_wire({"name": "Error", "nodeID": "far"}, "near")

        assert "far" == to_wire(first, "me")["nodeID"]
        assert "near" == from_wire({"name": "Error", "nodeID": 5}, "near").node_id


def unwind(deep: Any) -> None:
    """Take a nest apart level by level: letting go of it at once would need as deep a stack."""
    while isinstance(deep, list):
        deep = deep[0]


def test_constructors_take_what_moleculers_take() -> None:
    """Message, code, type, data, in this order (protocol reference, section 8.1)."""
    assert ["message", "code", "type", "data"] == list(inspect.signature(MoleculerError).parameters)
    assert ["message", "type", "data"] == list(inspect.signature(ValidationError).parameters)
    assert MoleculerRetryableError("x", 503).code == 503
    assert "BAD_GATEWAY" == BrokerDisconnectedError().type


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (errors.BrokerDisconnectedError(), "not run"),
        (errors.ServiceNotFoundError("a.b"), "not run"),
        (errors.ServiceNotAvailableError("a.b"), "not run"),
        (errors.RequestSkippedError("a.b"), "not run"),
        (errors.QueueIsFullError("a.b"), "not run"),
        (errors.MaxCallLevelError("n", 5), "not run"),
        (errors.RequestTimeoutError("a.b"), "unknown"),
        (errors.RequestRejectedError("a.b"), "unknown"),
        (errors.MoleculerServerError("m"), "failed"),
        (errors.RemoteError(), "failed"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_says_what_is_known_of_its_call(error: errors.MoleculerError, outcome: str) -> None:
    arrived = from_wire(to_wire(error, "n"), "n")

    assert outcome == error.outcome
    assert "outcome" not in to_wire(error, "n")
    # Elsewhere the same class may be about a call inside the one that was asked for.
    assert ("unknown" if outcome == "unknown" else "failed") == arrived.outcome
