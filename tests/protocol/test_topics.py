"""Topic names (protocol reference, section 2.1), and what may be a part of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.protocol.topics import TOPICS_KEPT, Topics, is_topic_part


def test_a_node_listens_on_the_twelve_topics() -> None:
    assert {
        "MOL-dev.EVENT.me": "EVENT",
        "MOL-dev.REQ.me": "REQ",
        "MOL-dev.RES.me": "RES",
        "MOL-dev.DISCOVER": "DISCOVER",
        "MOL-dev.DISCOVER.me": "DISCOVER",
        "MOL-dev.INFO": "INFO",
        "MOL-dev.INFO.me": "INFO",
        "MOL-dev.DISCONNECT": "DISCONNECT",
        "MOL-dev.HEARTBEAT": "HEARTBEAT",
        "MOL-dev.PING": "PING",
        "MOL-dev.PING.me": "PING",
        "MOL-dev.PONG.me": "PONG",
    } == Topics("dev", "me").subscribed


def test_without_a_namespace_the_prefix_stands_alone() -> None:
    topics = Topics("", "node-1")

    assert ("MOL.INFO", "MOL.REQ.node-2") == (topics.broadcast("INFO"), topics.targeted("REQ", "node-2"))


def test_remembered_topics_are_the_same_names() -> None:
    topics = Topics("dev", "me")
    requests = topics.cached("REQ")

    assert topics.targeted("REQ", "node-2") == requests["node-2"]
    assert requests["node-2"] is requests["node-2"]


def test_any_number_of_nodes_may_be_named() -> None:
    """Names of nodes come from others: what is remembered of them has a bound."""
    requests = Topics("", "me").cached("REQ")

    assert [f"MOL.REQ.n-{n}" for n in range(TOPICS_KEPT + 3)] == [requests[f"n-{n}"] for n in range(TOPICS_KEPT + 3)]


@pytest.mark.parametrize("name", ["a", "node-1", "host.local-4711", "x" * 255, "zwölf", "a+b#c/d"])
def test_what_may_be_a_node_id(name: str) -> None:
    assert is_topic_part(name)


@pytest.mark.parametrize(
    "name", ["", "x" * 256, "a b", " a", "a\n", "a\r\nPUB x", "a\x00", "a\x7f", "a*", ">", "\u00a0", "\u2028", "\ud800"]
)
def test_what_may_not(name: str) -> None:
    assert not is_topic_part(name)


@pytest.mark.parametrize("name", [None, 5, True, b"node", ["a"], {}])
def test_what_is_no_text_may_not_either(name: object) -> None:
    assert not is_topic_part(name)


@given(st.text(max_size=300))
def test_no_blank_no_line_end_and_no_wildcard_ever_passes(name: str) -> None:
    if is_topic_part(name):
        assert 0 < len(name) <= 255
        assert name.split() == [name]
        assert not set(name) & {"*", ">", "\r", "\n", "\0"}
