"""URLs, peers and options of the TCP transporter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tautomer.errors import BrokerOptionsError
from tautomer.host import Host
from tautomer.transporters import resolve
from tautomer.transporters.tcp import TcpOptions, TcpTransporter
from tautomer.transporters.tcp.options import StaticPeer, parse_peers, parse_url

PEERS = [StaticPeer("a", "10.0.0.1", 4000), StaticPeer("b-2", "host.example", 4001)]


@pytest.mark.parametrize("url", ["TCP", "tcp", "tcp://", "TCP?port=0", "tcp://10.0.0.1:4000/a,host.example:4001/b-2"])
def test_the_scheme_gives_this_transporter(url: str) -> None:
    assert isinstance(resolve(url, Host()), TcpTransporter)


def test_defaults_are_those_of_node() -> None:
    _, options = parse_url("TCP")

    assert TcpOptions() == options
    assert (True, 4445, "239.0.0.0", 1, 30.0, 0) == (
        options.udp_discovery,
        options.udp_port,
        options.udp_multicast,
        options.udp_multicast_ttl,
        options.udp_period,
        options.udp_max_discovery,
    )
    assert (2.0, 32, 1024 * 1024) == (options.gossip_period, options.max_connections, options.max_packet_size)


def test_options_stand_in_the_url_under_either_name() -> None:
    url = "tcp://h:1/a?udpDiscovery=off&gossip_period=0.5&maxConnections=7&host=127.0.0.1&udp_multicast=&port=4000"

    peers, options = parse_url(url)

    assert "tcp://h:1/a" == peers
    assert (
        TcpOptions(
            udp_discovery=False, gossip_period=0.5, max_connections=7, host="127.0.0.1", udp_multicast=None, port=4000
        )
        == options
    )


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("udp_prot=1", "did you mean 'udp_port'"),
        ("port=http", "number"),
        ("port=70000", "port"),
        ("udp_discovery=maybe", "true or false"),
        ("gossip_period=0", "at least 0.05"),
        ("udp_multicast=somewhere", "IPv4"),
        ("udp_broadcast=a.example", "IPv4"),
    ],
)
def test_a_wrong_option_is_told(query: str, reason: str) -> None:
    with pytest.raises(BrokerOptionsError, match=reason):
        parse_url(f"tcp://?{query}")


@pytest.mark.parametrize(
    "told",
    [
        "tcp://10.0.0.1:4000/a,host.example:4001/b-2",
        "tcp://10.0.0.1:4000/a, tcp://host.example:4001/b-2",
        ["10.0.0.1:4000/a", "tcp://host.example:4001/b-2", ""],
        {"a": "10.0.0.1:4000", "b-2": "tcp://host.example:4001"},
    ],
)
def test_peers_are_told_in_each_form_of_node(told: object) -> None:
    assert PEERS == parse_peers(told)  # type: ignore[arg-type]  # The forms differ.


@pytest.mark.parametrize(
    "text",
    [
        "10.0.0.1:4000/a\nhost.example:4001/b-2\n",
        '["10.0.0.1:4000/a", "host.example:4001/b-2"]',
        '{"a": "10.0.0.1:4000", "b-2": "host.example:4001"}',
    ],
)
def test_peers_may_stand_in_a_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "peers"
    file.write_text(text)

    assert PEERS == parse_peers(f"file://{file}")


def test_ipv6_stands_in_brackets() -> None:
    assert [StaticPeer("a", "::1", 4000)] == parse_peers("tcp://[::1]:4000/a")


@pytest.mark.parametrize(
    "told",
    ["10.0.0.1/a", "10.0.0.1:4000", "10.0.0.1:0/a", "10.0.0.1:99999/a", ":4000/a", "h:1/a b", "file:///no/such/file"],
)
def test_a_peer_that_cannot_be_read_is_told(told: str) -> None:
    with pytest.raises(BrokerOptionsError, match="cannot be read"):
        parse_peers(told)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        ({"host": "0.0.0.0"}, None),
        ({"host": "a.example"}, None),
        ({"host": "127.0.0.1"}, "127.0.0.1"),
        ({"host": "127.0.0.1", "udp_bind_address": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_udp_stays_where_the_node_listens(options: dict[str, str], expected: str | None) -> None:
    assert expected == TcpOptions(**options).udp_interface  # type: ignore[arg-type]  # Texts only.
