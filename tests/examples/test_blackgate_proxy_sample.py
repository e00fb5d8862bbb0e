"""The proxy of blackgate's own document, with nothing changed but its import lines.

`intra.service.com` is a name that this machine does not know, so the samples run where it stands for a server of the test's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from textwrap import dedent
from threading import Thread

import pytest

from tests.programs import Program

pytestmark = pytest.mark.slow

# "Route User Request to Inner Service"
SERVICE = """
    import json
    from blackgate import HTTPProxyCommand

    class APIService(HTTPProxyCommand):

        group_key = 'api.v1'

        command_key = 'proxy_v1_traffic'

        def before_request(self):
            path = self.request['path'].replace('/api', '')
            self.request['url'] = 'http://intra.service.com' + path

        def fallback(self):
            return dict(
                status_code=500,
                reason='Internal Server Error',
                headers={},
                content=json.dumps({
                    'code': 500,
                    'message': 'internal server error',
                    'error': {}
                })
            )
"""

# "Configure Blackgate Component". The document calls the class by two names, and mounts it by Tornado's `Application`, of
# which blackgate's handler was one: here both come from the same place.
MOUNT = """
    from blackgate import component
    from blackgate import Application, HTTPProxy
    component.add('executor_pool', {'group_key': 'api.v1', 'max_workers': 10})
    component.install()
    APIV1Command = APIService
    app = Application([
      (r'/api/v1/(.*)', HTTPProxy, dict(command=APIV1Command)),
    ])
    app.listen(PORT)
"""

# What the name stands for, and on which port: 80 is not ours to open.
NAMES = """
    import socket

    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **options):
        if host == "intra.service.com":
            return real("127.0.0.1", UPSTREAM, *args, **options)
        return real(host, port, *args, **options)

    socket.getaddrinfo = getaddrinfo

    import asyncio

    plain = asyncio.base_events.BaseEventLoop.create_connection

    async def create_connection(loop, factory, host=None, port=None, **options):
        return await plain(loop, factory, host, UPSTREAM if port == 80 else port, **options)

    import sys

    sys.modules["uvloop"] = None  # So that there is one kind of loop.
    asyncio.base_events.BaseEventLoop.create_connection = create_connection
"""


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # No connection outlives the server.

    def do_GET(self) -> None:
        body = f"{self.command} {self.path} {self.headers['Host']}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def upstream() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gateway(folder: Path, upstream_port: int) -> Iterator[int]:
    port = free_port()
    sample = (dedent(SERVICE) + dedent(MOUNT)).replace("from blackgate import", "from tautomer import")
    names = dedent(NAMES).replace("UPSTREAM", str(upstream_port))
    file = folder / "sample.py"
    file.write_text(names + sample.replace("PORT", str(port)))
    with Program(sys.executable, "-W", "error", file) as program:
        program.wait_for("gateway listening")
        yield port
        assert 0 == program.end()


def get(port: int, path: str) -> tuple[int, str, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.headers["Content-Type"], answer.read()
    connection.close()
    return found


def test_the_proxy_of_the_document_passes_on_and_falls_back(tmp_path: Path) -> None:
    with upstream() as server, gateway(tmp_path, server.server_address[1]) as port:
        assert (200, "text/plain", b"GET /v1/users?page=2 intra.service.com") == get(port, "/api/v1/users?page=2")
        assert 404 == get(port, "/elsewhere")[0]

        server.shutdown()
        server.server_close()
        expected = b'{"code": 500, "message": "internal server error", "error": {}}'
        seen = [get(port, "/api/v1/users") for _ in range(2)]

    assert (500, "application/json; charset=utf-8", expected) == seen[-1]


def test_the_names_of_the_document_are_there() -> None:
    code = "from tautomer import component, Command, HTTPProxyCommand, HTTPProxy, Application"
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode
