"""A child process that is spoken with by lines of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any, Self

START_SECONDS = 20.0
STOP_SECONDS = 5.0
LINE_BYTES_MAX = 16 * 1024 * 1024


class ProgramFailed(Exception):
    """It did not start, ended, or did not answer in time; with the end of what it said."""


class Program:
    """One child process. `ready` lines, replies and heard events come as lines on its standard output.

    Belongs to the event loop that started it. Every wait has a deadline.

    Attributes:
        label: Its name in error messages.
        ready: What it said when it was ready.
        heard: The events it told of, in order.
    """

    def __init__(self, label: str, process: asyncio.subprocess.Process, talk: Any) -> None:
        self.label = label
        self.ready: dict[str, Any] = {}
        self.heard: list[dict[str, Any]] = []
        self._process = process
        self._talk = talk
        self._replies: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = count(1)
        self._last_words = ""
        self._is_ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(), name=f"read {label}")

    @classmethod
    async def start(cls, label: str, command: Sequence[str], cwd: Path | None = None) -> Self:
        """Start it (in `cwd`), and return once it says that it is ready.

        Raises:
            ProgramFailed: It does not become ready within 20 s.
        """
        talk = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close().
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=talk,
            cwd=cwd,
            limit=LINE_BYTES_MAX,
        )
        program = cls(label, process, talk)
        try:
            async with asyncio.timeout(START_SECONDS):
                program.ready = await program._is_ready
        except BaseException as error:
            failure = program._failure("was not ready in time")
            await program.close()
            if isinstance(error, TimeoutError):
                raise failure from error
            raise
        return program

    async def ask(self, op: str, timeout: float = 10.0, **fields: Any) -> dict[str, Any]:
        """Send a command; its reply, whatever it says.

        Raises:
            ProgramFailed: No reply within `timeout` seconds.
        """
        number = next(self._ids)
        reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        assert self._process.stdin is not None
        try:
            async with asyncio.timeout(timeout):
                self._process.stdin.write(json.dumps({"id": number, "op": op, **fields}).encode() + b"\n")
                await self._process.stdin.drain()
                return await reply
        except (TimeoutError, ConnectionError) as error:
            raise self._failure(f"did not answer {op} in {timeout:g} s") from error
        finally:
            del self._replies[number]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and do not wait."""
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash would."""
        await self._end(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def terminate(self) -> None:
        """Ask it to leave in good order, and wait until it has."""
        await self._end(signal.SIGTERM)

    async def close(self) -> None:
        """End it, by force if it must be, and let go of its pipes. Twice is harmless."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._end(None)
        await self._reader
        self._talk.close()

    @property
    def exit_code(self) -> int | None:
        """None while it runs; below 0, the signal that ended it."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def _end(self, number: signal.Signals | None) -> None:
        """Wait for its end after this signal; after a while, with force."""
        if number is not None and self.running:
            self._process.send_signal(number)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = json.loads(line)
            if "reply" in said:
                waiting = self._replies.get(said["reply"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(said)
            elif "heard" in said:
                self.heard.append(said["heard"])
            elif "ready" in said and not self._is_ready.done():
                self._is_ready.set_result(said)
            else:
                self._last_words = line.decode(errors="replace")
        failure = self._failure("ended")
        for waiting in (self._is_ready, *self._replies.values()):
            if not waiting.done():
                waiting.set_exception(failure)
                waiting.exception()  # Seen: nobody may be waiting any more.

    def _failure(self, what: str) -> ProgramFailed:
        self._talk.seek(0, os.SEEK_END)
        self._talk.seek(max(0, self._talk.tell() - 4000))
        tail = self._talk.read().decode(errors="replace").strip()
        return ProgramFailed(f"{self.label} {what}; it said last:\n{self._last_words}{tail}")
