"""Proxies that are written in settings or in a file."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tautomer import Broker, Settings
from tautomer.commands.configured import InvalidConfig, proxies_of, read_proxy_file
from tests.programs import Program
from tests.web.door import open_door

from .raw_server import raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

GITHUB = {
    "name": "github",
    "upstream_url": "https://api.github.com",
    "request_path_regex": r"/github/(.*)",
    "request_path_sub": r"/\1",
    "connect_timeout_seconds": 1,
    "request_timeout_seconds": 5,
}

FILES = {
    "proxies.json": json.dumps({"proxies": [GITHUB], "port": 9654}),
    "proxies.yml": """
proxies:
  - name: github
    upstream_url: https://api.github.com
    request_path_regex: /github/(.*)
    request_path_sub: /\\1
    connect_timeout_seconds: 1
    request_timeout_seconds: 5
port: 9654
""",
    "proxies.toml": """
port = 9654
[[proxies]]
name = "github"
upstream_url = "https://api.github.com"
request_path_regex = '/github/(.*)'
request_path_sub = '/\\1'
connect_timeout_seconds = 1
request_timeout_seconds = 5
""",
}


def url_of(proxy: Any, path: str) -> str:
    made = proxy({"path": path})
    made.before_request()
    return str(made.request["url"])


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_kind_says_the_same(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(FILES[name])
    (proxy,), told = read_proxy_file(tmp_path / name)

    assert {"port": 9654} == told
    assert ("github", "github", 1, 5) == (
        proxy.group_key,
        proxy.command_key,
        proxy.connect_timeout_seconds,
        proxy.request_timeout_seconds,
    )
    assert ("api.github.com:443",) == proxy.allowed_hosts
    assert "https://api.github.com/users/x" == url_of(proxy, "/github/users/x")


@pytest.mark.parametrize(
    ("settings", "path", "expected"),
    [
        ({}, "/a/b", "http://x/a/b"),
        ({"request_path_regex": "/a/(.*)"}, "/a/b", "http://x/a/b"),
        ({"request_path_regex": "/a/(.*)", "request_path_sub": r"\1"}, "/a/b", "http://x/b"),
        ({"request_path_regex": "/(a|ab)/?.*", "request_path_sub": r"/\1/z"}, "/ab", "http://x/a/z"),
        ({"upstream_url": "http://x/base/"}, "/a", "http://x/base/a"),
        (
            {"upstream_url": "http://x/base", "request_path_regex": "/(.*)", "request_path_sub": r"\1"},
            "/a",
            "http://x/basea",
        ),
    ],
)
def test_the_path_is_rewritten_by_the_pattern(settings: dict[str, str], path: str, expected: str) -> None:
    (proxy,) = proxies_of([{"name": "x", "upstream_url": "http://x", **settings}])

    assert expected == url_of(proxy, path)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ("x", "is a list of proxies"),
        ([5], "is a mapping with 'name' and 'upstream_url'"),
        ([{"upstream_url": "http://x"}], r"proxies\[0\].name is missing"),
        ([{"name": "x"}], "upstream_url is missing"),
        ([{"name": "x", "upstream_url": "ftp://x"}], "upstream_url is such as"),
        ([{"name": "x", "upstream_url": "http://u:p@x"}], "names no plain host"),
        ([{"name": "x", "upstream_url": "http://x?a=1"}], "has no query"),
        ([{"name": "x", "upstream_url": "http://x", "reqest_path_regex": "a"}], "did you mean 'request_path_regex'"),
        ([{"name": "x", "upstream_url": "http://x", "request_path_regex": "("}], "is no pattern"),
        ([{"name": "x", "upstream_url": "http://x", "request_path_sub": "/"}], "says nothing without"),
        (
            [{"name": "x", "upstream_url": "http://x", "request_path_regex": "/", "request_path_sub": r"\2"}],
            "does not fit the pattern",
        ),
        ([{"name": "x", "upstream_url": "http://x", "timeout_seconds": 0}], "number of seconds over 0"),
        ([{"name": "x", "upstream_url": "http://x", "pool_max_size": 0}], "at least 1"),
        ([{"name": "x", "upstream_url": "http://x", "preserve_host": 1}], "true or false"),
        ([{"name": "x", "upstream_url": "http://x"}] * 2, "another proxy called 'x'"),
    ],
)
def test_what_is_wrong_is_told(given: Any, fault: str) -> None:
    with pytest.raises(InvalidConfig, match=fault):
        proxies_of(given)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidConfig) as raised:
        proxies_of([{}, {"name": "x", "upstream_url": "x", "port": 5}])

    assert 4 == len(raised.value.data["faults"])


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.json", "{", "is broken"),
        ("a.yml", "a: [", "is broken"),
        ("a.toml", "=", "is broken"),
        ("a.txt", "", "its ending"),
        ("a.json", "[]", "holds"),
        ("a.json", '{"proxies": [], "prot": 5}', "did you mean 'port'"),
        ("a.json", "{}", "names no 'proxies'"),
        ("a.yml", "!!python/object/apply:os.system ['true']", "is broken"),
    ],
)
def test_a_broken_file_is_told(name: str, text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidConfig, match=fault):
        read_proxy_file(tmp_path / name)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="cannot be read"):
        read_proxy_file(tmp_path / "none.json")


async def test_proxies_of_the_brokers_settings_take_what_no_route_takes() -> None:
    def own(request: Any) -> str:
        return "own"

    async with raw_server(OK) as upstream:
        proxies = [
            {
                "name": "a",
                "upstream_url": upstream.url,
                "request_path_regex": "/a/(.*)",
                "request_path_sub": r"/in-a/\1",
            },
            {"name": "rest", "upstream_url": f"{upstream.url}/rest"},
        ]
        broker = Broker("edge", settings=Settings(commands={"proxies": proxies}))  # type: ignore[arg-type]  # A mapping will do.
        door = await open_door(routes=[{"path": "/own", "aliases": {"GET /": own}}], broker=broker)
        try:
            assert "own" == (await door.get("/own")).json
            for path in ("/a/b%20c?x=1", "/z", "/"):
                assert b"ok" == (await door.get(path)).body
        finally:
            await broker.stop()

        assert ["/in-a/b%20c?x=1", "/rest/z", "/rest/"] == [head.split(" ")[1] for head in upstream.heads]


async def test_wrong_proxies_of_the_broker_are_told() -> None:
    broker = Broker("edge", settings=Settings(commands={"proxies": [{}]}))  # type: ignore[arg-type]  # A mapping will do.
    with pytest.raises(InvalidConfig, match=r"commands.proxies\[0\].name is missing"):
        await open_door(routes=[], broker=broker)


@pytest.mark.slow
async def test_the_command_serves_the_proxies_of_a_file(tmp_path: Path) -> None:
    async with raw_server(OK) as upstream:
        file = tmp_path / "proxies.json"
        proxy = {"name": "x", "upstream_url": upstream.url, "request_path_regex": "/x/(.*)", "request_path_sub": r"/\1"}
        file.write_text(json.dumps({"proxies": [proxy], "host": "127.0.0.1"}))

        def serve() -> tuple[list[bytes], int]:
            import sys

            with Program(sys.executable, "-m", "tautomer", "proxy", "-c", file, "-p", "0") as program:
                line = program.wait_for("gateway listening")
                port = int(line.split("port=")[1].split()[0])
                bodies = []
                for path in ("/x/y", "/nowhere"):
                    connection = HTTPConnection("127.0.0.1", port, timeout=20)
                    connection.request("GET", path)
                    answer = connection.getresponse()
                    bodies.append(b"%d %b" % (answer.status, answer.read()))
                    connection.close()
                return bodies, program.end()

        (found, missing), code = await asyncio.to_thread(serve)

        assert 0 == code
        assert b"200 ok" == found
        assert missing.startswith(b"404 ")
        assert ["/y"] == [head.split(" ")[1] for head in upstream.heads]


@pytest.mark.slow
def test_the_command_tells_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    import sys

    file = tmp_path / "proxies.json"
    file.write_text('{"proxies": [{"name": "x"}]}')
    with Program(sys.executable, "-m", "tautomer", "proxy", "-c", file) as program:
        assert 2 == program.wait()
        assert "proxies[0].upstream_url is missing" in program.output
