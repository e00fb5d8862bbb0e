"""A contender's running process: started, asked, its CPU time and memory read, stopped."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

STOP_SECONDS = 5.0

# What a program answers to the driver begins so; anything else on its standard output is its own talk.
_ANSWER = b'{"bench":'


class ContenderFailed(Exception):
    """A contender did not start, died, gave no answer in time or a wrong one; ends with what it said last."""


class Program:
    """One contender in one role, as a process with a pipe each way.

    Every wait has a deadline. Use as a context manager, or call `stop`.
    """

    def __init__(self, command: list[str], env: Mapping[str, str]) -> None:
        self._talk = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop().
        self._buffer = b""
        self._last_line = b""
        self._hung = False
        # A session of its own, so that stopping reaches what it started, and Ctrl-C only us.
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._talk,
            start_new_session=True,
        )

    def answer(self, timeout: float) -> dict[str, Any]:
        """Wait for the next answer, `timeout` seconds at most.

        Raises:
            ContenderFailed: It ended, or the time is over.
        """
        assert self._process.stdout is not None
        end = time.monotonic() + timeout
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                if line.startswith(_ANSWER):
                    found: dict[str, Any] = json.loads(line)["bench"]
                    if "error" in found:
                        raise ContenderFailed("\n    ".join(str(found["error"]).strip().splitlines()[-12:]))
                    return found
                self._last_line = line
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                self._hung = True
                raise self.failure(f"no answer in {timeout:g} s")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                self._process.wait(STOP_SECONDS)
                raise self.failure(f"ended with status {self._process.returncode}")
            self._buffer += chunk

    def ask(self, command: Mapping[str, object], timeout: float) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Raises:
            ContenderFailed: See `answer`.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # It ended; the wait for the answer says so, and with which status.
        return self.answer(timeout)

    @property
    def usable(self) -> bool:
        """It runs, and owes no answer that came too late."""
        return not self._hung and self._process.poll() is None

    def failure(self, what: str) -> ContenderFailed:
        """An error that carries the end of what the process said."""
        self._talk.seek(0)
        tail = self._talk.read()[-2000:].decode(errors="replace").strip().splitlines()[-12:]
        if not tail and self._last_line:
            tail = [self._last_line.decode(errors="replace")]
        return ContenderFailed("\n    ".join([what, *tail]))

    def cpu_seconds(self) -> float:
        """User and system time that the whole process tree has used so far, all threads."""
        return sum(_cpu_seconds(pid) for pid in _tree(self._process.pid))

    def rss_bytes(self) -> int:
        """Resident memory of the whole process tree."""
        return sum(_rss_bytes(pid) for pid in _tree(self._process.pid))

    def begin_stop(self) -> None:
        """Tell it to stop: the end of its standard input is the word."""
        if self._process.stdin is not None:
            try:
                self._process.stdin.close()
            except BrokenPipeError:
                pass

    def stop(self) -> None:
        """Stop it, by force if it must be. Twice is harmless."""
        self.begin_stop()
        for word in (None, signal.SIGTERM, signal.SIGKILL):
            if word is not None:
                try:
                    os.killpg(self._process.pid, word)
                except ProcessLookupError:
                    pass
            try:
                self._process.wait(STOP_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._talk.close()


def stop_all(programs: Iterable[Program]) -> None:
    """Stop them side by side, so that the slowest sets the time and not the sum."""
    programs = list(programs)
    for program in programs:
        program.begin_stop()
    for program in programs:
        program.stop()


def spent_seconds(command: list[str], env: Mapping[str, str]) -> float:
    """Run a command to its end; the user and system time that it took.

    Raises:
        ContenderFailed: It failed, or takes longer than 30 s.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        subprocess.run(command, env={**os.environ, **env}, check=True, capture_output=True, timeout=30)
    except subprocess.TimeoutExpired as exc:
        raise ContenderFailed("took longer than 30 s") from exc
    except subprocess.CalledProcessError as exc:
        tail = exc.stderr.decode(errors="replace").strip().splitlines()[-12:]
        raise ContenderFailed("\n    ".join([f"ended with status {exc.returncode}", *tail])) from exc
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _tree(root: int) -> list[int]:
    """A process and all that descend from it, as far as they run now."""
    pids = [root]
    for pid in pids:  # Grows while it is walked.
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                pids += map(int, children.read_text().split())
            except (FileNotFoundError, ProcessLookupError):
                continue  # A thread that has just ended.
    return pids


def _cpu_seconds(pid: int) -> float:
    # The clock of another process, as clock_getcpuclockid(3) makes its number: user and system time of all its
    # threads, in nanoseconds. /proc/<pid>/stat tells the same in ticks of 10 ms, too coarse for short windows.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
