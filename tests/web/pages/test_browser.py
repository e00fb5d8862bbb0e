"""The page in a real browser: it shows the API, asks nothing of other hosts, and has nothing to complain of."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.web.conftest import OpenDoor
from tests.web.pages.test_openapi import Users

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 45

browser = next(filter(None, map(shutil.which, BROWSERS)), None)


@pytest.mark.slow
@pytest.mark.skipif(browser is None, reason=f"needs a browser: one of {', '.join(BROWSERS)}")
async def test_the_page_shows_the_api_in_a_browser(door: OpenDoor, tmp_path: Path):
    at = await door(Users, routes=[{"autoAliases": True}], path="/api")

    shown, told = await opened(f"http://127.0.0.1:{at.port}/api/docs", tmp_path)

    for expected in ("/api/users/{id}", "users.create", "Rename"):
        assert expected in shown.replace("\u200b", "").replace("<wbr>", "")
    # The page's policy makes whatever it asks of another host a complaint, too.
    assert [] == [line for line in told.splitlines() if "CONSOLE" in line]


async def opened(url: str, folder: Path) -> tuple[str, str]:
    """The page as the browser has it after its scripts have run, and what the browser logged."""
    assert browser is not None
    process = await asyncio.create_subprocess_exec(
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder}",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--dump-dom",
        url,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SECONDS):
            shown, told = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return shown.decode(), told.decode(errors="replace")
