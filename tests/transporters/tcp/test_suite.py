"""What every transporter keeps, as far as it can hold where a line leads to each node and nothing to all."""

from __future__ import annotations

import itertools

import pytest

from tautomer.errors import TransporterError
from tautomer.ports import LineTransporter, Transporter
from tests.transporters.suite import RecordingLink, TopicSuite, until

from .nodes import End

_numbers = itertools.count(1)


class TestTcp(TopicSuite):
    """Topics that name a node, since others have no line: ``MOL.EVENT.<node>``."""

    @pytest.fixture(autouse=True)
    def _ends(self, _closing: None) -> None:
        self.topic = f"MOL.EVENT.s{next(_numbers)}"
        self._ends_by_id: dict[str, End] = {}

    def make(self, id: str = "") -> Transporter:
        end = End(id or f"other{next(_numbers)}")
        end.watcher.greets = False  # Here a message is what a test sent, and nothing else.
        self._ends_by_id[end.id] = end
        return end.transporter

    async def connect(self, *topics: str) -> tuple[Transporter, RecordingLink]:
        wanted = topics[0].removeprefix("MOL.EVENT.") if topics else ""
        if wanted in self._ends_by_id:
            wanted = ""
        transporter = self.make(wanted)
        self._open.append(transporter)
        end = next(one for one in self._ends_by_id.values() if one.transporter is transporter)
        await end.start()
        for other in self._ends_by_id.values():
            if other is not end:
                if other.transporter.connected:
                    end.knows(other)
                other.knows(end)
        return transporter, end.link

    async def test_whoever_listens_on_a_topic_hears_it_and_nobody_else(self) -> None:
        _, first = await self.connect("MOL.EVENT.a")
        _, second = await self.connect("MOL.EVENT.b")
        sender, _ = await self.connect()

        sender.send("MOL.REQ.a", b"for a")
        sender.send("MOL.REQ.b", b"for b")
        await until(lambda: first.messages and second.messages)

        assert [("MOL.REQ.a", b"for a")] == first.messages
        assert [("MOL.REQ.b", b"for b")] == second.messages

    async def test_it_has_no_balanced_topics(self) -> None:
        """Whoever tries is told why."""
        transporter, _ = await self.connect()

        assert not transporter.balances
        with pytest.raises(TransporterError, match="balanced"):
            await transporter.subscribe_balanced("MOL.REQB.a", "group")

    async def test_others_hear_each_other_when_one_leaves(self) -> None:
        first, _ = await self.connect()
        _, link = await self.connect(self.topic)
        await first.close()
        third, _ = await self.connect()

        third.send(self.topic, b"x")
        await until(lambda: link.messages)

    def test_it_is_known_for_a_transporter_with_lines(self) -> None:
        assert isinstance(self.make(), LineTransporter)
