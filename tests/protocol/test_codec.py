"""The codec: what it takes, what it refuses, and why. Long, as it tables every field of every packet."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tautomer.errors import SerializationError
from tautomer.protocol.codec import INFO_BYTES_MAX, SENDERS_KEPT, Codec, Refused
from tautomer.protocol.packets import (
    READ_AS,
    Packet,
    ReceivedResponse,
    Request,
    Response,
)
from tautomer.serializers.json import JSONSerializer

from .coding import CODEC, BinarySerializer, plain
from .values import COMMANDS, good, json_values

HIGH_SURROGATE = "\ud83d"


class TiredSerializer(JSONSerializer):
    """One whose typed decoders always give up, as they do at the limit of nesting; by the name of JSON or another."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def decoder(self, record_type: type[Any]) -> Any:
        return json.loads if record_type == dict[str, Any] else self.give_up

    def give_up(self, data: bytes) -> Any:
        raise RecursionError


def refused(command: str, packet: object, codec: Codec = CODEC) -> Refused:
    data = packet if isinstance(packet, bytes) else json.dumps(packet).encode()
    with pytest.raises(Refused) as caught:
        codec.decode(command, data)
    return caught.value


def read(command: str, packet: dict[str, Any]) -> Any:
    return CODEC.decode(command, json.dumps(packet).encode())


class TestAnyBytes:
    """Whatever a stranger sends: a record, or `Refused`, and nothing else (reliability reference, section 9)."""

    @pytest.mark.slow
    @given(command=st.sampled_from(COMMANDS), data=st.binary(max_size=200))
    def test_of_no_form(self, command: str, data: bytes) -> None:
        self.decodes_or_refuses(command, data)

    @pytest.mark.slow
    @given(command=st.sampled_from(COMMANDS), value=json_values(st.text(max_size=20)))
    def test_of_any_json(self, command: str, value: Any) -> None:
        """Texts may hold lone surrogates here, which JSON can escape."""
        self.decodes_or_refuses(command, json.dumps(value).encode())

    @pytest.mark.slow
    @given(command=st.sampled_from(COMMANDS), data=st.data())
    def test_of_a_packet_with_some_fields_replaced(self, command: str, data: st.DataObject) -> None:
        packet = good(command)
        fields = data.draw(st.lists(st.sampled_from([*packet, "unknown"]), unique=True, min_size=1, max_size=3))
        for field in fields:
            packet[field] = data.draw(json_values(st.text(max_size=20)))

        self.decodes_or_refuses(command, json.dumps(packet).encode())

    @pytest.mark.slow
    @given(command=st.sampled_from(COMMANDS), data=st.data())
    def test_of_a_packet_with_some_bytes_replaced(self, command: str, data: st.DataObject) -> None:
        text = bytearray(json.dumps(good(command)).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))

        self.decodes_or_refuses(command, bytes(text))

    @pytest.mark.parametrize("command", COMMANDS)
    @pytest.mark.parametrize("depth", [90, 900, 100_000])
    def test_nested_deeply_in_any_field(self, command: str, depth: int) -> None:
        nested = b"[" * depth + b"]" * depth
        for field in [*good(command), "unknown"]:
            text = json.dumps({**good(command), field: "@"}).encode().replace(b'"@"', nested)
            self.decodes_or_refuses(command, text)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_with_an_integer_without_end_in_any_field(self, command: str) -> None:
        for field in [*good(command), "unknown"]:
            for digits in (25, 400, 4_300, 10_000):
                text = json.dumps({**good(command), field: "@"}).encode().replace(b'"@"', b"9" * digits)
                self.decodes_or_refuses(command, text)

    def decodes_or_refuses(self, command: str, data: bytes) -> None:
        outcome: Packet | Refused
        try:
            outcome = CODEC.decode(command, data)
        except Refused as refusal:
            outcome = refusal
        if isinstance(outcome, Refused):
            assert outcome.reason in ("undecodable", "version", "sender", "malformed")
            assert len(outcome.sender) <= 255
            assert len(outcome.version) <= 20
        else:
            assert isinstance(outcome, READ_AS[command])
            assert outcome.ver in ("4", "5")
            assert outcome.sender
            if isinstance(outcome, ReceivedResponse) and outcome.data is not UNSET:
                self.can_be_read_or_not(outcome.data)

    def can_be_read_or_not(self, data: Any) -> None:
        try:
            CODEC.value(data)
        except SerializationError:
            pass


JSON_TYPES: dict[str, Any] = {
    "null": None,
    "bool": True,
    "int": 3,
    "float": 1.5,
    "text": "text",
    "list": [],
    "object": {},
}
ALL = frozenset({*JSON_TYPES, "absent"})
NUMBER = frozenset({"int", "float"})
OPTIONAL = frozenset({"null", "absent"})
TEXT_OR_NOTHING = OPTIONAL | {"text"}
OBJECT_OR_NOTHING = OPTIONAL | {"object"}
FLAG_OR_NOTHING = OPTIONAL | {"bool"}
TAKEN: dict[str, dict[str, frozenset[str]]] = {
    "REQ": {
        "id": frozenset({"text"}),
        "action": frozenset({"text"}),
        "params": ALL,
        "meta": OBJECT_OR_NOTHING,
        "headers": OBJECT_OR_NOTHING,
        "timeout": ALL,
        "level": OPTIONAL | NUMBER,
        "tracing": FLAG_OR_NOTHING,
        "parentID": TEXT_OR_NOTHING,
        "requestID": TEXT_OR_NOTHING,
        "caller": TEXT_OR_NOTHING,
        "stream": FLAG_OR_NOTHING | NUMBER | {"text"},
        "seq": OPTIONAL | {"int"},
    },
    "RES": {
        "id": frozenset({"text"}),
        "meta": OBJECT_OR_NOTHING,
        "headers": OBJECT_OR_NOTHING,
        "success": frozenset({"bool", "absent"}),
        "data": ALL,
        "error": ALL,
        "stream": FLAG_OR_NOTHING,
        "seq": OPTIONAL | {"int"},
    },
    "EVENT": {
        "id": frozenset({"text", "null"}),
        "event": frozenset({"text"}),
        "data": ALL,
        "groups": OPTIONAL | {"list"},
        "broadcast": FLAG_OR_NOTHING,
        "meta": OBJECT_OR_NOTHING,
        "headers": OBJECT_OR_NOTHING,
        "level": OPTIONAL | NUMBER,
        "tracing": FLAG_OR_NOTHING,
        "parentID": TEXT_OR_NOTHING,
        "requestID": TEXT_OR_NOTHING,
        "caller": TEXT_OR_NOTHING,
        "needAck": ALL,
    },
    "INFO": {
        "services": frozenset({"list"}),
        "ipList": OPTIONAL | {"list"},
        "hostname": TEXT_OR_NOTHING,
        "client": OBJECT_OR_NOTHING,
        "config": ALL,
        "instanceID": TEXT_OR_NOTHING,
        "metadata": OBJECT_OR_NOTHING,
        "seq": OPTIONAL | NUMBER,
    },
    "DISCOVER": {},
    "DISCONNECT": {},
    "HEARTBEAT": {
        "cpu": OPTIONAL | NUMBER,
        "seq": OPTIONAL | NUMBER,
        "instanceID": TEXT_OR_NOTHING,
    },
    "PING": {"time": OPTIONAL | NUMBER | {"text"}, "id": OPTIONAL | NUMBER | {"text"}},
    "PONG": {
        "time": OPTIONAL | NUMBER | {"text"},
        "id": OPTIONAL | NUMBER | {"text"},
        "arrived": OPTIONAL | NUMBER | {"text"},
    },
}
EVERY_FIELD = [(command, field) for command in COMMANDS for field in good(command)]


class TestEveryFieldOfEveryPacket:
    @pytest.mark.parametrize("kind", sorted(ALL))
    @pytest.mark.parametrize(("command", "field"), EVERY_FIELD)
    def test_removed_or_of_another_type_is_taken_or_refused_for_the_right_reason(
        self, command: str, field: str, kind: str
    ) -> None:
        packet = good(command)
        if kind == "absent":
            del packet[field]
        else:
            packet[field] = JSON_TYPES[kind]

        if field == "ver":
            assert "version" == refused(command, packet).reason
        elif field == "sender":
            if kind == "text":
                assert "text" == read(command, packet).sender
            else:
                assert "sender" == refused(command, packet).reason
        elif kind in TAKEN[command][field]:
            assert "node-2" == read(command, packet).sender
        else:
            assert "malformed" == refused(command, packet).reason

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [("action", 5), ("action", None), ("meta", []), ("headers", "x"), ("level", "1"), ("caller", {}), ("seq", 1.5)],
    )
    @pytest.mark.parametrize("version", ["4", "5"])
    def test_a_malformed_request_that_says_who_asks_can_be_answered(
        self, field: str, wrong: object, version: str
    ) -> None:
        refusal = refused("REQ", {**good("REQ", version), field: wrong})

        assert ("malformed", "node-2", "id-1", version) == (
            refusal.reason,
            refusal.sender,
            refusal.request_id,
            refusal.version,
        )
        assert refusal.detail

    @pytest.mark.parametrize("request_id", [None, 5, {}, "", "x" * 256])
    def test_a_malformed_request_without_a_usable_id_cannot(self, request_id: object) -> None:
        refusal = refused("REQ", {**good("REQ"), "id": request_id})

        assert ("malformed", None) == (refusal.reason, refusal.request_id)

    def test_nothing_else_that_is_malformed_is_answered(self) -> None:
        refusal = refused("RES", {**good("RES"), "meta": 5})

        assert ("malformed", None) == (refusal.reason, refusal.request_id)

    def test_the_version_is_judged_before_the_form(self) -> None:
        """A packet of a version that is not spoken may well have another form."""
        refusal = refused("REQ", {"ver": "6", "sender": "node-2", "what": "ever"})

        assert ("version", "node-2", "6") == (refusal.reason, refusal.sender, refusal.version)

    @pytest.mark.parametrize("version", [4, 5, 5.0, "05", "", "55", ["5"], {"5": 5}, True, None])
    def test_only_the_texts_4_and_5_are_versions(self, version: object) -> None:
        for command in ("REQ", "HEARTBEAT"):
            refusal = refused(command, {**good(command), "ver": version})

            assert "version" == refusal.reason
            assert refusal.version not in ("4", "5")

    @pytest.mark.parametrize(
        "sender", ["", "x" * 256, "a b", "a\r\nPING", "a\tb", "a*", "a.>", "a\x00", "a\u2028b", "a\ud800"]
    )
    def test_a_sender_that_cannot_be_part_of_a_topic_is_refused(self, sender: str) -> None:
        refusal = refused("PING", {**good("PING"), "sender": sender})

        assert ("sender", "") == (refusal.reason, refusal.sender)

    def test_a_sender_of_255_characters_is_taken(self) -> None:
        assert "x" * 255 == read("PING", {**good("PING"), "sender": "x" * 255}).sender

    def test_a_sender_that_is_of_no_use_is_not_named_when_the_version_is_refused(self) -> None:
        """Refusals are counted by sender, so what stands there must be short and printable."""
        refusal = refused("PING", {"ver": "9" * 1_000, "sender": "x" * 100_000})

        assert ("version", "", "9" * 20) == (refusal.reason, refusal.sender, refusal.version)
        assert len(refusal.detail) < 100

    @pytest.mark.parametrize("command", COMMANDS)
    def test_unknown_fields_are_ignored(self, command: str) -> None:
        assert plain(read(command, good(command))) == plain(read(command, {**good(command), "new": {"x": [1]}}))


class TestWhatIsNotJson:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"[]",
            b"5",
            b'"text"',
            b"null",
            b"{",
            b'{"ver":"5","sender":"a"} x',
            b'{"ver":"5","sender":"a",}',
            b"{'ver':'5','sender':'a'}",
            b"\xff\xfe",
            json.dumps(good("PING")).encode("utf-16"),
            json.dumps(good("PING")).encode("utf-32"),
            b"\xef\xbb\xbf" + json.dumps(good("PING")).encode(),
        ],
    )
    def test_is_undecodable(self, data: bytes) -> None:
        for command in COMMANDS:
            assert "undecodable" == refused(command, data).reason

    @pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"01", b"+1", b".5"])
    @pytest.mark.parametrize("beside", [b"1", b'"\\ud800"'])
    def test_numbers_that_are_none_are_undecodable_also_at_the_second_try(self, number: bytes, beside: bytes) -> None:
        text = json.dumps({**good("REQ"), "params": ["@", "#"]}).encode()

        assert "undecodable" == refused("REQ", text.replace(b'"@"', number).replace(b'"#"', beside)).reason

    @pytest.mark.parametrize("command", ["REQ", "RES", "EVENT"])
    def test_text_that_is_not_utf8_is_undecodable(self, command: str) -> None:
        """Also where a lone surrogate was put into UTF-8 as it is, and in an answer that stays raw."""
        for wrong in (b"\xff", b"\xc3", b"\xed\xa0\x80"):
            field = "params" if command == "REQ" else "data"
            text = json.dumps({**good(command), field: "@"}).encode().replace(b'"@"', b'"' + wrong + b'"')

            assert "undecodable" == refused(command, text).reason

    def test_an_info_over_a_mebibyte_is_not_read(self) -> None:
        packet = good("INFO")
        room = INFO_BYTES_MAX - len(json.dumps({**packet, "hostname": ""}))

        read("INFO", {**packet, "hostname": "x" * room})
        assert "undecodable" == refused("INFO", {**packet, "hostname": "x" * (room + 1)}).reason

    def test_other_packets_may_be_larger_than_that(self) -> None:
        params = "x" * (INFO_BYTES_MAX + 1)

        assert params == read("REQ", {**good("REQ"), "params": params}).params


class TestLoneSurrogates:
    """Valid JSON to Node, where half an emoji is a text like any other."""

    @pytest.mark.parametrize("field", ["params", "meta", "headers", "caller"])
    def test_a_request_with_one_is_read(self, field: str) -> None:
        value: Any = HIGH_SURROGATE if field in ("params", "caller") else {HIGH_SURROGATE: [HIGH_SURROGATE]}

        packet = read("REQ", {**good("REQ"), field: value})

        assert value == getattr(packet, field)
        assert "math.add" == packet.action

    def test_an_answer_with_one_in_its_data_is_read(self) -> None:
        packet = read("RES", {**good("RES"), "data": {"half": HIGH_SURROGATE, "n": 1.5}})

        assert {"half": HIGH_SURROGATE, "n": 1.5} == CODEC.value(packet.data)

    def test_an_answer_with_one_elsewhere_keeps_its_data(self) -> None:
        packet = read("RES", {**good("RES"), "meta": {"half": HIGH_SURROGATE}, "data": [1, "zwölf"]})

        assert ({"half": HIGH_SURROGATE}, [1, "zwölf"]) == (packet.meta, CODEC.value(packet.data))

    def test_an_answer_with_one_and_without_data_is_read(self) -> None:
        packet = {**good("RES"), "success": False, "error": {"message": HIGH_SURROGATE}}
        del packet["data"]

        received = read("RES", packet)

        assert UNSET is received.data
        assert {"message": HIGH_SURROGATE} == received.error

    def test_a_malformed_request_with_one_can_still_be_answered(self) -> None:
        for wrong in ({"action": 5, "params": HIGH_SURROGATE}, {"params": HIGH_SURROGATE, "seq": "x"}):
            refusal = refused("REQ", {**good("REQ"), **wrong})

            assert ("malformed", "id-1") == (refusal.reason, refusal.request_id)

    def test_a_list_with_one_is_no_packet(self) -> None:
        assert "undecodable" == refused("REQ", [HIGH_SURROGATE]).reason

    def test_so_is_what_is_nested_too_deep_for_the_second_try(self) -> None:
        text = json.dumps({**good("RES"), "data": "@", "meta": {"half": HIGH_SURROGATE}}).encode()

        assert "undecodable" == refused("RES", text.replace(b'"@"', b"[" * 100_000 + b"]" * 100_000)).reason

    def test_what_was_read_can_be_sent_again(self) -> None:
        params = {"half": HIGH_SURROGATE, "whole": "zwölf"}

        again = CODEC.encode(Request("id-1", "a.b", params, ver="5", sender="node-1"))

        assert params == CODEC.decode("REQ", again).params  # type: ignore[union-attr]  # It is a Request.
        assert list(json.loads(again))[-2:] == ["ver", "sender"]

    def test_a_value_that_has_no_wire_form_beside_one_has_none_either(self) -> None:
        for value in (math.nan, object()):
            with pytest.raises(SerializationError):
                CODEC.encode(Request("id-1", "a.b", [HIGH_SURROGATE, value], ver="5", sender="node-1"))

    def test_a_serializer_that_is_not_json_has_no_second_try(self) -> None:
        codec = Codec(BinarySerializer())

        with pytest.raises(SerializationError):
            codec.encode(Request("id-1", "a.b", HIGH_SURROGATE, ver="5", sender="node-1"))
        assert "undecodable" == refused("REQ", b"\xc1", codec).reason


class TestValuesWithoutWireForm:
    @pytest.mark.parametrize(
        "value",
        [object(), {"a": [object()]}, {(1, 2): 3}, 10**5_000, lambda: None],
        ids=lambda value: type(value).__name__,
    )
    def test_are_refused_and_nothing_is_sent(self, value: Any) -> None:
        with pytest.raises(SerializationError, match="no wire form"):
            CODEC.encode(Request("1", "a.b", value, ver="5", sender="a"))

    def test_so_is_a_circle(self) -> None:
        circle: list[Any] = []
        circle.append(circle)

        with pytest.raises(SerializationError):
            CODEC.encode(Response("1", {}, {}, True, circle, ver="5", sender="a"))

    def test_nan_is_null_as_in_node(self) -> None:
        assert [None, None] == json.loads(CODEC.encode(Request("1", "a.b", [math.nan, math.inf])))["params"]


class TestRawAnswers:
    def test_an_answer_stays_undecoded_until_it_is_asked_for(self) -> None:
        packet = CODEC.decode("RES", b'{"id":"1","success":true,"data":{"a": [1, 2]},"ver":"5","sender":"a"}')

        assert isinstance(packet, ReceivedResponse)
        assert b'{"a": [1, 2]}' == bytes(packet.data)  # type: ignore[arg-type]  # It is there.
        assert {"a": [1, 2]} == CODEC.value(packet.data)  # type: ignore[arg-type]  # As above.

    @pytest.mark.parametrize("raw", [b"1 2", b"[1e400]", b"", b'"\xff"', b"[" * 100_000])
    def test_what_cannot_be_read_is_an_error_of_that_call(self, raw: bytes) -> None:
        with pytest.raises(SerializationError, match="cannot be decoded"):
            CODEC.value(msgspec.Raw(raw))

    def test_text_beyond_ascii_is_passed_on_as_it_is(self) -> None:
        packet = CODEC.decode("RES", '{"id":"1","success":true,"data":"zwölf €","ver":"5","sender":"a"}'.encode())

        assert "zwölf €" == CODEC.value(packet.data)  # type: ignore[union-attr,arg-type]  # A response with data.


def test_what_only_the_second_try_can_read_is_refused_where_it_cannot_help() -> None:
    """Not for a serializer that is no JSON, and not for an answer that cannot be written out as JSON again."""
    odd = b'{"id":"1","success":true,"data":NaN,"ver":"5","sender":"a"}'

    assert "undecodable" == refused("RES", odd, Codec(TiredSerializer("JSON"))).reason
    assert "undecodable" == refused("RES", good("RES"), Codec(TiredSerializer("Other"))).reason
    assert "a" == Codec(TiredSerializer("JSON")).decode("RES", odd.replace(b"NaN", b"1")).sender


def test_senders_that_were_checked_are_remembered_up_to_a_bound() -> None:
    codec = Codec(JSONSerializer())
    for number in range(SENDERS_KEPT + 5):
        codec.decode("DISCOVER", b'{"ver":"5","sender":"node-%d"}' % number)

    assert SENDERS_KEPT == len(codec._senders)
    assert "one-more" == codec.decode("DISCOVER", b'{"ver":"5","sender":"one-more"}').sender


class TestWholeAnswers:
    """Answers of which nobody wants the bytes are read in one pass; what comes out is the same."""

    @pytest.mark.parametrize(
        "data", [b"1", b"null", b'"\xc3\xa4"', b'{"a": [1.5, {}]}', b'"\\ud800"', b"[" * 900 + b"]" * 900, b"1" * 5000]
    )
    def test_give_what_the_raw_ones_give(self, data: bytes) -> None:
        packet = b'{"id": "1", "success": true, "data": %b, "ver": "5", "sender": "a"}' % data
        whole, raw = Codec(JSONSerializer()), Codec(JSONSerializer())
        raw.keep_raw()

        read, kept = whole.decode("RES", packet), raw.decode("RES", packet)

        assert _outcome(raw, kept) == _outcome(whole, read)

    def test_without_data_have_none(self) -> None:
        read = Codec(JSONSerializer()).decode("RES", b'{"id": "1", "success": true, "ver": "5", "sender": "a"}')

        assert isinstance(read, ReceivedResponse)
        assert read.data is msgspec.UNSET

    def test_with_broken_text_are_refused(self) -> None:
        packet = b'{"id": "1", "success": true, "data": "\xff", "ver": "5", "sender": "a"}'

        assert "undecodable" == refused("RES", packet, Codec(JSONSerializer())).reason


def _outcome(codec: Codec, packet: object) -> object:
    assert isinstance(packet, ReceivedResponse)
    if not isinstance(packet.data, msgspec.Raw):
        return packet.data
    try:
        return codec.value(packet.data)
    except SerializationError:
        return "refused"
