"""Five thousand sockets on one gateway: what each costs, and what a broadcast to all costs."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from tests.web.sockets.test_line import handshake

SOCKETS = 5_000
BYTES_EACH = 25_000
BROADCAST_CPU = 0.150
WAIT = 120.0


class Crowded:
    """The gateway's process, and the clients' ends."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[socket.socket] = []

    async def ask(self, what: str) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what}\n".encode())
        async with asyncio.timeout(WAIT):
            return float(await self._process.stdout.readline())

    async def connect(self, port: int, count: int) -> None:
        """More clients; each reads its welcome."""
        loop = asyncio.get_running_loop()

        async def one() -> None:
            line = socket.socket()
            line.setblocking(False)
            self.lines.append(line)
            await loop.sock_connect(line, ("127.0.0.1", port))
            await loop.sock_sendall(line, handshake())
            told = b""
            while not told.endswith(b'"}}'):
                told += await loop.sock_recv(line, 4096)

        for _ in range(0, count, 100):
            async with asyncio.timeout(WAIT):
                await asyncio.gather(*(one() for _ in range(100)))

    async def close(self) -> None:
        for line in self.lines:
            line.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(WAIT):
            await self._process.wait()


@pytest.fixture
async def crowded() -> AsyncIterator[tuple[Crowded, int]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2 * SOCKETS:
        pytest.skip(f"needs {2 * SOCKETS} open files; this machine allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.web.sockets.crowd",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert process.stdout is not None
    async with asyncio.timeout(WAIT):
        port = int(await process.stdout.readline())
    made = Crowded(process)
    yield made, port
    await made.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.full
@pytest.mark.timeout(300)
async def test_five_thousand_sockets_cost_little(crowded: tuple[Crowded, int]):
    crowd, port = crowded
    await crowd.connect(port, 100)  # What is made once is there.
    before = await crowd.ask("memory")

    await crowd.connect(port, SOCKETS)
    each = (await crowd.ask("memory") - before) / SOCKETS
    seconds = [await crowd.ask("broadcast") for _ in range(5)]
    print(
        f"{each:.0f} bytes each, a broadcast to {SOCKETS + 100}: {min(seconds) * 1000:.0f} ms CPU at best of {seconds}"
    )

    assert SOCKETS + 100 == await crowd.ask("open")
    assert each <= BYTES_EACH
    assert min(seconds) <= BROADCAST_CPU
