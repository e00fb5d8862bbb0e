"""A headless Chromium, driven by its DevTools protocol: pages are typed into and looked at, and tell what they complain of."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 30.0
LOOK_SECONDS = 0.02

PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)

# Also where CI=true: a browser is no part of what the product needs.
needs_browser = pytest.mark.skipif(PROGRAM is None, reason=f"needs a browser: one of {', '.join(NAMES)}")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-sync",
    "--disable-component-update",
    "--disable-background-networking",
    # Of several pages all but one are in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
)


class Browser:
    """One browser. Every wait is bounded.

    Args:
        folder: An empty one, for all that it keeps.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._line: ClientConnection | None = None
        self._count = 0
        self._pages: dict[str, Page] = {}

    async def __aenter__(self) -> Browser:
        assert PROGRAM is not None
        self._process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *FLAGS,
            f"--user-data-dir={self._folder}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(SECONDS):
                port, path = await self._address()
                self._line = await connect(
                    f"ws://127.0.0.1:{port}{path}", proxy=None, max_size=None, max_queue=None, ping_interval=None
                )
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def _address(self) -> list[str]:
        """Port and path at which it is driven; it writes them down as soon as it listens."""
        file = self._folder / "DevToolsActivePort"
        while True:
            lines = file.read_text().splitlines() if file.exists() else []
            if len(lines) == 2:
                return lines
            assert self._process is not None
            assert self._process.returncode is None, "the browser ended"
            await asyncio.sleep(LOOK_SECONDS)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._line is not None:
            await self._line.close()
        if self._process is not None:
            # It has many, and nothing of them is to be kept.
            os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()

    async def open(self, url: str) -> Page:
        """A page that shares nothing with the others."""
        context = (await self.command("Target.createBrowserContext"))["browserContextId"]
        made = await self.command("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await self.command("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        page = self._pages[attached["sessionId"]] = Page(self, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await page.command(f"{domain}.enable")
        await page.command("Emulation.setFocusEmulationEnabled", enabled=True)
        await page.command("Page.navigate", url=url)
        await page.until("document.readyState === 'complete' && location.href !== 'about:blank'")
        return page

    async def command(self, method: str, session: str | None = None, **params: Any) -> Any:
        """What the browser answers. What it tells meanwhile goes to its pages.

        Raises:
            RuntimeError: It says that this cannot be.
        """
        assert self._line is not None
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        await self._line.send(json.dumps(message if session is None else {**message, "sessionId": session}))
        async with asyncio.timeout(SECONDS):
            while True:
                told = json.loads(await self._line.recv())
                if told.get("id") == self._count:
                    break
                if told.get("sessionId") in self._pages:
                    self._pages[told["sessionId"]].on_event(told["method"], told["params"])
        if "error" in told:
            raise RuntimeError(f"{method}: {told['error']['message']}")
        return told["result"]


class Page:
    """One page of a browser.

    Attributes:
        requests: URLs of all that it asked for.
        complaints: Errors of its scripts, and what its policy forbade.
    """

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser = browser
        self._session = session
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def command(self, method: str, **params: Any) -> Any:
        return await self._browser.command(method, self._session, **params)

    def on_event(self, method: str, params: Any) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"]))
        # A server that is away is the network's complaint and not the page's.
        elif method == "Log.entryAdded" and params["entry"]["source"] != "network":
            self.complaints.append(params["entry"]["text"])

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression, awaited if it is a promise.

        Raises:
            RuntimeError: It raised something.
        """
        told = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise RuntimeError(f"{expression}: {told['exceptionDetails']['exception'].get('description')}")
        return told["result"].get("value")

    async def until(self, expression: str, seconds: float = SECONDS) -> None:
        """Wait until an expression is truthy."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.evaluate(f"Boolean({expression})"):
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            shown = await self.evaluate("document.body.innerText")
            raise AssertionError(f"not so in {seconds:g} s: {expression}\nthe page shows:\n{shown}") from None

    async def write(self, text: str) -> None:
        """Text, into what has the focus."""
        await self.command("Input.insertText", text=text)

    async def press(self, key: str) -> None:
        """A key, in what has the focus."""
        told = {"key": key, "code": key}
        if key == "Enter":
            told |= {"text": "\r", "windowsVirtualKeyCode": 13}  # type: ignore[dict-item]
        elif key == "Tab":
            told |= {"windowsVirtualKeyCode": 9}  # type: ignore[dict-item]
        await self.command("Input.dispatchKeyEvent", type="keyDown", **told)
        await self.command("Input.dispatchKeyEvent", type="keyUp", **{**told, "text": ""})

    async def picture(self) -> bytes:
        """What it looks like, as PNG: for whoever writes a test."""
        return base64.b64decode((await self.command("Page.captureScreenshot", format="png"))["data"])
