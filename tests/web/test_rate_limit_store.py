"""MemoryStore: the windows of `resilience.ratelimit`, on the gateway's clock."""

from __future__ import annotations

from tautomer.testing import FakeClock
from tautomer.web.rate_limit.memory import MemoryStore


def test_hits_are_counted_until_the_window_ends():
    clock = FakeClock()
    store = MemoryStore(10.0, clock)

    assert [(1, 10.0), (2, 10.0)] == [store.hit("a"), store.hit("a")]
    clock.advance(4)
    assert [(3, 6.0), (1, 10.0)] == [store.hit("a"), store.hit("b")]
    clock.advance(6)
    assert (1, 10.0) == store.hit("a")
