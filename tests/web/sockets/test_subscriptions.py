"""Who hears what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.sockets.subscriptions import CHANNEL_CHARS_MAX, CHANNELS_MAX, Subscriptions

sockets, channels = st.sampled_from("abc"), st.sampled_from(["x", "y", "z"])
steps = st.lists(
    st.tuples(st.just("subscribe"), sockets, channels)
    | st.tuples(st.just("unsubscribe"), sockets, channels)
    | st.tuples(st.just("forget"), sockets, st.just(""))
)


@given(steps)
def test_both_ways_round_it_is_the_same(steps: list[tuple[str, str, str]]):
    """Against a plain set of pairs."""
    subscriptions, pairs = Subscriptions(), set[tuple[str, str]]()

    for step, socket, channel in steps:
        if step == "subscribe":
            subscriptions.subscribe(socket, channel)
            pairs.add((socket, channel))
        elif step == "unsubscribe":
            subscriptions.unsubscribe(socket, channel)
            pairs.discard((socket, channel))
        else:
            gone = {one for one in pairs if one[0] == socket}
            assert {one[1] for one in gone} == set(subscriptions.forget(socket))
            pairs -= gone

    for socket in "abc":
        assert sorted(channel for known, channel in pairs if known == socket) == subscriptions.channels(socket)
    for channel in "xyz":
        assert {socket for socket, known in pairs if known == channel} == set(subscriptions.members(channel))
    assert len({channel for _, channel in pairs}) == len(subscriptions)


def test_a_channel_that_nobody_hears_is_dropped():
    subscriptions = Subscriptions()

    for index in range(10):
        subscriptions.subscribe("a", f"room:{index}")
    subscriptions.forget("a")

    assert 0 == len(subscriptions)


@pytest.mark.parametrize("channel", ["", "x" * (CHANNEL_CHARS_MAX + 1), None, 5])
def test_a_channel_is_a_text_of_some_length(channel: object):
    with pytest.raises(ValueError, match="a channel is a text of 1 to 200 characters"):
        Subscriptions().subscribe("a", channel)  # type: ignore[arg-type]  # That is the point.


def test_a_socket_hears_so_many_channels_and_no_more():
    subscriptions = Subscriptions()

    for index in range(CHANNELS_MAX):
        subscriptions.subscribe("a", str(index))
    subscriptions.subscribe("a", "0")
    with pytest.raises(ValueError, match="100 channels at most"):
        subscriptions.subscribe("a", "one more")

    assert CHANNELS_MAX == len(subscriptions.channels("a"))
