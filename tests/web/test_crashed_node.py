"""A gateway whose only node for an action was killed."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tautomer import Broker, Settings
from tests.programs import Program
from tests.servers import NatsServer
from tests.web.door import open_door

WORKER = """
    import asyncio, os, sys
    from tautomer import Broker, Service, Settings, action

    class Far(Service):
        name = "far"

        @action
        def hello(self, ctx):
            return "hello"

    async def main():
        broker = Broker("worker", Settings(transporter=sys.argv[1]))
        await broker.register(Far())
        await broker.start()
        print("ready", flush=True)
        await broker.wait_for_shutdown()

    asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.parametrize("hook", [None, lambda ctx, route, request: None])
async def test_the_first_request_after_the_crash_is_told_what_the_next_ones_are(tmp_path: Path, hook):
    file = tmp_path / "worker.py"
    file.write_text(dedent(WORKER))
    with NatsServer() as server, Program(sys.executable, file, server.url) as worker:
        worker.wait_for("ready")
        broker = Broker("gateway", Settings(transporter=server.url))
        at = await open_door(broker=broker, routes=[{"aliases": {"GET /x": "far.hello"}, "onBeforeCall": hook}])
        try:
            await broker.wait_for_services("far", timeout=10)
            assert 200 == (await at.get("/x")).status

            await asyncio.to_thread(worker.end, signal.SIGKILL)
            seen = [await at.get("/x") for _ in range(3)]
        finally:
            await broker.stop()

    assert [(503, "SERVICE_UNAVAILABLE")] * 3 == [(answer.status, answer.type) for answer in seen]
