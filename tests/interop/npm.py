"""What npm brings: Moleculer 0.14 and 0.15, and a Node.js that both of them run on. Installed once."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MODULES = HERE / "node_modules"
STAMP = MODULES / "tautomer-installed"
INSTALL_SECONDS = 300
NODE_VERSION = 22


class NodeMissing(Exception):
    """There is no Node.js, or the packages cannot be had; the text says what and why."""


@functools.cache
def outcome() -> str | NodeMissing:
    """Path of the Node.js to run, the packages installed; or why there is none. Asked once in a process."""
    try:
        _install()
        return _node()
    except NodeMissing as missing:
        return missing


def need() -> str:
    """As `outcome`, for fixtures: without Node.js the test is skipped, and fails where ``CI`` is ``true``."""
    found = outcome()
    if isinstance(found, str):
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(str(found))
    pytest.skip(str(found))


def _install() -> None:
    """Run `npm ci`, unless what is installed is what the lock says."""
    with (HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Test workers side by side must not install into one folder.
        if STAMP.exists() and STAMP.read_text() == _wanted():
            return
        npm = shutil.which("npm")
        if npm is None:
            raise NodeMissing("needs Node.js with npm")
        # The lock carries hashes but no addresses, so that any registry will do.
        command = [npm, "ci", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"]
        try:
            done = subprocess.run(
                command, cwd=HERE, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
            )
        except subprocess.TimeoutExpired as late:
            raise NodeMissing(f"npm ci was not done in {INSTALL_SECONDS} s") from late
        if done.returncode:
            tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
            raise NodeMissing(f"npm ci failed: {tail}")
        STAMP.write_text(_wanted())


def _wanted() -> str:
    files = [HERE / "package.json", HERE / "package-lock.json"]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _node() -> str:
    """The binary that npm brought; on another platform than its own, the machine's."""
    brought = MODULES / f"node{NODE_VERSION}" / "bin" / "node"
    node = str(brought) if os.access(brought, os.X_OK) else shutil.which("node")
    if node is None:
        raise NodeMissing("npm brought no Node.js for this platform, and the machine has none")
    return node
