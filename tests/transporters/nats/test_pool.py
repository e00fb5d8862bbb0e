from __future__ import annotations

from random import Random

import pytest

from tautomer.transporters.nats.options import ServerAddress, parse_servers
from tautomer.transporters.nats.pool import DISCOVERED_MAX, Backoff, ServerPool


def pool_of(url: str, shuffle: bool = False) -> ServerPool:
    return ServerPool(parse_servers(url), Random(1), shuffle)


def hosts(pool: ServerPool) -> list[str]:
    return [server.host for server in pool.round()]


def test_pauses_double_up_to_the_longest_and_start_anew_after_a_reset() -> None:
    class Middle(Random):
        def uniform(self, a: float, b: float) -> float:
            return (a + b) / 2

    backoff = Backoff(0.1, 5.0, Middle())

    pauses = [backoff.next(away=3_600.0) for _ in range(9)]
    backoff.reset()

    assert pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]) == pauses
    assert pytest.approx(0.1) == backoff.next(away=3_600.0)


@pytest.mark.parametrize(
    ("away", "longest"), [(0.0, 0.5), (5.0, 0.5), (30.0, 0.6), (60.0, 1.2), (250.0, 5.0), (1e6, 5.0)]
)
def test_the_longest_pause_grows_with_the_time_away(away: float, longest: float) -> None:
    backoff = Backoff(0.1, 5.0, Random(1))

    pauses = [backoff.next(away) for _ in range(200)][10:]

    assert longest * 1.3 < max(pauses) <= longest * 1.5


def test_pauses_are_spread_over_half_to_one_and_a_half() -> None:
    random = Random(7)
    pauses = [Backoff(1.0, 5.0, random).next(away=60.0) for _ in range(1_000)]

    assert 0.5 <= min(pauses) < 0.52
    assert 1.48 < max(pauses) <= 1.5


def test_the_server_that_was_lost_is_tried_last() -> None:
    pool = pool_of("a,b,c")

    pool.used(ServerAddress("b"))

    assert ["c", "a", "b"] == hosts(pool)
    assert ["c", "a"] == [server.host for server in pool.others(ServerAddress("b"))]


def test_servers_are_shuffled_only_if_asked() -> None:
    url = ",".join("abcdefghij")

    assert list("abcdefghij") == hosts(pool_of(url))
    assert list("abcdefghij") != hosts(pool_of(url, shuffle=True))
    assert list("abcdefghij") == sorted(hosts(pool_of(url, shuffle=True)))


def test_one_given_twice_is_tried_once() -> None:
    assert ["a", "b"] == hosts(pool_of("a,b,a"))


def test_what_a_server_tells_of_is_used_as_it_is_and_forgotten_when_it_tells_no_more() -> None:
    pool = pool_of("tls://u:p@a.example:1")
    (teller,) = pool.round()

    pool.learn(["10.0.0.2:2", "b.example:3", "a.example:1", "10.0.0.2:2"], teller)
    told = pool.round()
    pool.learn(["b.example:3"], teller)

    assert [
        teller,
        ServerAddress("10.0.0.2", 2, True, "u", "p", tls_name="a.example"),
        ServerAddress("b.example", 3, True, "u", "p"),
    ] == told
    assert ["a.example", "b.example"] == hosts(pool)


def test_one_that_was_told_of_keeps_its_place_while_it_is_used() -> None:
    pool = pool_of("a")
    pool.learn(["b:4222", "c:4222"], pool.round()[0])
    b = next(server for server in pool.round() if server.host == "b")

    pool.used(b)
    pool.learn(["c:4222"], b)

    assert ["c", "a", "b"] == hosts(pool)


def test_nonsense_that_a_server_tells_is_ignored() -> None:
    pool = pool_of("a")

    pool.learn(["", "x y", "b:port", "b,c", "http://x", "[::1", "ok:1"], pool.round()[0])

    assert ["a", "ok"] == hosts(pool)


def test_a_server_cannot_fill_the_memory_with_addresses() -> None:
    pool = pool_of("a")

    for start in range(0, 1_000, 100):
        pool.learn([f"h{number}:1" for number in range(start, start + 100)], pool.round()[0])

    assert DISCOVERED_MAX + 1 == len(pool.round())
