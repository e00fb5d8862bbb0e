"""The wall clock jumps by an hour, there and back: nothing happens (promise M2)."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tautomer import Broker, Context, Service, action, event
from tautomer.errors import MoleculerError, RequestTimeoutError

from .crew import Crew, offering
from .load import tell

pytestmark = pytest.mark.slow

HOUR = 3600.0
LIBRARIES = [
    Path(folder, "faketime", "libfaketime.so.1")
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/usr/lib")
]


class Here(Service):
    """What the worker calls back, and what the caller saw go."""

    name = "here"

    def __init__(self) -> None:
        super().__init__()
        self.lost = 0

    @action
    async def rest(self, ctx: Context) -> str:
        await asyncio.sleep(ctx.params["seconds"])
        return "rested"

    @event("$node.disconnected")
    def on_lost(self, _ctx: Context) -> None:
        self.lost += 1


def _shifted(folder: Path) -> tuple[dict[str, Any], Callable[[float], None]]:
    """A worker whose module `time` tells another wall time. Works everywhere."""
    file = folder / "shift"
    file.write_text("0")
    return {"program": ("tests.faults.shifted", str(file))}, lambda seconds: _replace(file, f"{seconds}")


def _faked(folder: Path) -> tuple[dict[str, Any], Callable[[float], None]]:
    """A worker whose system calls tell another wall time, the monotonic clock left alone."""
    library = next((path for path in LIBRARIES if path.exists()), None)
    if library is None:
        reason = "needs libfaketime: apt-get install libfaketime"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    file = folder / "faketime"
    file.write_text("+0")
    env = {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    return {"env": env}, lambda seconds: _replace(file, f"{seconds:+g}")


def _replace(file: Path, text: str) -> None:
    """In one step: the other process reads it at any time."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


@pytest.mark.parametrize("way", [_shifted, pytest.param(_faked, marks=pytest.mark.full)], ids=["module", "libfaketime"])
async def test_a_wall_clock_that_jumps_by_an_hour_changes_nothing(
    crew: Crew, tmp_path: Path, way: Callable[[Path], tuple[dict[str, Any], Callable[[float], None]]]
) -> None:
    options, shift = way(tmp_path)
    here = Here()
    await crew.worker("w1", **options, heartbeat_interval=0.3, heartbeat_timeout=1.5)
    caller = await crew.caller("caller", here, sees=["w1"], heartbeat_interval=0.3, heartbeat_timeout=1.5)
    told, failed, calls = [], 0, 0
    for seconds in (HOUR, -HOUR, 0.0):
        shift(seconds)
        begin = time.monotonic()
        told.append((await caller.call("work.clock", timeout=5.0))["wall"] - time.time())
        while time.monotonic() - begin < 1.0:
            calls += 1
            failed += not await _works(caller)
            await asyncio.sleep(0.02)

    begin = time.monotonic()
    with pytest.raises(RequestTimeoutError):
        await caller.call(
            "work.relay", {"action": "here.rest", "params": {"seconds": 5.0}, "timeout": 0.3}, timeout=5.0
        )
    took = time.monotonic() - begin

    tell(
        "wall clock jumps by an hour, there and back",
        calls=calls,
        failed=failed,
        declared_dead=here.lost,
        timeout_of_300_ms_took=took,
    )
    assert [HOUR, -HOUR, 0.0] == [round(offset, -1) for offset in told]
    assert (0, 0) == (failed, here.lost)
    assert 0.3 <= took < 1.0
    assert ["w1"] == offering(caller)


async def _works(caller: Broker) -> bool:
    """Whether a call gets there, and one from there comes here."""
    nested = {"action": "here.rest", "params": {"seconds": 0.01}, "timeout": 2.0}
    try:
        return "rested" == await caller.call("work.relay", nested, timeout=2.0)
    except MoleculerError:
        return False
