"""The page in a real browser: it shows the API, asks nothing of other hosts, and has nothing to complain of."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser import Browser, needs_browser
from tests.web.conftest import OpenDoor
from tests.web.pages.test_openapi import Users


@needs_browser
@pytest.mark.slow
async def test_the_page_shows_the_api_in_a_browser(door: OpenDoor, tmp_path: Path):
    at = await door(Users, routes=[{"autoAliases": True}], path="/api")

    async with Browser(tmp_path) as browser:
        page = await browser.open(f"http://127.0.0.1:{at.port}/api/docs")
        for expected in ("/api/users/{id}", "users.create", "Rename"):
            # Long words have places to be broken at.
            await page.until(f"document.body.textContent.replaceAll('\\u200b', '').includes('{expected}')")

        # The page's policy makes whatever it asks of another host a complaint, too.
        assert [] == page.complaints
        assert [] == [one for one in page.requests if not one.startswith((f"http://127.0.0.1:{at.port}/", "data:"))]
