"""The stream of metrics, in the words of Hystrix, so that its dashboards can be used (resilience reference, section 11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from math import isinf
from typing import Any, Final

import msgspec

from tautomer.commands.component import component
from tautomer.commands.execution import EVENTS
from tautomer.commands.pools import Pool
from tautomer.commands.runtime import CommandKey, Runtime
from tautomer.resilience.circuit import Circuit, CircuitOptions
from tautomer.resilience.rolling import percentile

__all__ = ["frames", "snapshot"]

INTERVAL: Final = 0.5
"""Seconds between two looks."""

_PERCENTS: Final = (0, 25, 50, 75, 90, 95, 99, 99.5, 100)
_OPEN: Final = (Circuit.OPEN, Circuit.FORCED_OPEN)
_COUNTS: Final = {
    **{name: "".join(part.title() for part in name.split("_")) for name in EVENTS if name != "CANCELLED"},
    "COLLAPSED": "CollapsedRequests",
    "EXCEPTION_THROWN": "ExceptionsThrown",
    "RESPONSE_FROM_CACHE": "ResponsesFromCache",
}
_FAILURES: Final = ("FAILURE", "TIMEOUT", "THREAD_POOL_REJECTED", "SEMAPHORE_REJECTED")

_encode = msgspec.json.Encoder().encode


def snapshot() -> list[dict[str, Any]]:
    """What there is to tell of each command, pool and collapser now: Hystrix's names, times in milliseconds."""
    runtime = component.runtime
    with runtime.lock:
        return list(_all(runtime))


async def frames(interval: float = INTERVAL) -> AsyncIterator[bytes]:
    """Server-sent events: one for each command, pool and collapser, and a ping, again and again.

    Args:
        interval: Seconds between two looks.
    """
    while True:
        yield b"".join([*(b"data: %b\n\n" % _encode(one) for one in snapshot()), b"ping: \n\n"])
        await asyncio.sleep(interval)


def _all(runtime: Runtime) -> Iterator[dict[str, Any]]:
    now, stamp = runtime.clock(), runtime.wall_ms()
    for key in list(runtime.keys.values()):
        yield _command(key, runtime, now, stamp)
        if key.batches is not None:
            yield _collapser(key, now, stamp)
    for name, pool in list(runtime.pools.items()):
        yield _pool(name, pool, now, stamp)


def _command(key: CommandKey, runtime: Runtime, now: float, stamp: int) -> dict[str, Any]:
    measures, options = key.measures, key.options
    of_late = measures.events.of_late(now)
    errors = sum(of_late[name] for name in _FAILURES)
    total = errors + of_late["SUCCESS"]
    circuit = key.circuit
    settings = options.circuit_breaker
    told = CircuitOptions() if settings is None else settings.options
    forced = None if settings is None else settings.forced
    pool = runtime.pools.get(options.pool_key)
    timeout_ms = 0 if isinf(options.seconds) else round(options.seconds * 1000)
    workers = 10 if pool is None else pool.options.max_workers
    return {
        "type": "HystrixCommand",
        "name": key.name,
        "group": options.group_key,
        "currentTime": stamp,
        "isCircuitBreakerOpen": circuit is not None and circuit.state in _OPEN,
        "errorPercentage": errors * 100 // total if total else 0,
        "errorCount": errors,
        "requestCount": total,
        **{f"rollingCount{name}": of_late[event] for event, name in _COUNTS.items()},
        "currentConcurrentExecutionCount": measures.running,
        "rollingMaxConcurrentExecutionCount": measures.most.of_late(now),
        **_times("latencyExecute", measures.run_times.of_late(now)),
        **_times("latencyTotal", measures.total_times.of_late(now)),
        "propertyValue_circuitBreakerRequestVolumeThreshold": told.min_count,
        "propertyValue_circuitBreakerSleepWindowInMilliseconds": round(told.sleep * 1000),
        "propertyValue_circuitBreakerErrorThresholdPercentage": round(told.threshold * 100),
        "propertyValue_circuitBreakerForceOpen": forced is Circuit.FORCED_OPEN,
        "propertyValue_circuitBreakerForceClosed": forced is Circuit.FORCED_CLOSED,
        "propertyValue_circuitBreakerEnabled": circuit is not None,
        "propertyValue_executionIsolationStrategy": "SEMAPHORE" if key.in_loop else "THREAD",
        "propertyValue_executionIsolationThreadTimeoutInMilliseconds": timeout_ms,
        "propertyValue_executionTimeoutInMilliseconds": timeout_ms,
        "propertyValue_executionIsolationThreadInterruptOnTimeout": False,
        "propertyValue_executionIsolationThreadPoolKeyOverride": None,
        "propertyValue_executionIsolationSemaphoreMaxConcurrentRequests": workers,
        "propertyValue_fallbackIsolationSemaphoreMaxConcurrentRequests": options.fallback_limit,
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": 10_000,
        "propertyValue_requestCacheEnabled": options.request_cache_enabled,
        "propertyValue_requestLogEnabled": False,
        "reportingHosts": 1,
        "threadPool": options.pool_key,
    }


def _pool(name: str, pool: Pool, now: float, stamp: int) -> dict[str, Any]:
    told = pool.statistics()
    of_late = pool.counts.of_late(now)
    return {
        "type": "HystrixThreadPool",
        "name": name,
        "currentTime": stamp,
        "currentActiveCount": told["running"],
        "currentCompletedTaskCount": told["completed"],
        "currentCorePoolSize": told["max_workers"],
        "currentLargestPoolSize": told["largest"],
        "currentMaximumPoolSize": told["max_workers"],
        "currentPoolSize": told["threads"],
        "currentQueueSize": told["waiting"],
        "currentTaskCount": told["executed"],
        "rollingCountThreadsExecuted": of_late["executed"],
        "rollingMaxActiveThreads": pool.most.of_late(now),
        "rollingCountCommandRejections": of_late["rejected"],
        "propertyValue_queueSizeRejectionThreshold": told["max_queue"],
        "propertyValue_metricsRollingStatisticalWindowInMilliseconds": 10_000,
        "reportingHosts": 1,
    }


def _collapser(key: CommandKey, now: float, stamp: int) -> dict[str, Any]:
    assert key.batches is not None
    sizes = key.batches.of_late(now)
    return {
        "type": "HystrixCollapser",
        "name": key.name,
        "currentTime": stamp,
        "rollingCountRequestsBatched": key.measures.events.of_late(now)["COLLAPSED"],
        "rollingCountBatches": len(sizes),
        "rollingCountResponsesFromCache": 0,
        "batchSize_mean": round(sum(sizes) / len(sizes)) if sizes else 0,
        "batchSize": {str(percent): round(percentile(sizes, percent)) for percent in _PERCENTS},
        "reportingHosts": 1,
    }


def _times(name: str, seconds: list[float]) -> dict[str, Any]:
    return {
        f"{name}_mean": round(1000 * sum(seconds) / len(seconds)) if seconds else 0,
        name: {str(percent): round(1000 * percentile(seconds, percent)) for percent in _PERCENTS},
    }
