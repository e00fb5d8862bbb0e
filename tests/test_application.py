"""Application: a gateway of proxies alone."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer import Application, HTTPProxy, HTTPProxyCommand
from tautomer.errors import BrokerOptionsError
from tests.commands.raw_server import raw_server
from tests.web.door import ask, parse
from tests.web.proxying import proxy_to
from tests.web.uploading import Client

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_the_first_pattern_that_matches_the_whole_path_answers() -> None:
    seen: list[Any] = []

    def before_request(self: Any) -> None:
        seen.append((type(self).__name__, self.request.path_args))
        self.request["url"] = origin + self.request["path"]

    async with raw_server(OK) as upstream:
        origin = upstream.url
        first = type("First", (proxy_to(""),), {"before_request": before_request, "command_key": "app-1"})
        second = type("Second", (proxy_to(""),), {"before_request": before_request, "command_key": "app-2"})
        app = Application(
            [
                (r"/api/v1/(\w+)/(.*)", HTTPProxy, {"command": first}),
                (r"/api/(?:(a)|b)", HTTPProxy, {"command": second}),
                (r"/api/v1/.*", HTTPProxy, {"command": second}),
            ]
        )
        await app.start(0, "127.0.0.1")
        try:
            paths = ["/api/v1/users/5%20", "/api/b", "/api/v1/x", "/api/bb", "/api"]
            statuses = [(await ask(app.port, "GET", path)).status for path in paths]
        finally:
            await app.stop()

    assert [200, 200, 200, 404, 404] == statuses
    assert [("First", ("users", "5%20")), ("Second", ("",)), ("Second", ())] == seen
    assert 0 == app.port


async def test_each_proxy_keeps_to_its_own_longest_body() -> None:
    async with raw_server(OK) as upstream:
        small, large = proxy_to(upstream.url, max_body=100_000), proxy_to(upstream.url, max_body=1_000_000)
        app = Application([("/small", HTTPProxy, {"command": small}), ("/large", HTTPProxy, {"command": large})])
        await app.start(0, "127.0.0.1")
        try:
            by_length = [
                (await ask(app.port, "PUT", path, body=bytes(200_000))).status for path in ("/small", "/large")
            ]
            by_chunks = []
            for path in ("/small", "/large"):
                client = await Client.begin(app.port, f"PUT {path}", "Transfer-Encoding: chunked", "Connection: close")
                await client.send(b"30d40\r\n" + bytes(200_000) + b"\r\n0\r\n\r\n")
                by_chunks.append(parse(await client.rest()).status)
                await client.close()
        finally:
            await app.stop()

    assert [413, 200] == by_length
    assert [413, 200] == by_chunks


async def test_it_serves_once_and_stops_twice() -> None:
    app = Application([("/x", HTTPProxy, {"command": HTTPProxyCommand})], probes=False)
    await app.start(0, "127.0.0.1")
    with pytest.raises(RuntimeError, match="serves already"):
        await app.start(0)
    assert 404 == (await ask(app.port, "GET", "/livez")).status
    await app.stop()
    await app.stop()


async def test_listening_inside_a_loop_names_what_is_meant() -> None:
    app = Application([("/x", HTTPProxy, {"command": HTTPProxyCommand})])
    with pytest.raises(RuntimeError, match=r"await app.start\(port\)"):
        app.listen(0)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("/x", "an entry is"),
        (("/x", HTTPProxy), "an entry is"),
        (("/x", object, {"command": HTTPProxyCommand}), "an entry is"),
        (("/x", HTTPProxy, {"command": object}), "is a subclass of HTTPProxyCommand"),
        (("/x", HTTPProxy, {}), "is a subclass of HTTPProxyCommand"),
        (("(", HTTPProxy, {"command": HTTPProxyCommand}), "is no pattern"),
    ],
)
def test_what_is_written_wrong_is_told(entry: Any, fault: str) -> None:
    with pytest.raises(BrokerOptionsError, match=fault):
        Application([entry])
