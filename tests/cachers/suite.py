"""CacherSuite: behaviour that every cacher keeps. A subclass says only how to make one."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tautomer.ports import ABSENT, Cacher

SECONDS = 5.0
_names = itertools.count(1)


async def until(claim: Callable[[], Any]) -> None:
    """Wait until the claim, a function that may be `async`, holds."""
    async with asyncio.timeout(SECONDS):
        while True:
            told = claim()
            if await told if asyncio.iscoroutine(told) else told:
                return
            await asyncio.sleep(0.002)


class CacherSuite:
    """Inherit it, and say in `make` how a cacher is made. All that one test makes use the same store if they can.

    Attributes:
        value_bytes_max: What the made ones are told.
    """

    value_bytes_max = 10_000

    def make(self) -> Cacher:
        raise NotImplementedError

    @pytest.fixture
    async def cachers(self) -> AsyncIterator[Callable[..., Any]]:
        made: list[Cacher] = []

        async def open_one(prefix: str = "") -> Cacher:
            one = self.make()
            made.append(one)
            await one.open(prefix or f"T{next(_names)}-")
            return one

        yield open_one
        for one in made:
            await one.close()
            await one.close()

    @pytest.fixture
    async def cacher(self, cachers: Callable[..., Any]) -> Cacher:
        one: Cacher = await cachers()
        return one

    @pytest.mark.parametrize(
        "value",
        [None, True, 0, 1.5, "", "text", [], {}, [1, [2, None]], {"a": {"b": [1, "x"]}}, "😀", {"key": None}],
        ids=repr,
    )
    async def test_what_was_set_is_got(self, cacher: Cacher, value: Any) -> None:
        assert ABSENT is await cacher.get("a.b:5")
        assert await cacher.set("a.b:5", value, None)

        assert value == await cacher.get("a.b:5")
        assert (value, None) == await cacher.get_with_ttl("a.b:5")

    async def test_what_is_under_no_key_is_absent(self, cacher: Cacher) -> None:
        assert ABSENT is await cacher.get("nothing")
        assert (ABSENT, None) == await cacher.get_with_ttl("nothing")

    async def test_what_is_set_again_is_the_new_one(self, cacher: Cacher) -> None:
        await cacher.set("a", 1, 0.02)
        await cacher.set("a", 2, None)

        assert (2, None) == await cacher.get_with_ttl("a")

    async def test_changing_what_was_given_or_got_changes_nothing(self, cacher: Cacher) -> None:
        given = {"flat": 1, "list": [{"deep": 1}]}
        await cacher.set("a", given, None)
        given["flat"] = 2
        given["list"][0]["deep"] = 2  # type: ignore[index]
        got = await cacher.get("a")
        got["list"].append(3)
        got["list"][0]["deep"] = 3

        assert {"flat": 1, "list": [{"deep": 1}]} == await cacher.get("a")

    async def test_the_time_of_an_entry_ends(self, cacher: Cacher) -> None:
        await cacher.set("short", 1, 0.03)
        await cacher.set("long", 1, 60)
        _, left = await cacher.get_with_ttl("long")

        async def is_gone() -> bool:
            return await cacher.get("short") is ABSENT

        await until(is_gone)
        assert left is not None
        assert 59 < left <= 60
        assert 1 == await cacher.get("long")

    async def test_what_is_too_large_is_not_kept(self, cacher: Cacher) -> None:
        await cacher.set("a", "small", None)

        assert not await cacher.set("a", "x" * (self.value_bytes_max + 1), None)
        assert not await cacher.set("b", ["x" * 100] * self.value_bytes_max, None)
        assert ABSENT is await cacher.get("b")

    async def test_what_holds_itself_is_not_kept(self, cacher: Cacher) -> None:
        endless: list[Any] = []
        endless.append(endless)

        assert not await cacher.set("a", endless, None)
        assert ABSENT is await cacher.get("a")

    @pytest.mark.parametrize("key", ["a b", "日本語:😀", 'a:"x"|[1|2]', "x" * 600, "\n", "half \ud800"], ids=ascii)
    async def test_any_text_is_a_key_or_keeps_nothing(self, cacher: Cacher, key: str) -> None:
        kept = await cacher.set(key, 1, None)

        assert (1 if kept else ABSENT) == await cacher.get(key)
        await cacher.delete([key])
        assert ABSENT is await cacher.get(key)

    async def test_what_is_deleted_is_gone_and_nothing_else(self, cacher: Cacher) -> None:
        await fill(cacher, "a", "b", "c")
        await cacher.delete(["a", "c", "nothing"])
        await cacher.delete([])

        assert {"b"} == await left_of(cacher, "a", "b", "c")

    @pytest.mark.parametrize(
        ("mask", "left"),
        [
            ("**", ()),
            ("*", ()),
            ("users.*", ("posts.get:1", "[x]")),
            ("users.**", ("posts.get:1", "[x]")),
            ("users.get:*", ("users.list:", "posts.get:1", "[x]")),
            ("*.get:*", ("users.list:", "[x]")),
            ("users.get:1", ("users.get:1.5", 'users.get:"a@b.c"', "users.get:[1|2]", "users.list:", "posts.get:1", "[x]")),
            ("users.get:?", ("users.get:1.5", 'users.get:"a@b.c"', "users.get:[1|2]", "users.list:", "posts.get:1", "[x]")),
            ("users.get:[1|2]", ("users.get:1", "users.get:1.5", 'users.get:"a@b.c"', "users.list:", "posts.get:1", "[x]")),
            ("[x]", ("users.get:1", "users.get:1.5", 'users.get:"a@b.c"', "users.get:[1|2]", "users.list:", "posts.get:1")),
            ("*et:1*5", ("users.get:1", 'users.get:"a@b.c"', "users.get:[1|2]", "users.list:", "posts.get:1", "[x]")),
            ("x", None),
        ],
    )  # fmt: skip
    async def test_a_mask_cleans_what_fits(self, cacher: Cacher, mask: str, left: tuple[str, ...] | None) -> None:
        keys = [
            "users.get:1",
            "users.get:1.5",
            'users.get:"a@b.c"',
            "users.get:[1|2]",
            "users.list:",
            "posts.get:1",
            "[x]",
        ]
        await fill(cacher, *keys)

        await cacher.clean([mask])

        assert set(keys if left is None else left) == await left_of(cacher, *keys)

    async def test_several_masks_clean_at_once_and_many_keys_are_no_trouble(self, cacher: Cacher) -> None:
        keys = [f"a.{number}" for number in range(1_200)]
        await fill(cacher, *keys, "b.1", "c.1")

        await cacher.clean(["a.*", "b.1"])

        assert {"c.1"} == await left_of(cacher, *keys[:20], "b.1", "c.1")

    async def test_a_lock_is_for_one_at_a_time(self, cacher: Cacher) -> None:
        first = await cacher.lock("a", 10, 0)
        assert first is not None
        assert None is await cacher.lock("a", 10, 0)
        assert None is await cacher.lock("a", 10, 0.03)
        other = await cacher.lock("b", 10, 0)
        assert other is not None

        await first()
        second = await cacher.lock("a", 10, 0)
        assert second is not None
        await first()  # Twice is harmless: it does not give back what is another's by now.
        assert None is await cacher.lock("a", 10, 0)
        await second()
        await other()

    async def test_who_waits_for_a_lock_gets_it(self, cacher: Cacher) -> None:
        held = 0
        most = 0

        async def take() -> None:
            nonlocal held, most
            release = await cacher.lock("a", 10, SECONDS)
            assert release is not None
            held += 1
            most = max(most, held)
            await asyncio.sleep(0)
            held -= 1
            await release()

        async with asyncio.TaskGroup() as together:
            for _ in range(5):
                together.create_task(take())

        assert 1 == most

    async def test_who_gives_up_waiting_holds_nobody_up(self, cacher: Cacher) -> None:
        first = await cacher.lock("a", 10, 0)
        waiting = asyncio.create_task(cacher.lock("a", 10, SECONDS))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert first is not None
        await first()

        assert None is not await cacher.lock("a", 10, 0)

    async def test_a_lock_and_an_entry_of_one_name_are_two(self, cacher: Cacher) -> None:
        release = await cacher.lock("a", 10, 0)
        assert ABSENT is await cacher.get("a")
        await cacher.set("a", 1, None)
        assert release is not None
        await release()

        assert 1 == await cacher.get("a")


async def fill(cacher: Cacher, *keys: str) -> None:
    for key in keys:
        await cacher.set(key, 1, None)


async def left_of(cacher: Cacher, *keys: str) -> set[str]:
    return {key for key in keys if await cacher.get(key) is not ABSENT}
