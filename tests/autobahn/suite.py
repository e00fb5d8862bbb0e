"""Autobahn's WebSocket test suite: fetched, converted and installed once, into a folder of the user's cache.

The suite is Python 2. Its cases and its fuzzing client are made into Python 3 (`conversion.py`) and run on today's
autobahn and Twisted, in an environment of their own, by `fuzzer.py`. Nothing of it is part of this project.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CONVERSION, FUZZER = HERE / "conversion.py", HERE / "fuzzer.py"
LIBRARIES = ("autobahn==26.10.2", "twisted==26.10.0", "fissix==24.4.24")
VERSION = "25.10.1"
# What the package index has to give: the conversion is made for this very text.
SHA256 = "b083d6e15330fc16f3e5f0975cce2b15f21bfa0c6db09547316b1852c6dbd6df"
INSTALL_SECONDS = 300
AGENT = "tautomer"


class SuiteMissing(Exception):
    """The packages cannot be had; the text says why."""


@functools.cache
def outcome() -> Path | SuiteMissing:
    """Folder of the suite, ready to run; or why there is none. Asked once in a process.

    Raises:
        RuntimeError: The packages are there, and the suite is another than the one that is known, or does not convert.
    """
    folder = _cache() / f"autobahn-{_wanted()}"
    folder.mkdir(parents=True, exist_ok=True)
    with Path(folder, "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Test workers side by side must not install into one folder.
        ready = folder / "ready"
        if not ready.exists():
            try:
                _install(folder)
            except SuiteMissing as missing:
                return missing
            ready.touch()
    return folder


def need() -> Path:
    """As `outcome`, for fixtures: where the packages cannot be had, the test is skipped."""
    found = outcome()
    if isinstance(found, SuiteMissing):
        pytest.skip(str(found))
    return found


async def run(url: str, *cases: str, seconds: float = 50.0) -> dict[str, Any]:
    """Run cases against a server. Returns the suite's records of them, by id.

    Args:
        cases: Ids, and patterns such as ``"9.*"``.
        seconds: How long all of it may take.

    Raises:
        RuntimeError: The client did not come to its end; the text ends with what it said.
    """
    folder = need()
    with tempfile.TemporaryDirectory(prefix="autobahn-") as name:
        reports, said = Path(name, "reports"), Path(name, "said")
        program = [str(folder / "bin" / "python"), str(FUZZER), url, str(reports), *cases]
        # Where the converted package is.
        variables = {**os.environ, "PYTHONPATH": str(folder)}
        with said.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                *program, stdout=out, stderr=asyncio.subprocess.STDOUT, env=variables
            )
        try:
            async with asyncio.timeout(seconds):
                status = await process.wait()
        except TimeoutError:
            raise RuntimeError(f"the fuzzing client was not done in {seconds:g} s:\n{_tail(said)}") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if status:
            raise RuntimeError(f"the fuzzing client ended with {status}:\n{_tail(said)}")
        index = json.loads((reports / "index.json").read_text())[AGENT]
        return {case: json.loads((reports / entry["reportfile"]).read_text()) for case, entry in index.items()}


def _tail(file: Path) -> str:
    return file.read_text(errors="replace")[-4000:]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "tautomer-tests")


def _wanted() -> str:
    parts = (CONVERSION.read_text("utf-8"), *LIBRARIES, SHA256, sys.version, sys.base_prefix)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _install(folder: Path) -> None:
    shutil.rmtree(folder / "lib", ignore_errors=True)  # Of an attempt that came to no end.
    python = str(folder / "bin" / "python")
    _fetch(sys.executable, "-m", "venv", str(folder))
    pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "--retries", "2", "--timeout", "30")
    _fetch(*pip, "install", *LIBRARIES)
    with tempfile.TemporaryDirectory(prefix="autobahn-") as name:
        source = ("--no-deps", "--no-binary", "autobahntestsuite", "--dest", name)
        _fetch(*pip, "download", *source, f"autobahntestsuite=={VERSION}")
        archive = next(Path(name).glob("*.tar.gz"))
        if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
            raise RuntimeError(f"{archive.name} is not the one that the conversion is made for")
        with tarfile.open(archive) as packed:
            packed.extractall(name, filter="data")
        unpacked = Path(name, f"autobahntestsuite-{VERSION}", "autobahntestsuite")
        converted = subprocess.run(
            [python, str(CONVERSION), str(unpacked), str(folder)],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    if converted.returncode:
        raise RuntimeError(f"the suite does not convert: {converted.stderr[-2000:]}")


def _fetch(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise SuiteMissing(f"Autobahn's test suite was not installed in {INSTALL_SECONDS} s") from late
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise SuiteMissing(f"Autobahn's test suite cannot be had from the package index: {' '.join(last)}")
