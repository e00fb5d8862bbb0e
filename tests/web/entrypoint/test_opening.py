"""Who opens the port for methods with `@http`: `run()` and the command line; a bare broker says what is missing."""

from __future__ import annotations

import logging
import sys
import urllib.error
import urllib.request
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tautomer import Broker, Config, Service, Settings, run
from tautomer.errors import BrokerOptionsError
from tautomer.web.entrypoint.mark import http
from tautomer.web.listening import http_gateway, parse_address
from tautomer.web.service import ApiGatewayService
from tests.examples.test_shop import free_port
from tests.programs import Program


class Hello:
    """A plain class, as nameko's services are."""

    name = "hello"

    @http("GET", "/hello/<who>")
    def hello(self, request: Any, who: str) -> str:
        return f"hello {who}"


class Quiet(Service):
    name = "quiet"


@pytest.mark.parametrize(
    ("address", "settings"),
    [
        ("8000", {"ip": "0.0.0.0", "port": 8000}),
        ("127.0.0.1:0", {"ip": "127.0.0.1", "port": 0}),
        ("localhost:80", {"ip": "localhost", "port": 80}),
        (":8000", {"ip": "0.0.0.0", "port": 8000}),
        ("[::1]:8000", {"ip": "::1", "port": 8000}),
        ("unix:/run/x.sock", {"socket": "/run/x.sock"}),
    ],
)
def test_an_address(address: str, settings: dict[str, Any]) -> None:
    assert settings == parse_address(address)


@pytest.mark.parametrize("address", ["", "x", "a:b", "1.2.3.4", "127.0.0.1:99999", "http://a:80", "::1:80"])
def test_what_is_no_address_is_told_of(address: str) -> None:
    with pytest.raises(BrokerOptionsError, match=r"should be `\[address:\]port`"):
        parse_address(address)


async def test_a_gateway_of_ones_own_is_enough() -> None:
    async with Broker() as broker:
        service = await broker.register(Hello)
        assert http_gateway([service], "127.0.0.1:0", None) is not None

        own = await broker.register(ApiGatewayService(settings={"port": 0, "ip": "127.0.0.1"}))

        assert http_gateway([service, own], None, None) is None
        assert http_gateway([], None, None) is None


async def test_a_bare_broker_says_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    broker = Broker()
    await broker.register(Hello)
    with caplog.at_level(logging.WARNING, "tautomer.services"):
        await broker.start()
    await broker.stop()

    said = [record for record in caplog.records if "no gateway" in record.message]
    assert ["hello.hello"] == [record.methods for record in said]  # type: ignore[attr-defined]  # An `extra`.
    assert "register an ApiGatewayService, or use tautomer.run" in said[0].message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"config": {"WEB_SERVER_ADRESS": "1"}}, "WEB_SERVER_ADDRESS"),
        ({"config": {"WEB_SERVER_TIMEOUT": "soon"}}, "WEB_SERVER_TIMEOUT is a number over 0, not 'soon'"),
        ({"config": {"WEB_SERVER_MAX_WORKERS": 0}}, "WEB_SERVER_MAX_WORKERS is a whole number of at least 1, not 0"),
        ({"http": "127.0.0.1:0"}, "nobody is to be asked there"),
    ],
)
def test_a_wrong_configuration_is_told_of(options: dict[str, Any], said: str) -> None:
    with pytest.raises(BrokerOptionsError, match=said):
        run(Quiet, **options)


def test_further_keys_of_the_configuration_are_the_services_own() -> None:
    class Reading(Service):
        name = "reading"
        config = Config()

        async def started(self) -> None:
            raise LookupError(f"{self.config['DB_URI']} {self.config['WEB_SERVER_TIMEOUT']}")

    with pytest.raises(LookupError, match="db://x 5"):
        run(Reading, config={"DB_URI": "db://x", "WEB_SERVER_TIMEOUT": 5}, settings=Settings(config={"DB_URI": "y"}))


PROGRAM = """
    import time
    from tautomer import http, run

    class Hello:
        name = "hello"

        @http("GET", "/hello/<who>")
        def hello(self, request, who):
            time.sleep(5 if who == "slow" else 0)
            return f"hello {who}"

    if __name__ == "__main__":
        run(Hello, config={"WEB_SERVER_ADDRESS": "127.0.0.1:PORT", "WEB_SERVER_TIMEOUT": 0.2, "WEB_SERVER_MAX_WORKERS": 2})
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["run", "command line", "environment"])
def test_methods_are_served(tmp_path: Path, how: str) -> None:
    port = free_port()
    file = tmp_path / "hello.py"
    file.write_text(dedent(PROGRAM).replace("PORT", str(port)))
    command: tuple[str | Path, ...] = (sys.executable, "-W", "error", file)
    if how != "run":
        command = (sys.executable, "-W", "error", "-m", "tautomer", "run", file)
    address = f"127.0.0.1:{port}"
    if how == "command line":
        command += ("--http", address)

    with Program(*command, env={"WEB_SERVER_ADDRESS": address} if how == "environment" else None) as program:
        program.wait_for("node started")
        with urllib.request.urlopen(f"http://{address}/hello/ann", timeout=10) as answer:
            assert b"hello ann" == answer.read()
        if how == "run":
            with pytest.raises(urllib.error.HTTPError, match="504"):
                urllib.request.urlopen(f"http://{address}/hello/slow", timeout=10)
        assert 0 == program.end()
