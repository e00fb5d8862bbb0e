"""UDP discovery: datagrams, and what else comes to the port."""

from __future__ import annotations

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.transporters.tcp.beacon import DATAGRAM_BYTES_MAX, parse_datagram
from tests.transporters.suite import until

from .nodes import End

UDP = {"udp_discovery": True, "udp_bind_address": "127.0.0.1", "udp_period": 0.1}


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_a_datagram_names_namespace_node_and_port() -> None:
    assert ("n-1", 4000) == parse_datagram(b"space|n-1|4000", "space")
    assert ("n-1", 4000) == parse_datagram(b"|n-1|4000", "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"other|n-1|4000",
        b"space|n-1",
        b"space|n-1|4000|more",
        b"space||4000",
        b"space|n 1|4000",
        b"space|n-1|0",
        b"space|n-1|65536",
        b"space|n-1|-1",
        b"space|n-1|4_0",
        b"space|n-1|\xd9\xa4",
        b"space|\xff|4000",
        b"space|" + b"n" * DATAGRAM_BYTES_MAX + b"|4000",
    ],
)
def test_anything_else_is_nothing(data: bytes) -> None:
    assert parse_datagram(data, "space") is None


@given(st.binary(max_size=100) | st.builds(b"|".join, st.lists(st.binary(max_size=9), max_size=5)))
def test_no_datagram_raises(data: bytes) -> None:
    parse_datagram(data, "")


@pytest.mark.parametrize(
    "way", [{}, {"udp_multicast": None, "udp_broadcast": "127.255.255.255", "udp_bind_address": None}]
)
async def test_nodes_sight_each_other_and_not_themselves(way: dict[str, object]) -> None:
    more = {**UDP, "udp_port": free_udp_port(), **way}
    a, b = await asyncio.gather(End("a", **more).start(), End("b", **more).start())

    await until(lambda: a.watcher.sightings and b.watcher.sightings)

    assert {("b", b.transporter.port, False)} == {(id, port, last) for id, _, port, last in a.watcher.sightings}
    assert {("a", a.transporter.port, False)} == {(id, port, last) for id, _, port, last in b.watcher.sightings}
    await asyncio.gather(a.transporter.close(), b.transporter.close())


async def test_other_namespaces_and_garbage_are_not_sighted() -> None:
    port = free_udp_port()
    a = await End("a", namespace="one", **UDP, udp_port=port).start()
    stranger = await End("b", namespace="two", **UDP, udp_port=port).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for data in (b"", b"\xff\x00", b"one|x|0", b"x" * 60_000, b"one|good|4000"):
            sock.sendto(data, ("127.0.0.1", port))
            await asyncio.sleep(0.01)
            # Of several sockets on one port only one gets what is sent to one machine.
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            sock.sendto(data[:1_000], ("239.0.0.0", port))

    await until(lambda: a.watcher.sightings)

    assert {"good"} == {id for id, *_ in a.watcher.sightings}
    await asyncio.gather(a.transporter.close(), stranger.transporter.close())


async def test_a_udp_port_that_cannot_be_had_does_not_stop_the_node(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("", 0))
        port = holder.getsockname()[1]
        a = await End("a", **{**UDP, "udp_port": port}).start()

    assert a.transporter.connected
    assert ["no UDP discovery"] == [text.partition(":")[0] for text in caplog.messages if "UDP" in text]
    await a.transporter.close()
