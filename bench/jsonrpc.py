"""What a call by JSON-RPC costs, beside the same action behind a plain alias and beside gemstone: `python -m bench.jsonrpc`.

CPU time of the server for each request, 50 connections of wrk, windows in turns. gemstone 0.3.1 and its Tornado need a Python 3.6
(``BENCH_PYTHON36``, or pyenv's); where there is none it is left out.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from bench.load import _read_wrk
from bench.peers import INSTALLED, Missing, load_generator
from bench.processes import ContenderFailed, Program, stop_all

PROGRAMS = Path(__file__).parent / "contenders" / "python"
GEMSTONE = ["gemstone==0.3.1", "tornado==4.5.3", "click==7.1.2"]
ROUNDS = 7
WINDOW = 1.0

PARAMS = {"name": "world"}
CALL = {"jsonrpc": "2.0", "method": "hello", "params": PARAMS, "id": 1}
SCRIPT = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{body}]]
"""


@dataclass
class Door:
    """One row: what is asked of which program."""

    title: str
    program: Program
    url: str
    body: object
    expected: object

    def wait(self) -> None:
        """Until it answers, and rightly."""
        until = time.monotonic() + 20
        while True:
            try:
                found = self._ask()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
                continue
            if found != self.expected:
                raise ContenderFailed(f"{self.title} gives {found}, not {self.expected}")
            return

    def _ask(self) -> object:
        request = urllib.request.Request(self.url, json.dumps(self.body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            told = json.load(answer)
        return told["result"] if isinstance(told, dict) else told

    def cost(self, wrk: str, seconds: float) -> float:
        """CPU-µs for a request, over one window."""
        script = INSTALLED / "rpc.lua"
        script.write_text(SCRIPT.replace("{body}", json.dumps(self.body)))
        before = self.program.cpu_seconds()
        command = [wrk, "-c", "50", "-t", "1", "-d", f"{seconds:g}s", "-s", str(script), self.url]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
        return (self.program.cpu_seconds() - before) / _read_wrk(text, 200).requests * 1e6


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def gemstone_python() -> str:
    """An interpreter that has gemstone.

    Raises:
        Missing: There is none.
    """
    target = INSTALLED / "gemstone"
    python = target / "bin" / "python"
    if not python.exists():
        known = sorted(Path.home().glob(".pyenv/versions/3.6.*/bin/python3.6"))
        base = os.environ.get("BENCH_PYTHON36") or (str(known[-1]) if known else None)
        if base is None:
            raise Missing("gemstone needs a Python 3.6 (BENCH_PYTHON36 may name one)")
        try:
            subprocess.run([base, "-m", "venv", str(target)], check=True, capture_output=True, timeout=120)
            install = [str(python), "-m", "pip", "install", "-q", *GEMSTONE]
            subprocess.run(install, check=True, capture_output=True, timeout=300)
        except subprocess.SubprocessError as error:
            raise Missing(f"gemstone cannot be installed: {error}") from error
    return str(python)


def main() -> int:
    INSTALLED.mkdir(exist_ok=True)
    wrk = load_generator("wrk")
    port = free_port()
    ours = Program([sys.executable, str(PROGRAMS / "rpc_program.py"), str(port)], {})
    doors = [
        Door("plain alias", ours, f"http://127.0.0.1:{port}/plain/hello", PARAMS, "hello world"),
        Door("JSON-RPC", ours, f"http://127.0.0.1:{port}/rpc", CALL, "hello world"),
        Door(
            "JSON-RPC, def in a thread",
            ours,
            f"http://127.0.0.1:{port}/rpc",
            {**CALL, "method": "blocking"},
            "hello world",
        ),
    ]
    programs = [ours]
    try:
        port = free_port()
        old = Program([gemstone_python(), str(PROGRAMS / "gemstone_program.py"), str(port)], {})
        programs.append(old)
        doors.append(Door("gemstone 0.3.1", old, f"http://127.0.0.1:{port}/api", CALL, "hello world"))
    except Missing as missing:
        print(f"without gemstone: {missing}", file=sys.stderr)
    try:
        for door in doors:
            door.wait()
            door.cost(wrk, WINDOW)
        costs = [[door.cost(wrk, WINDOW) for door in doors] for _ in range(ROUNDS)]
    finally:
        stop_all(programs)
    for index, door in enumerate(doors):
        cost = statistics.median(row[index] for row in costs)
        beside = statistics.median(row[index] / row[0] for row in costs)
        rpc = statistics.median(row[index] / row[1] for row in costs)
        print(f"{door.title:28} {cost:8.1f} CPU-µs   {beside:6.2f} x plain alias   {rpc:6.2f} x JSON-RPC")
    return 0


if __name__ == "__main__":
    sys.exit(main())
