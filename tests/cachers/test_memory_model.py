"""Cachers in memory against naive ones that look at everything each time."""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tautomer.cachers.lru import MemoryLRUCacher
from tautomer.cachers.memory import MemoryCacher
from tautomer.cachers.options import CacherOptions
from tautomer.host import Host
from tautomer.ports import ABSENT
from tautomer.testing import FakeClock

KEYS = st.sampled_from(["a.x:1", "a.x:1.5", "a.y:", "b.x:2", "b"])
MASKS = st.sampled_from(["**", "a.*", "a.x:*", "*x*", "b", "?", "*:1*5", "nothing"])
MOST = 3


class Model(RuleBasedStateMachine):
    kind: type[MemoryCacher]
    recent_first: bool

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.loop = asyncio.new_event_loop()
        self.cacher = self.kind(CacherOptions(max=MOST), Host(clock=self.clock))
        self.naive: list[tuple[str, int, float | None]] = []  # The next to go first.

    def teardown(self) -> None:
        self.run(self.cacher.close())
        self.loop.close()

    def run(self, asked: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(asked)

    def without(self, key: str) -> list[tuple[str, int, float | None]]:
        return [one for one in self.naive if one[0] != key]

    @rule(key=KEYS, value=st.integers(), ttl=st.none() | st.integers(1, 5))
    def set(self, key: str, value: int, ttl: int | None) -> None:
        self.run(self.cacher.set(key, value, ttl))
        self.naive = [*self.without(key), (key, value, None if ttl is None else self.clock() + ttl)][-MOST:]

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = [one for one in self.naive if one[0] == key]
        alive = [one for one in found if one[2] is None or one[2] > self.clock()]
        assert (alive[0][1] if alive else ABSENT) == self.run(self.cacher.get(key))
        if found and not alive:
            self.naive = self.without(key)
        elif found and self.recent_first:
            self.naive = [*self.without(key), *found]

    @rule(keys=st.lists(KEYS, max_size=2))
    def delete(self, keys: list[str]) -> None:
        self.run(self.cacher.delete(keys))
        self.naive = [one for one in self.naive if one[0] not in keys]

    @rule(mask=MASKS)
    def clean(self, mask: str) -> None:
        self.run(self.cacher.clean([mask]))
        self.naive = [one for one in self.naive if not fnmatch.fnmatchcase(one[0], mask)]

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def keeps_as_many(self) -> None:
        assert len(self.naive) == len(self.cacher)
        assert len(self.cacher) <= MOST


@pytest.mark.parametrize(("kind", "recent_first"), [(MemoryCacher, False), (MemoryLRUCacher, True)])
def test_memory_does_as_the_naive_one(kind: type[MemoryCacher], recent_first: bool) -> None:
    made = type("Made", (Model,), {"kind": kind, "recent_first": recent_first})
    case = made.TestCase
    case.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
    case().runTest()
