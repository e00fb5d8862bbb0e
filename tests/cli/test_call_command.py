"""`tautomer call` and `tautomer call-raw` against a service that runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner

from tautomer.cli.main import main
from tests.examples.test_shop import free_port
from tests.programs import Program, clean_environment, without_remarks
from tests.servers import NatsServer

pytestmark = pytest.mark.slow

TAUTOMER = (sys.executable, "-m", "tautomer")

SERVICE = """
    from tautomer import MicroService, ServiceRegistry, errors, private_api_method, public_method


    class Hello(MicroService):
        name = "hello.world"
        port = PORT

        @public_method
        async def say_hello(self, name, times=1):
            return {"greeting": f"hello {name}", "times": times}

        @public_method
        async def fail(self):
            raise errors.JsonRpcError(7, "no such colour")

        @private_api_method
        async def secret(self):
            return "secret"

        async def api_token_is_valid(self, api_token):
            return api_token == "good"


    class Registry(ServiceRegistry):
        port = PORT
        endpoint = "/registry"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URL of the endpoint, and of a NATS server by which the same service is in a mesh."""
    port = free_port()
    file = tmp_path_factory.mktemp("call") / "hello.py"
    file.write_text(dedent(SERVICE).replace("PORT", str(port)))
    with NatsServer() as nats, Program(*TAUTOMER, "run", file, "-t", nats.url) as program:
        program.wait_for("node started")
        yield f"http://127.0.0.1:{port}", nats.url
        assert 0 == program.end()


def tautomer(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*TAUTOMER, *words], capture_output=True, text=True, timeout=40, env=clean_environment(), check=False
    )
    return done.returncode, done.stdout, "".join(without_remarks(done.stderr.splitlines(keepends=True)))


def test_call_raw_says_what_gemstone_s_command_says(running: tuple[str, str]) -> None:
    code, out, err = tautomer("call-raw", f"{running[0]}/api", "say_hello", "name=a=b")

    assert (0, "") == (code, err)
    assert re.fullmatch(
        r"\[!\] Method call: \d\.\d{5} seconds\n\[!\] Result:\n\n\{'greeting': 'hello a=b', 'times': 1\}\n", out
    )


def test_the_result_alone_and_typed_params(running: tuple[str, str], tmp_path: Path) -> None:
    url = f"{running[0]}/api"
    assert {"greeting": "hello x", "times": 3} == json.loads(
        tautomer("call-raw", url, "say_hello", "name=x", "times:=3", "--json")[1]
    )
    file = tmp_path / "params.json"
    for params in ({"name": "x", "times": [1]}, ["x", [1]]):
        file.write_text(json.dumps(params))
        told = tautomer("call-raw", url, "say_hello", f"@{file}", "--json")[1]
        assert {"greeting": "hello x", "times": [1]} == json.loads(told)


def test_a_token(running: tuple[str, str]) -> None:
    url = f"{running[0]}/api"

    assert (1, "", "error -32001: Access denied\n") == tautomer("call-raw", url, "secret")
    assert '"secret"\n' == tautomer("call-raw", url, "secret", "--token", "good", "--json")[1]
    assert '"secret"\n' == tautomer("call-raw", url, "secret", "-H", "x-api-token: good", "--json")[1]


def test_a_socket_is_as_good(running: tuple[str, str]) -> None:
    url = running[0].replace("http:", "ws:")

    assert '"secret"\n' == tautomer("call-raw", f"{url}/api", "secret", "--token", "good", "--json")[1]
    assert (1, "", "error -32001: Access denied\n") == tautomer("call-raw", f"{url}/api", "secret")
    words = ("call", "--registry", f"{url}/registry", "hello.*", "say_hello", "name=x", "--json")
    assert {"greeting": "hello x", "times": 1} == json.loads(tautomer(*words)[1])
    assert 3 == tautomer("call-raw", f"{url}/elsewhere", "x")[0]
    assert 3 == tautomer("call-raw", f"ws://127.0.0.1:{free_port()}/api", "x")[0]


def test_call_finds_the_service_by_a_registry(running: tuple[str, str]) -> None:
    code, out, err = tautomer("call", "--registry", f"{running[0]}/registry", "hello.*", "say_hello", "name=x")

    assert (0, "") == (code, err)
    assert [
        "Service identification",
        "Service name",
        "Service URL ",
        "Method call",
        "Result",
    ] == re.findall(r"\[!\] ([\w ]+):", out)
    assert "[!] Service name: hello.world\n" in out


def test_call_goes_over_the_mesh(running: tuple[str, str]) -> None:
    words = ("call", "-t", running[1], "hello.world", "say_hello")

    assert {"greeting": "hello x", "times": 1} == json.loads(tautomer(*words, "name=x", "--json")[1])
    code, out, err = tautomer(*words, "what=x")
    assert 1 == code
    assert "Result" not in out
    assert "error -32602: Invalid params (" in err
    assert "'name'" in err
    assert (1, "error 7: no such colour\n") == tautomer("call", "-t", running[1], "hello.world", "fail")[::2]


def test_what_cannot_be_reached(running: tuple[str, str]) -> None:
    assert 3 == tautomer("call-raw", f"http://127.0.0.1:{free_port()}/api", "x")[0]
    assert 3 == tautomer("call-raw", f"{running[0]}/elsewhere", "x")[0]
    assert 3 == tautomer("call", "-t", running[1], "--timeout", "0.5", "nobody", "x")[0]
    assert 1 == tautomer("call-raw", f"{running[0]}/api", "nothing")[0]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["call", "a", "b"], "no message broker"),
        (["call-raw", "http://x/", "b", "c:=nope"], "is not JSON behind ':='"),
        (["call-raw", "http://x/", "b", "@/no/such/file"], "No such file"),
        (["call-raw", "http://x/", "b", "@a", "c=d"], "it stands alone"),
        (["call-raw", "http://x/", "b", "-H", "x"], "a header is 'Name: value'"),
        (["call", "-t", "nats://x", "a", "b", "--token", "t"], "they go with --registry"),
        (["call-raw", "http://x/"], "Missing argument"),
        (["call-raw", "ftp://x/", "b"], "is a URL with http:, https:, ws: or wss:"),
    ],
)
def test_wrong_use_ends_with_2(words: list[str], told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRANSPORTER", "NATS_URL"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(main, words)

    assert 2 == done.exit_code
    assert told in re.sub(r"\s+", " ", done.output)
