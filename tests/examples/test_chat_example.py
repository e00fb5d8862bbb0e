"""The chat of examples/chat, as a newcomer runs it, and in real browsers."""

from __future__ import annotations

import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser import Browser, Page, needs_browser
from tests.programs import Program
from tests.servers import NatsServer
from tests.web.sockets.chat import open_client

from .test_shop import free_port, listens

FOLDER = Path(__file__).parents[2] / "examples" / "chat"
COMMAND = (sys.executable, "-m", "tautomer", "run", FOLDER / "chat.py", FOLDER / "gateway.py")

# Messages that the page keeps while it is away.
KEPT = 20

pytestmark = [pytest.mark.slow, pytest.mark.server]


class Gateway:
    """One gateway with its chat, in a process that may be started again."""

    def __init__(self, name: str, nats: str, stack: ExitStack) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._name = name
        self._nats = nats
        self._stack = stack
        self.program: Program
        self.start()

    def start(self) -> None:
        self.program = self._stack.enter_context(
            Program(
                *COMMAND, "-b", self._name, "-t", self._nats, env={"PORT": str(self.port), "CHAT_TOKENS": "s3cret=Bob"}
            )
        )

    def wait(self) -> None:
        self.program.wait_for("node started")


@pytest.fixture
def gateways() -> Iterator[tuple[Gateway, Gateway]]:
    """Two, in one mesh."""
    with ExitStack() as stack:
        nats = stack.enter_context(NatsServer()).url
        made = Gateway("left", nats, stack), Gateway("right", nats, stack)
        for gateway in made:
            gateway.wait()
        yield made


# --- pages ---


async def join(browser: Browser, url: str, name: str) -> Page:
    """A page whose reader has entered the lobby, by the keyboard alone."""
    page = await browser.open(url)
    await page.until("document.activeElement.id === 'name'")
    await page.write(name)
    await page.press("Enter")
    await page.until("document.activeElement.id === 'text'")
    return page


async def say(page: Page, text: str) -> None:
    await page.until("document.activeElement.id === 'text'")
    await page.write(text)
    await page.press("Enter")


async def until_members(page: Page, *names: str) -> None:
    listed = "[...document.querySelectorAll('#members .name')].map((one) => one.textContent)"
    await page.until(f"JSON.stringify({listed}.sort()) === JSON.stringify({sorted(names)!r})")


async def until_said(page: Page, *texts: str) -> None:
    """These and no others, in this order, and none of them waits."""
    said = "[...document.querySelectorAll('#messages li:not([data-state]) .text')].map((one) => one.textContent)"
    await page.until(f"JSON.stringify({said}) === JSON.stringify({list(texts)!r})")


async def line_is(page: Page, state: str) -> None:
    await page.until(f"document.getElementById('line').dataset.state === '{state}'")


@needs_browser
async def test_two_pages_at_two_gateways_share_a_room_and_outlive_one_of_them(
    gateways: tuple[Gateway, Gateway], tmp_path: Path
) -> None:
    left, right = gateways
    async with Browser(tmp_path) as browser:
        ann = await join(browser, left.url, "Ann <b>bold</b>")
        bob = await join(browser, right.url, "Bob")
        for page in (ann, bob):
            await until_members(page, "Ann <b>bold</b>", "Bob")

        await say(ann, "<img src=x onerror=alert(1)>")
        await until_said(bob, "<img src=x onerror=alert(1)>")
        assert "Ann <b>bold</b>" == await bob.evaluate("document.querySelector('.theirs .name').textContent")
        await say(bob, "seen")
        await until_said(ann, "<img src=x onerror=alert(1)>", "seen")
        for page in (ann, bob):
            assert 0 == await page.evaluate("document.querySelectorAll('main b, main img').length")

        # Killed, so that nobody says goodbye for Bob.
        right.program.end(signal.SIGKILL)
        await line_is(bob, "waiting")
        written = [f"written while away, {number}" for number in range(KEPT)]
        for text in written:
            await say(bob, text)
        await say(bob, "one too many")
        await bob.until("document.getElementById('refusal').textContent.includes('not taken')")
        assert "one too many" == await bob.evaluate("document.getElementById('text').value")
        assert KEPT == await bob.evaluate("document.querySelectorAll('#messages li[data-state=waiting]').length")
        await say(ann, "are you there?")
        await until_said(ann, "<img src=x onerror=alert(1)>", "seen", "are you there?")
        right.start()
        await line_is(bob, "open")

        everything = ("<img src=x onerror=alert(1)>", "seen", "are you there?", *written)
        for page in (bob, ann):
            await until_said(page, *everything)
            await until_members(page, "Ann <b>bold</b>", "Bob")
            assert [] == page.complaints
        await bob.evaluate("document.getElementById('leave').click()")
        await until_members(ann, "Ann <b>bold</b>")
        for page, gateway in ((ann, left), (bob, right)):
            host = f"127.0.0.1:{gateway.port}/"
            assert [] == [
                url for url in page.requests if url.partition("://")[2].partition("?")[0][: len(host)] != host
            ]


@needs_browser
async def test_the_page_says_what_is_refused_and_why(gateways: tuple[Gateway, Gateway], tmp_path: Path) -> None:
    left, right = gateways
    async with Browser(tmp_path) as browser:
        known = await browser.open(f"{left.url}#token=s3cret&room=cellar")
        await known.until("document.activeElement.id === 'room'")
        await known.press("Enter")
        await known.until("document.querySelector('#members .known')?.textContent === 'Bob'")
        assert "cellar" == await known.evaluate("document.getElementById('title').textContent")

        await known.evaluate("document.getElementById('text').value = 'x'.repeat(1001)")
        await known.press("Enter")
        refused = "document.querySelector('#messages [data-state=refused] .fate')"
        await known.until(f"{refused}?.textContent.includes('1000 characters')")
        # Its button sends it again: it waits, and is told the same.
        await known.evaluate(f"{refused}.querySelector('button').click()")
        await known.until(f"{refused}?.textContent.includes('1000 characters')")

        stranger = await browser.open(f"{right.url}#token=wrong")
        await stranger.until("document.activeElement.id === 'room'")
        await stranger.press("Enter")
        await stranger.until("document.getElementById('problem').textContent.includes('token')")

        hidden = await browser.open(right.url)
        await hidden.until("document.activeElement.id === 'name'")
        await hidden.write("\u202eanna")
        await hidden.press("Enter")
        await hidden.until("document.getElementById('problem').textContent === 'a name is made of what can be seen'")
        for page in (known, stranger, hidden):
            assert [] == page.complaints


# --- without a message broker ---


@pytest.mark.parametrize("services", [[FOLDER / "chat.py", FOLDER / "gateway.py"], [FOLDER]])
async def test_one_process_is_enough(services: list[Path]) -> None:
    port = free_port()
    with Program(sys.executable, "-m", "tautomer", "run", *services, env={"PORT": str(port)}) as node:
        node.wait_for("node started")
        async with open_client("127.0.0.1", port) as ann, open_client("127.0.0.1", port) as bob:
            told = await ann.call("join", room="Lobby", name=" Ann ")
            await bob.call("join", room="lobby", name="Bob")
            await ann.call("say", room="lobby", text="hello")
            heard = await bob.event("said")
            refused = await bob.call("say", room="cellar", text="x")
        assert 0 == node.end()

    assert {"id": ann.socket_id, "name": "Ann", "known": False} == told["data"]["me"] == heard["from"]
    assert ("hello", "NOT_IN_ROOM") == (heard["text"], refused["error"]["type"])
    assert not [line for line in node.lines if "WARNING" in line or "ERROR" in line]


# --- the demo ---


def test_the_demo_checks_itself(tmp_path: Path) -> None:
    with Program(sys.executable, "-W", "error", FOLDER / "demo.py", "--check", cwd=tmp_path) as demo:
        assert 0 == demo.wait(50)

    assert "demo: all is well" == demo.lines[-1]
    assert 15 == sum(line.startswith("  ok   ") for line in demo.lines), demo.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_demo_and_all_that_it_started(number: signal.Signals) -> None:
    with Program(FOLDER / "demo.py") as demo:
        demo.wait_for("Ctrl-C stops everything.", 50)
        ports = sorted(set(re.findall(r"http://(127\.0\.0\.1:\d+)/", demo.output)))
        assert [True, True] == [listens(port) for port in ports]

        assert 0 == demo.end(number)

    assert [False, False] == [listens(port) for port in ports]
    assert "Traceback" not in demo.output


def test_a_port_that_is_taken_ends_the_demo_and_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Program(FOLDER / "demo.py", "--ports", str(free_port()), str(port)) as demo:
            assert 1 == demo.wait(50)

    assert "right ended by itself" in demo.output
    assert f"port {port} on 127.0.0.1 is already in use" in demo.output
