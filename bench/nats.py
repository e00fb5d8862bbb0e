"""A NATS server of our own on a free port, gone when the run is over."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from bench.processes import ContenderFailed

START_SECONDS = 10.0


class NatsServer:
    """One server process. Each contender gets its own, so that no two of them form one mesh."""

    def __init__(self, executable: str) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="tautomer-bench-")
        command = [executable, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", self._directory.name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def url(self) -> str:
        """Where it listens; waits until it does.

        Raises:
            ContenderFailed: It ended, or does not listen after 10 s.
        """
        ports = Path(self._directory.name) / f"nats-server_{self._process.pid}.ports"
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            try:
                found: str = json.loads(ports.read_text())["nats"][0]
            except (FileNotFoundError, ValueError):
                time.sleep(0.02)  # Not there yet, or not yet whole.
            else:
                return found
        raise ContenderFailed(f"nats-server did not listen within {START_SECONDS:g} s (status {self._process.poll()})")

    def __enter__(self) -> NatsServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._directory.cleanup()
