"""TransporterSuite and TopicSuite: behaviour that every transporter keeps. A subclass says only how to make one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest

from tautomer.errors import BrokerDisconnectedError, PayloadTooLargeError
from tautomer.ports import Transporter

SECONDS = 10.0
_names = itertools.count(1)


async def until(claim: Callable[[], object]) -> None:
    """Wait until the claim holds."""
    async with asyncio.timeout(SECONDS):
        while not claim():
            await asyncio.sleep(0.001)


class RecordingLink:
    """Remembers what a transporter reports.

    Attributes:
        messages: (topic, data), oldest first.
        tokens: Of what nobody listened to.
        states: ``"up"`` and ``"down"``, oldest first.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.tokens: list[str] = []
        self.states: list[str] = []

    def receiver(self, topic: str) -> Callable[[bytes], None]:
        return partial(self.received, topic)

    def received(self, topic: str, data: bytes) -> None:
        self.messages.append((topic, data))

    def undelivered(self, token: str) -> None:
        self.tokens.append(token)

    def unsent(self, token: str) -> None: ...

    def up(self) -> None:
        self.states.append("up")

    def down(self, reason: str) -> None:
        self.states.append("down")


class TopicSuite:
    """What a transporter keeps that does not balance. Inherit it, and say in `make` how a transporter is made; all that one test makes must hear each other.

    Attributes:
        tells_undelivered: Whether its broker can tell that nobody listens.
        topic: Begin of topics that no other test uses.
    """

    tells_undelivered = True

    def make(self) -> Transporter:
        """A transporter that is not connected yet."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    async def _closing(self) -> AsyncIterator[None]:
        self.topic = f"MOL-suite{next(_names)}"
        self._open: list[Transporter] = []
        yield
        for transporter in self._open:
            async with asyncio.timeout(SECONDS):
                await transporter.close()

    async def connect(self, *topics: str) -> tuple[Transporter, RecordingLink]:
        """A connected one that listens on these topics."""
        transporter, link = self.make(), RecordingLink()
        self._open.append(transporter)
        async with asyncio.timeout(SECONDS):
            await transporter.connect(link)
            if topics:
                await transporter.subscribe(topics)
        return transporter, link

    # --- who hears what ---

    async def test_whoever_listens_on_a_topic_hears_it_and_nobody_else(self) -> None:
        _, first = await self.connect(f"{self.topic}.INFO", f"{self.topic}.REQ.a")
        _, second = await self.connect(f"{self.topic}.INFO", f"{self.topic}.REQ.b")
        sender, _ = await self.connect()

        sender.send(f"{self.topic}.REQ.a", b"for a")
        sender.send(f"{self.topic}.REQ.a.more", b"for somebody else")
        sender.send(f"{self.topic}.REQ", b"for somebody else")
        sender.send(f"{self.topic}.INFO", b"for all")
        await until(lambda: first.messages[1:] and second.messages)

        # Sorted: only the messages to one topic keep their order.
        assert [(f"{self.topic}.INFO", b"for all"), (f"{self.topic}.REQ.a", b"for a")] == sorted(first.messages)
        assert [(f"{self.topic}.INFO", b"for all")] == second.messages

    async def test_a_node_hears_itself(self) -> None:
        transporter, link = await self.connect(self.topic)

        transporter.send(self.topic, b"me")
        await until(lambda: link.messages)

        assert [(self.topic, b"me")] == link.messages

    async def test_a_topic_subscribed_twice_delivers_once(self) -> None:
        transporter, link = await self.connect(self.topic, self.topic)
        await transporter.subscribe([self.topic])

        transporter.send(self.topic, b"once")
        transporter.send(self.topic, b"end")
        await until(lambda: (self.topic, b"end") in link.messages)

        assert [(self.topic, b"once"), (self.topic, b"end")] == link.messages

    # --- what is sent ---

    @pytest.mark.parametrize(
        "data", [b"", b"\x00", b"a\r\nb\r\n", b'{"a":"\xc3\xa9"}', bytes(range(256)) * 400], ids=len
    )
    async def test_any_bytes_arrive_as_they_were(self, data: bytes) -> None:
        _, link = await self.connect(self.topic)
        sender, _ = await self.connect()

        sender.send(self.topic, data)
        await until(lambda: link.messages)

        assert [(self.topic, data)] == link.messages
        assert type(link.messages[0][1]) is bytes

    async def test_messages_to_one_topic_keep_their_order(self) -> None:
        _, link = await self.connect(self.topic)
        sender, _ = await self.connect()

        for number in range(2_000):
            sender.send(self.topic, b"%d" % number)
        await until(lambda: len(link.messages) == 2_000)

        assert [b"%d" % number for number in range(2_000)] == [data for _, data in link.messages]

    async def test_nothing_is_received_while_it_is_sent(self) -> None:
        """`send` is called from the midst of things: a message that came back at once would find them half done."""
        transporter, link = await self.connect(self.topic)

        transporter.send(self.topic, b"x")
        transporter.send(f"{self.topic}.nobody", b"x", "t-1")

        assert ([], []) == (link.messages, link.tokens)
        await until(lambda: link.messages)

    async def test_drain_returns(self) -> None:
        sender, _ = await self.connect()
        for _ in range(1_000):
            sender.send(self.topic, b"x" * 1_000)

        async with asyncio.timeout(SECONDS):
            await sender.drain()

    async def test_a_message_over_what_is_taken_is_refused_and_the_line_stands(self) -> None:
        _, link = await self.connect(self.topic)
        sender, _ = await self.connect()
        limit = sender.message_bytes_max
        if limit is None:
            pytest.skip("it takes messages of any size")

        with pytest.raises(PayloadTooLargeError):
            sender.send(self.topic, b"x" * (limit + 1))
        sender.send(self.topic, b"x" * limit)
        await until(lambda: link.messages)

        assert [limit] == [len(data) for _, data in link.messages]
        assert sender.connected

    # --- nobody listens ---

    async def test_what_nobody_listened_to_is_told_by_its_token(self) -> None:
        if not self.tells_undelivered:
            pytest.skip("its broker cannot tell")
        sender, link = await self.connect(f"{self.topic}.heard")

        sender.send(f"{self.topic}.nobody", b"x", "t-1")
        sender.send(f"{self.topic}.heard", b"x", "t-2")
        sender.send(f"{self.topic}.nobody", b"x")
        sender.send(f"{self.topic}.nobody", b"x", "t-3")
        await until(lambda: len(link.tokens) == 2 and link.messages)

        assert ["t-1", "t-3"] == link.tokens

    async def test_who_has_closed_listens_no_more(self) -> None:
        transporter, link = await self.connect(self.topic)
        sender, told = await self.connect(f"{self.topic}.end")
        await transporter.close()

        sender.send(self.topic, b"x", "t-1")
        sender.send(f"{self.topic}.end", b"x")
        await until(lambda: told.messages)

        assert [] == link.messages

    # --- life ---

    async def test_connected_says_whether_the_line_stands(self) -> None:
        transporter = self.make()
        self._open.append(transporter)
        assert not transporter.connected

        await transporter.connect(RecordingLink())
        assert transporter.connected

        await transporter.close()
        assert not transporter.connected

    async def test_the_first_connection_and_the_close_are_no_up_and_down(self) -> None:
        transporter, link = await self.connect(self.topic)
        await transporter.close()

        assert [] == link.states

    async def test_what_was_sent_before_the_close_arrives(self) -> None:
        _, link = await self.connect(self.topic)
        sender, _ = await self.connect()

        for number in range(100):
            sender.send(self.topic, b"%d" % number)
        await sender.close()
        await until(lambda: len(link.messages) == 100)

    async def test_close_twice_is_harmless(self) -> None:
        transporter, _ = await self.connect(self.topic)

        await asyncio.gather(transporter.close(), transporter.close())
        await transporter.close()

        assert not transporter.connected

    async def test_close_without_connect_is_harmless(self) -> None:
        await self.make().close()

    async def test_nothing_is_sent_after_the_close(self) -> None:
        transporter, _ = await self.connect(self.topic)
        await transporter.close()

        with pytest.raises(BrokerDisconnectedError):
            transporter.send(self.topic, b"x")

    async def test_others_hear_each_other_when_one_leaves(self) -> None:
        first, _ = await self.connect(self.topic)
        second = self.make()
        self._open.append(second)
        link = RecordingLink()
        await second.connect(link)
        await first.close()
        third, _ = await self.connect()
        await second.subscribe([self.topic])

        third.send(self.topic, b"x")
        await until(lambda: link.messages)

    async def test_no_task_is_left(self) -> None:
        before = asyncio.all_tasks()
        transporter, _ = await self.connect(self.topic)
        transporter.send(self.topic, b"x")
        await transporter.close()

        await until(lambda: asyncio.all_tasks() <= before)

    def test_it_has_a_name_and_an_address(self) -> None:
        transporter = self.make()

        assert transporter.name
        assert isinstance(transporter.url, str)


class TransporterSuite(TopicSuite):
    """What a transporter keeps that `balances`, which the usual one does."""

    async def test_of_a_group_one_member_hears_each_message(self) -> None:
        members = []
        for _ in range(3):
            transporter, link = await self.connect()
            await transporter.subscribe_balanced(self.topic, "group")
            members.append(link)
        _, alone = await self.connect(self.topic)
        sender, _ = await self.connect()

        for number in range(30):
            sender.send(self.topic, b"%d" % number)
        await until(lambda: sum(len(member.messages) for member in members) >= 30 and len(alone.messages) == 30)

        heard = [int(data) for member in members for _, data in member.messages]
        assert list(range(30)) == sorted(heard)
        assert all(member.messages == sorted(member.messages, key=lambda m: int(m[1])) for member in members)

    async def test_members_of_a_group_share_a_message_whatever_patterns_they_listen_on(self) -> None:
        """Two patterns of one service that match the same event must not make two of it."""
        topics = (f"{self.topic}.user.created", f"{self.topic}.user.*", f"{self.topic}.**")
        members = []
        for subscribed in (topics, topics[1:], topics[:1]):
            transporter, link = await self.connect()
            for topic in subscribed:
                await transporter.subscribe_balanced(topic, "group")
            members.append(link)
        other, apart = await self.connect()
        await other.subscribe_balanced(topics[1], "other-group")
        sender, _ = await self.connect()

        for number in range(30):
            sender.send(f"{self.topic}.user.created", b"%d" % number)
        await until(lambda: sum(len(member.messages) for member in members) >= 30 and len(apart.messages) == 30)

        assert list(range(30)) == sorted(int(data) for member in members for _, data in member.messages)
        assert all({topic for topic, _ in member.messages} <= set(topics) for member in members)

    async def test_a_balanced_pattern_takes_what_fits_and_nothing_else(self) -> None:
        transporter, link = await self.connect()
        await transporter.subscribe_balanced(f"{self.topic}.a.*", "one")
        await transporter.subscribe_balanced(f"{self.topic}.b.**", "two")
        sender, told = await self.connect(f"{self.topic}.end")

        for sent in ("a", "a.x", "a.x.y", "b", "b.x", "b.x.y", "c.x"):
            sender.send(f"{self.topic}.{sent}", sent.encode())
        sender.send(f"{self.topic}.end", b"")
        await until(lambda: told.messages and len(link.messages) >= 3)

        assert [b"a.x", b"b.x", b"b.x.y"] == sorted(data for _, data in link.messages)

    async def test_a_member_that_has_left_its_group_gets_nothing_more_and_the_others_do(self) -> None:
        first, left = await self.connect()
        second, stays = await self.connect()
        for transporter in (first, second):
            await transporter.subscribe_balanced(f"{self.topic}.x", "group")
        await first.subscribe_balanced(f"{self.topic}.y", "group")
        sender, _ = await self.connect()

        await first.unsubscribe_balanced(f"{self.topic}.x", "group")
        await first.unsubscribe_balanced(f"{self.topic}.x", "group")
        await first.unsubscribe_balanced(f"{self.topic}.never", "group")
        for number in range(20):
            sender.send(f"{self.topic}.x", b"%d" % number)
        sender.send(f"{self.topic}.y", b"y")
        await until(lambda: len(stays.messages) == 20 and left.messages)

        assert [b"y"] == [data for _, data in left.messages]

    async def test_who_has_left_a_group_may_come_back(self) -> None:
        transporter, link = await self.connect()
        sender, _ = await self.connect()
        for _ in range(3):
            await transporter.subscribe_balanced(self.topic, "group")
            await transporter.unsubscribe_balanced(self.topic, "group")
        await transporter.subscribe_balanced(self.topic, "group")

        sender.send(self.topic, b"x")
        sender.send(self.topic, b"y")
        await until(lambda: len(link.messages) == 2)

        assert [b"x", b"y"] == [data for _, data in link.messages]

    async def test_what_no_member_of_a_group_listens_to_any_more_is_told_by_its_token(self) -> None:
        if not self.tells_undelivered:
            pytest.skip("its broker cannot tell")
        member, heard = await self.connect()
        await member.subscribe_balanced(self.topic, "group")
        sender, link = await self.connect()
        sender.send(self.topic, b"x", "t-1")
        await until(lambda: heard.messages)
        await member.unsubscribe_balanced(self.topic, "group")

        sender.send(self.topic, b"x", "t-2")
        await until(lambda: link.tokens)

        assert ["t-2"] == link.tokens
