"""The commands of blackgate's documentation, with nothing changed but the import line.

Its text has a comma for a colon in the configuration of a pool, which is no Python, and Tornado's coroutines, which need a loop
that is no more: these two are written as they are meant. Proxies are tried elsewhere.
"""

from __future__ import annotations

import http.server
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from tests.programs import Program

pytestmark = pytest.mark.slow

GET_CURRENT_USER = """
    from blackgate import Command

    class GetCurrentUser(Command):

        group_key = 'service.session'
        command_key = 'get_current_user'

        def __init__(self, cookie):
            self.cookie = cookie

        def run(self):
            resp = requests.get('http://session-service/session', headers={'Cookie': self.cookie}, timeout=1)
            return resp.json()['user_id']

        def fallback(self):
            return None
"""

SYNCHRONOUSLY = """
    get_current_user = GetCurrentUser(cookie='session=78b29404-92c9-49db-b87b-531b5f9cfc56')
    user_id = get_current_user.execute()
"""

ASYNCHRONOUSLY = """
    async def some_function():
        get_current_user = GetCurrentUser(cookie='session=78b29404-92c9-49db-b87b-531b5f9cfc56')
        user_id = await get_current_user.queue()
        print(user_id)
"""

POOL = """
    from blackgate import component
    component.add('executor_pool', {'group_key': 'service.session', 'max_workers': 10})
    # ...
    component.install()
"""

REQUESTS = """
    import json, urllib.request

    class requests:
        '''As much of the library as the sample asks for, with the address of the session service put in.'''

        @staticmethod
        def get(url, headers, timeout):
            asked = urllib.request.Request(url.replace('session-service', '{address}'), headers=headers)
            with urllib.request.urlopen(asked, timeout=timeout) as answer:
                body = answer.read()
            return type('Answer', (), {{'json': lambda self: json.loads(body)}})()
"""


class Session(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.headers["Cookie"] == "session=78b29404-92c9-49db-b87b-531b5f9cfc56"
        body = json.dumps({"user_id": 42} if known else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """Where the session service is."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Session) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        serving.join()


def run(folder: Path, address: str, *samples: str) -> list[str]:
    text = "\n".join(dedent(sample) for sample in samples).replace("from blackgate import", "from tautomer import")
    file = folder / "sample.py"
    file.write_text(dedent(REQUESTS).format(address=address) + text)
    with Program(sys.executable, "-W", "error", file, env={"PYTHONASYNCIODEBUG": ""}) as program:
        assert 0 == program.wait(), program.output
    return program.lines


def test_the_command_is_executed_synchronously(tmp_path: Path, address: str) -> None:
    assert ["42"] == run(tmp_path, address, GET_CURRENT_USER, POOL, SYNCHRONOUSLY, "print(user_id)")


def test_the_command_is_executed_asynchronously(tmp_path: Path, address: str) -> None:
    go = "import asyncio; asyncio.run(some_function())"

    assert ["42"] == run(tmp_path, address, GET_CURRENT_USER, POOL, ASYNCHRONOUSLY, go)


def test_the_fallback_answers_where_the_service_is_away(tmp_path: Path) -> None:
    events = "print(user_id, get_current_user.execution.events)"

    lines = run(tmp_path, "127.0.0.1:1", GET_CURRENT_USER, SYNCHRONOUSLY, events)

    assert ["None ['FAILURE', 'FALLBACK_SUCCESS']"] == lines


def test_its_pool_has_the_places_that_were_configured(tmp_path: Path, address: str) -> None:
    show = "print(component.statistics()['pools']['service.session']['max_workers'])"

    assert ["10"] == run(tmp_path, address, POOL, show)


def test_a_class_that_says_all_in_arguments_runs_too(tmp_path: Path, address: str) -> None:
    """The way that blackgate 0.1.1 itself reads."""
    arguments = "__command_args__ = {'group_key': 'service.session', 'command_key': 'get_current_user'}"
    other = GET_CURRENT_USER.replace("group_key = 'service.session'", arguments).replace(
        "        command_key = 'get_current_user'\n", ""
    )
    show = "print(user_id, list(component.statistics()['commands']))"

    assert ["42 ['get_current_user']"] == run(tmp_path, address, other, POOL, SYNCHRONOUSLY, show)
