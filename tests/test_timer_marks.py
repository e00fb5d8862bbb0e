"""`@timer` and `@cron`: what they take, and what becomes of a marked method."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import Broker, Service, cron, timer
from tautomer.errors import ServiceSchemaError
from tautomer.settings import Settings


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (lambda: timer(0), "number of seconds over 0, not 0"),
        (lambda: timer(-1), "over 0"),
        (lambda: timer(True), "over 0"),
        (lambda: timer(float("nan")), "over 0"),
        (lambda: timer(float("inf")), "over 0"),
        (lambda: timer("5"), "over 0"),  # type: ignore[arg-type]  # Wrong on purpose, here and below.
        (lambda: timer(5, eager=1), "eager of @timer is True or False"),  # type: ignore[arg-type]
        (lambda: timer(5, eager=True, once_per="mesh"), "at its start"),
        (lambda: timer(5, once_per="cluster"), "once_per of @timer is 'node' or 'mesh', not 'cluster'"),  # type: ignore[arg-type]
        (lambda: cron("* * * * *", overlap="allow"), "overlap of @cron is 'wait' or 'skip'"),  # type: ignore[arg-type]
        (lambda: cron("* * * * *", tz="UTC"), "takes no 'tz': it is called 'timezone'"),
        (lambda: cron("* * * * *", concurrency="skip"), "use overlap="),
        (lambda: cron("* * *"), "3 fields"),
        (lambda: cron("* * * * *", "Nowhere"), "no time zone"),
        (lambda: timer(5, cache=True), "answered by a cache is not done"),
        (lambda: timer(5, rest="GET /"), "takes no 'rest'"),
        (lambda: timer(5, blocking=1), "blocking of @timer is True or False"),  # type: ignore[arg-type]
        (lambda: timer(5, blocking=True, process=True), "not in both"),
        (lambda: timer(5, timeout=-1), "timeout of @timer"),
        (lambda: timer(5, name=3), "the name of @timer is a text"),  # type: ignore[arg-type]
    ],
)
def test_what_is_written_wrong_is_told_where_it_is_written(mark: Any, said: str) -> None:
    with pytest.raises(ServiceSchemaError, match=said):
        mark()


@pytest.mark.parametrize("mark", [timer, cron])
def test_without_brackets_it_says_how_it_is_written(mark: Any) -> None:
    with pytest.raises(TypeError, match=r"needs an .*: @"):

        @mark
        def tick() -> None: ...


def test_a_generator_is_refused_as_nobody_reads_it() -> None:
    with pytest.raises(ServiceSchemaError, match="nobody reads what it yields"):

        @timer(5)
        def tick(self: Any) -> Any:
            yield 1


class Jobs(Service):
    name = "jobs"
    settings = {"$cache": True, "$rate_limit": {"limit": 1}, "$bulkhead": {"concurrency": 3}, "$timeout": 7.0}

    @timer(5, overlap="skip", bulkhead={"max_queue_size": 0})
    async def often(self) -> str:
        return "done"

    @cron("0 3 * * *", timezone="Europe/Berlin", once_per="mesh", name="nightly", timeout=60)
    def at_night(self) -> str:
        return "done"


async def test_a_marked_method_is_an_action_of_its_node_that_others_are_told_of() -> None:
    async with Broker(settings=Settings(cacher="memory")) as broker:
        service = await broker.register(Jobs)
        often, nightly = service.action_defs()
        entry = broker.registry.services_of(broker.id)[-1].actions["jobs.nightly"]

        # It can be tried by hand, and is not limited as what others ask for is: nor does a cache answer.
        assert ["done", "done", "done"] == [await broker.call("jobs.often") for _ in range(3)]
        assert "done" == await service.actions.nightly()
        assert "done" == await Jobs().often()
        assert {"concurrency": 3, "max_queue_size": 0} == often.extra["bulkhead"]
        assert ("thread", 60) == (nightly.where, nightly.timeout)
        assert 7.0 == often.timeout
        assert ({"cron": "0 3 * * *", "timezone": "Europe/Berlin", "oncePer": "mesh"}, "protected") == (
            entry["timer"],
            entry["visibility"],
        )


def test_a_plain_class_may_have_nothing_but_timers() -> None:
    class Plain:
        name = "plain"

        @timer(interval=5)
        def tick(self) -> None: ...

    service: Any = Broker().create_service(Plain)

    assert ["tick"] == [one.name for one in service.action_defs()]


def test_a_mixin_brings_its_timers() -> None:
    class Mixin:
        @timer(5)
        async def tick(self) -> None: ...

        @timer(5)
        async def off(self) -> None: ...

    class Own(Service):
        name = "own"
        mixins = (Mixin,)
        off = False

        @timer(9, name="tick")
        async def slower(self) -> None: ...

    (tick,) = Broker().create_service(Own).action_defs()

    assert tick.timer is not None
    assert 9.0 == tick.timer.every
