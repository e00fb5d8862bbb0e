"""The exact text the codec writes, and that what it wrote comes back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from tautomer.protocol.codec import Codec
from tautomer.protocol.packets import (
    READ_AS,
    Disconnect,
    Discover,
    Event,
    Heartbeat,
    Info,
    Packet,
    Ping,
    Pong,
    Request,
    Response,
    ServiceInfo,
)

from .coding import CODEC, BinarySerializer, plain
from .values import COMMANDS, INTEGERS, TEXT, json_objects, json_values


class TestThereAndBack:
    @pytest.mark.slow
    @given(params=json_values(), meta=json_objects(), headers=json_objects(), version=st.sampled_from(["4", "5"]))
    def test_a_request_comes_back_as_it_was(self, params: Any, meta: Any, headers: Any, version: str) -> None:
        sent = Request(
            "id-1",
            "math.add",
            params,
            meta,
            UNSET if version == "4" else headers,
            999.88,
            3,
            True,
            "p-1",
            "r-1",
            "client",
            False,
            UNSET,
            version,
            "node-2",
        )

        self.same(sent, CODEC.decode("REQ", CODEC.encode(sent)))

    @pytest.mark.slow
    @given(data=json_values(), meta=json_objects(), headers=json_objects(), version=st.sampled_from(["4", "5"]))
    def test_an_answer_comes_back_as_it_was(self, data: Any, meta: Any, headers: Any, version: str) -> None:
        sent = Response("id-1", meta, UNSET if version == "4" else headers, True, data, ver=version, sender="node-2")

        received = plain(CODEC.decode("RES", CODEC.encode(sent)))

        assert ("id-1", meta, True, data) == (
            received["id"],
            received["meta"],
            received["success"],
            received["data"],
        )
        assert (None if version == "4" else headers) == received["headers"]
        assert (version, "node-2") == (received["ver"], received["sender"])

    @pytest.mark.slow
    @given(data=json_values(), groups=st.none() | st.lists(TEXT, max_size=3), version=st.sampled_from(["4", "5"]))
    def test_an_event_comes_back_as_it_was(self, data: Any, groups: list[str] | None, version: str) -> None:
        sent = Event(
            "id-1",
            "user.created",
            data,
            UNSET if groups is None else groups,
            groups is None,
            {"m": 1},
            UNSET if version == "4" else {"h": 1},
            2,
            ver=version,
            sender="node-2",
        )

        self.same(sent, CODEC.decode("EVENT", CODEC.encode(sent)))

    @pytest.mark.slow
    @given(
        settings=json_objects(),
        entry=json_objects(),
        version=st.none() | TEXT | INTEGERS.map(float),
        seq=st.integers(1, 10**6),
    )
    def test_an_info_comes_back_as_it_was(self, settings: Any, entry: Any, version: Any, seq: int) -> None:
        service = ServiceInfo(
            name="math",
            version=version,
            full_name="v2.math",
            settings=settings,
            metadata={},
            actions={"v2.math.add": entry},
            events={},
        )
        sent = Info(
            [service], ["192.0.2.2"], "vm", {"type": "python"}, {}, "i-1", {"r": 1}, seq, ver="5", sender="node-2"
        )

        received = CODEC.decode("INFO", CODEC.encode(sent))

        assert isinstance(received, Info)
        assert msgspec.to_builtins(sent) == msgspec.to_builtins(received)

    @given(time=INTEGERS | TEXT, arrived=INTEGERS)
    def test_pings_and_the_small_ones_come_back_as_they_were(self, time: Any, arrived: int) -> None:
        packets: list[tuple[str, Packet]] = [
            ("PING", Ping(time, "id-1", "4", "node-2")),
            ("PONG", Pong(time, 7, arrived, "5", "node-2")),
            ("DISCOVER", Discover("4", "node-2")),
            ("DISCONNECT", Disconnect("5", "node-2")),
            ("HEARTBEAT", Heartbeat(12.5, 3, "i-1", "5", "node-2")),
        ]
        for command, sent in packets:
            self.same(sent, CODEC.decode(command, CODEC.encode(sent)))

    def same(self, sent: Packet, received: Packet) -> None:
        assert plain(sent) == plain(received)

    def test_an_echoed_time_is_the_same_text(self) -> None:
        """Read as a float it would come back as 1795244764681.0."""
        ping = CODEC.decode("PING", b'{"time":1795244764681,"id":"x","ver":"5","sender":"node-2"}')
        assert isinstance(ping, Ping)

        assert b'{"time":1795244764681,"id":"x","arrived":1,"ver":"5","sender":"a"}' == CODEC.encode(
            Pong(ping.time, ping.id, 1, "5", "a")
        )


class TestWireShapes:
    """Text for text what Node sends (protocol reference, section 3.2)."""

    def test_discover_and_disconnect(self) -> None:
        assert b'{"ver":"5","sender":"node-2"}' == CODEC.encode(Discover("5", "node-2"))
        assert b'{"ver":"4","sender":"node-2"}' == CODEC.encode(Disconnect("4", "node-2"))

    def test_heartbeat(self) -> None:
        assert b'{"cpu":0,"ver":"5","sender":"node-1"}' == CODEC.encode(Heartbeat(0, ver="5", sender="node-1"))
        assert b'{"cpu":null,"ver":"5","sender":"node-1"}' == CODEC.encode(Heartbeat(ver="5", sender="node-1"))

    def test_ping_and_pong(self) -> None:
        ping = Ping(1795244764681, "e3687f0e", "5", "node-2")
        pong = Pong(1795244764681, "e3687f0e", 1795244764682, "5", "node-1")

        assert b'{"time":1795244764681,"id":"e3687f0e","ver":"5","sender":"node-2"}' == CODEC.encode(ping)
        assert (
            b'{"time":1795244764681,"id":"e3687f0e","arrived":1795244764682,"ver":"5","sender":"node-1"}'
            == CODEC.encode(pong)
        )

    def test_request_of_version_5(self) -> None:
        packet = Request(
            id="36cfa23e",
            action="v2.math.add",
            params={"a": "5", "b": 3},
            meta={"root": True, "user": {"id": 1}},
            headers={"x-h": "1"},
            timeout=3000,
            level=2,
            tracing=True,
            parent_id="aab1a1f7",
            request_id="aab1a1f7",
            caller="client",
            ver="5",
            sender="node-2",
        )

        assert (
            b'{"id":"36cfa23e","action":"v2.math.add","params":{"a":"5","b":3},"meta":{"root":true,"user":{"id":1}},'
            b'"headers":{"x-h":"1"},"timeout":3000,"level":2,"tracing":true,"parentID":"aab1a1f7",'
            b'"requestID":"aab1a1f7","caller":"client","stream":false,"ver":"5","sender":"node-2"}'
        ) == CODEC.encode(packet)

    def test_request_of_version_4_has_no_headers(self) -> None:
        packet = Request("60664fea", "v2.math.add", {"a": 1}, {}, UNSET, 3000, 2, True, "1b", "1b", "client")
        packet.ver, packet.sender = "4", "node-2"

        assert (
            b'{"id":"60664fea","action":"v2.math.add","params":{"a":1},"meta":{},"timeout":3000,"level":2,'
            b'"tracing":true,"parentID":"1b","requestID":"1b","caller":"client","stream":false,"ver":"4","sender":"node-2"}'
        ) == CODEC.encode(packet)

    def test_response(self) -> None:
        meta = {"root": True, "fromServer": True}

        assert (
            b'{"id":"36cfa23e","meta":{"root":true,"fromServer":true},"headers":{"x-resp":"v1"},"success":true,'
            b'"data":8,"ver":"5","sender":"node-1"}'
        ) == CODEC.encode(Response("36cfa23e", meta, {"x-resp": "v1"}, True, 8, ver="5", sender="node-1"))
        assert (b'{"id":"36cfa23e","meta":{},"success":true,"data":8,"ver":"4","sender":"node-1"}') == CODEC.encode(
            Response("36cfa23e", {}, UNSET, True, 8, ver="4", sender="node-1")
        )

    def test_response_without_data_is_not_one_with_null(self) -> None:
        without = Response("1", {}, {}, True, UNSET, ver="5", sender="node-1")
        with_null = Response("1", {}, {}, True, None, ver="5", sender="node-1")

        assert b'{"id":"1","meta":{},"headers":{},"success":true,"ver":"5","sender":"node-1"}' == CODEC.encode(without)
        assert (
            b'{"id":"1","meta":{},"headers":{},"success":true,"data":null,"ver":"5","sender":"node-1"}'
        ) == CODEC.encode(with_null)
        assert UNSET is CODEC.decode("RES", CODEC.encode(without)).data  # type: ignore[union-attr]  # A response.

    def test_response_with_an_error(self) -> None:
        error = {"name": "TypeError", "message": "bad type", "nodeID": "node-1", "stack": "…"}

        assert (
            '{"id":"f45c","meta":{},"headers":{},"success":false,"data":null,"error":{"name":"TypeError",'
            '"message":"bad type","nodeID":"node-1","stack":"…"},"ver":"5","sender":"node-1"}'
        ).encode() == CODEC.encode(Response("f45c", {}, {}, False, None, error, ver="5", sender="node-1"))

    @pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
    def test_bytes_are_a_buffer(self, data: Any) -> None:
        request = json.loads(CODEC.encode(Request("1", "a.b", data, ver="5", sender="a")))
        response = json.loads(CODEC.encode(Response("1", {}, {}, True, data, ver="5", sender="a")))
        event = json.loads(CODEC.encode(Event("1", "a.b", data, ver="5", sender="a")))

        buffer = {"type": "Buffer", "data": [97, 98, 99]}
        assert [buffer] * 3 == [request["params"], response["data"], event["data"]]

    def test_bytes_inside_a_value_are_base64(self) -> None:
        assert {"a": "YWJj"} == json.loads(CODEC.encode(Request("1", "a.b", {"a": b"abc"})))["params"]

    def test_bytes_of_a_binary_serializer_stay_bytes(self) -> None:
        codec = Codec(BinarySerializer())

        packet = codec.decode("REQ", codec.encode(Request("1", "a.b", b"abc", ver="5", sender="a")))

        assert b"abc" == packet.params  # type: ignore[union-attr]  # It is a Request.
        assert not codec.is_json

    def test_event_to_groups(self) -> None:
        packet = Event("5c4a", "user.created", {"id": 1}, ["grp", "math"], False, {"em": 1}, {"x-h": "1"}, 2, True)
        packet.parent_id = packet.request_id = "aab1"
        packet.caller, packet.ver, packet.sender = "client", "5", "node-2"

        assert (
            b'{"id":"5c4a","event":"user.created","data":{"id":1},"groups":["grp","math"],"broadcast":false,'
            b'"meta":{"em":1},"headers":{"x-h":"1"},"level":2,"tracing":true,"parentID":"aab1","requestID":"aab1",'
            b'"caller":"client","needAck":null,"ver":"5","sender":"node-2"}'
        ) == CODEC.encode(packet)

    def test_broadcast_event_of_version_4_has_neither_groups_nor_headers(self) -> None:
        packet = Event("60d5", "user.created", {"id": 3}, UNSET, True, {}, UNSET, 2, True, "aab1", "aab1", "client")
        packet.ver, packet.sender = "4", "node-2"

        assert (
            b'{"id":"60d5","event":"user.created","data":{"id":3},"broadcast":true,"meta":{},"level":2,'
            b'"tracing":true,"parentID":"aab1","requestID":"aab1","caller":"client","needAck":null,"ver":"4","sender":"node-2"}'
        ) == CODEC.encode(packet)

    def test_info(self) -> None:
        action = {"rest": "POST /add", "timeout": 5000, "rawName": "add", "name": "v2.math.add"}
        service = ServiceInfo(
            name="math",
            version=2,
            full_name="v2.math",
            settings={"precision": 3},
            metadata={"scalable": True},
            actions={"v2.math.add": action},
            events={"user.*": {"name": "user.*"}},
        )
        packet = Info(
            [service],
            ["192.0.2.2"],
            "vm",
            {"type": "python"},
            {},
            "bc62",
            {"region": "eu"},
            2,
            ver="5",
            sender="node-1",
        )

        assert (
            b'{"services":[{"name":"math","version":2,"fullName":"v2.math","settings":{"precision":3},'
            b'"metadata":{"scalable":true},"actions":{"v2.math.add":{"rest":"POST /add","timeout":5000,'
            b'"rawName":"add","name":"v2.math.add"}},"events":{"user.*":{"name":"user.*"}}}],'
            b'"ipList":["192.0.2.2"],"hostname":"vm","client":{"type":"python"},"config":{},"instanceID":"bc62",'
            b'"metadata":{"region":"eu"},"seq":2,"ver":"5","sender":"node-1"}'
        ) == CODEC.encode(packet)

    def test_info_of_a_service_without_version_has_both_maps_and_no_version(self) -> None:
        service = ServiceInfo(name="$node", full_name="$node", settings={}, metadata={}, actions={}, events={})

        assert (
            b'{"name":"$node","fullName":"$node","settings":{},"metadata":{},"actions":{},"events":{}}'
        ) == msgspec.json.encode(service)

    def test_info_of_a_node_that_leaves(self) -> None:
        packet = Info([], ["192.0.2.2"], "vm", {}, instance_id="f454", metadata={}, seq=3, ver="5", sender="node-2")

        assert (
            b'{"services":[],"ipList":["192.0.2.2"],"hostname":"vm","client":{},"config":{},"instanceID":"f454",'
            b'"metadata":{},"seq":3,"ver":"5","sender":"node-2"}'
        ) == CODEC.encode(packet)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_version_and_sender_stand_last_in_every_packet(self, command: str) -> None:
        kind: type[Any] = Response if command == "RES" else READ_AS[command]

        assert ("ver", "sender") == kind.__struct_fields__[-2:]

    def test_the_smallest_info_that_node_takes_is_taken(self) -> None:
        """Appendix A of the protocol reference."""
        text = b'{"services":[{"name":"a","actions":{"a.hi":{"name":"a.hi"}}}],"ver":"5","sender":"a"}'

        packet = CODEC.decode("INFO", text)

        assert isinstance(packet, Info)
        assert ("a", {"a.hi": {"name": "a.hi"}}, 1) == (
            packet.services[0].name,
            packet.services[0].actions,
            packet.seq,
        )
