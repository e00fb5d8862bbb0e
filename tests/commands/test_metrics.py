"""Counters, times and the stream of them, in Hystrix's words (resilience reference, section 11)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tautomer import Broker, Collapser, Command, component
from tautomer.commands.service import READERS_MAX, CommandMetrics
from tautomer.commands.stream import frames, snapshot
from tautomer.errors import MoleculerError
from tests.kernel.mesh import until
from tests.web.conftest import OpenDoor, door

from .conftest import Virtually, settled

__all__ = ["door"]

COMMAND_NAMES = """
    type name group currentTime isCircuitBreakerOpen errorPercentage errorCount requestCount rollingCountBadRequest
    rollingCountCollapsedRequests rollingCountEmit rollingCountExceptionsThrown rollingCountFailure
    rollingCountFallbackEmit rollingCountFallbackFailure rollingCountFallbackMissing rollingCountFallbackRejection
    rollingCountFallbackSuccess rollingCountResponsesFromCache rollingCountSemaphoreRejected rollingCountShortCircuited
    rollingCountSuccess rollingCountThreadPoolRejected rollingCountTimeout currentConcurrentExecutionCount
    rollingMaxConcurrentExecutionCount latencyExecute_mean latencyExecute latencyTotal_mean latencyTotal
    propertyValue_circuitBreakerRequestVolumeThreshold propertyValue_circuitBreakerSleepWindowInMilliseconds
    propertyValue_circuitBreakerErrorThresholdPercentage propertyValue_circuitBreakerForceOpen
    propertyValue_circuitBreakerForceClosed propertyValue_circuitBreakerEnabled
    propertyValue_executionIsolationStrategy propertyValue_executionIsolationThreadTimeoutInMilliseconds
    propertyValue_executionTimeoutInMilliseconds propertyValue_executionIsolationThreadInterruptOnTimeout
    propertyValue_executionIsolationThreadPoolKeyOverride
    propertyValue_executionIsolationSemaphoreMaxConcurrentRequests
    propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests
    propertyValue_metricsRollingStatisticalWindowInMilliseconds propertyValue_requestCacheEnabled
    propertyValue_requestLogEnabled reportingHosts threadPool
"""
"""What a dashboard of Hystrix looks for (reference, section 11)."""

POOL_NAMES = """
    type name currentTime currentActiveCount currentCompletedTaskCount currentCorePoolSize currentLargestPoolSize
    currentMaximumPoolSize currentPoolSize currentQueueSize currentTaskCount rollingCountThreadsExecuted
    rollingMaxActiveThreads rollingCountCommandRejections propertyValue_queueSizeRejectionThreshold
    propertyValue_metricsRollingStatisticalWindowInMilliseconds reportingHosts
"""


class Work(Command):
    group_key = "works"
    command_key = "work"

    def __init__(self, seconds: float = 0.0, fails: bool = False) -> None:
        self.seconds, self.fails = seconds, fails

    async def run(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.fails:
            raise OSError


def told(kind: str) -> dict[str, Any]:
    (found,) = [one for one in snapshot() if one["type"] == kind]
    return found


def test_counters_and_times_are_those_of_the_last_seconds(virtually: Virtually) -> None:
    async def work(_testing: Any) -> list[dict[str, Any]]:
        await settled(*(Work(seconds) for seconds in (0.1, 0.2, 0.3, 0.4)), Work(5.0), Work(fails=True))
        running = Work(0.5).queue()
        await asyncio.sleep(0.1)
        now = told("HystrixCommand"), told("HystrixThreadPool")
        await running
        await asyncio.sleep(10.0)
        later = told("HystrixCommand")
        await asyncio.sleep(60.0)
        return [*now, later, told("HystrixCommand")]

    command, pool, later, last = virtually(work)

    assert (4, 1, 1, 2) == tuple(
        command[f"rollingCount{name}"] for name in ("Success", "Timeout", "Failure", "ExceptionsThrown")
    )
    assert (6, 2, 33, False) == tuple(
        command[name] for name in ("requestCount", "errorCount", "errorPercentage", "isCircuitBreakerOpen")
    )
    assert (1, 6) == (command["currentConcurrentExecutionCount"], command["rollingMaxConcurrentExecutionCount"])
    assert (0, 250, 1000, 333) == (
        command["latencyTotal"]["0"],
        command["latencyTotal"]["50"],
        command["latencyTotal"]["100"],
        command["latencyTotal_mean"],
    )
    assert ("SEMAPHORE", 1000) == (
        command["propertyValue_executionIsolationStrategy"],
        command["propertyValue_executionTimeoutInMilliseconds"],
    )
    assert (1, 6, 7, 6) == tuple(
        pool[name]
        for name in ("currentActiveCount", "currentLargestPoolSize", "currentTaskCount", "currentCompletedTaskCount")
    )
    assert (0, 150) == (later["rollingCountSuccess"], later["latencyTotal"]["25"])  # Times are kept for a minute.
    assert 0 == last["latencyTotal"]["100"]


async def test_names_are_all_of_hystrixs() -> None:
    class One(Collapser):
        def argument(self) -> Any:
            return 1

        async def run_batch(self, arguments: list[Any]) -> Any:
            return arguments

    await One()

    assert set(COMMAND_NAMES.split()) <= set(told("HystrixCommand"))
    assert set(POOL_NAMES.split()) <= set(told("HystrixThreadPool"))
    assert (1, 1, 1) == tuple(
        told("HystrixCollapser")[name]
        for name in ("rollingCountBatches", "rollingCountRequestsBatched", "batchSize_mean")
    )


async def test_a_frame_has_an_event_for_each_and_a_ping() -> None:
    await Work()
    stream = frames(0.0)

    for _ in range(2):
        *events, ping, end = (await anext(stream)).split(b"\n\n")
        assert (b"ping: ", b"") == (ping, end)
        assert ["HystrixCommand", "HystrixThreadPool"] == [
            json.loads(event.removeprefix(b"data: "))["type"] for event in events
        ]
    await stream.aclose()


async def test_a_gateway_serves_them_as_server_sent_events(door: OpenDoor) -> None:
    await Work()
    opened = await door(
        CommandMetrics(settings={"interval": 0.01}), routes=[{"aliases": {"GET /hystrix.stream": "commands.stream"}}]
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", opened.port)
    writer.write(b"GET /hystrix.stream HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        body = b""
        while body.count(b"ping: \n\n") < 2:
            body += await reader.read(4096)
    writer.close()
    await writer.wait_closed()

    assert head.startswith("http/1.1 200")
    assert "content-type: text/event-stream;charset=utf-8" in head
    assert "cache-control: no-cache, no-store, max-age=0, must-revalidate" in head
    assert "pragma: no-cache" in head
    assert b'data: {"type":"HystrixCommand","name":"work","group":"works"' in body
    service = opened.broker.get_local_service("commands")
    await until(lambda: service._readers == 0)


async def test_more_than_so_many_readers_are_refused_and_a_service_that_stops_takes_none() -> None:
    metrics = CommandMetrics()
    async with Broker("n") as broker:
        await broker.register(metrics)
        streams = [await broker.call("commands.stream") for _ in range(READERS_MAX)]
        with pytest.raises(MoleculerError, match="MaxConcurrentConnections reached: 5") as full:
            await broker.call("commands.stream")
        await streams[0].aclose()
        again = await broker.call("commands.stream")
        for stream in [*streams[1:], again]:
            await stream.aclose()
        metrics.stopping()
        with pytest.raises(MoleculerError, match="shut down") as stopped:
            await broker.call("commands.stream")

    assert (503, 503) == (full.value.code, stopped.value.code)


async def test_statistics_are_an_action_too() -> None:
    await settled(Work(fails=True))
    async with Broker("n") as broker:
        await broker.register(CommandMetrics)

        assert component.statistics() == await broker.call("commands.statistics")


async def test_counts_since_the_beginning_are_kept() -> None:
    for _ in range(3):
        await Work()

    assert {"SUCCESS": 3} == component.statistics()["commands"]["work"]["events"]
