"""The programs of gemstone's document, with nothing changed but the names in their import lines.

Indentation is put back. The document's client prints ``hello.world.service`` under a comment that has the words in
another order; and the token that its text tells, ``hello_world``, is not the one that its program takes.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.programs import Program

from .test_shop import free_port

pytestmark = pytest.mark.slow

SERVICE = """
    from gemstone import MicroService, public_method, private_api_method



    class HelloWorldService(MicroService):
        name = "hello.world.service"
        host = "127.0.0.1"
        port = 5000

        @public_method
        def say_hello(self, name):
            return "hello {}".format(name)

        @private_api_method
        def say_private_hello(self, name):
            return "this is secret: hello {}".format(name)

        def api_token_is_valid(self, api_token):
            return api_token == "hello_world_token"


    if __name__ == '__main__':
        service = HelloWorldService()
        service.start()
"""


def changed(sample: str, port: int) -> str:
    """The sample with our name in its import lines, and on a port that is free here."""
    text = dedent(sample).replace("port = 5000", f"port = {port}").replace("localhost:5000", f"127.0.0.1:{port}")
    return text.replace("from gemstone import", "from tautomer import").replace("gemstone.", "tautomer.")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of the sample, running."""
    chosen = free_port()
    file = tmp_path_factory.mktemp("gemstone") / "hello_world_service.py"
    file.write_text(changed(SERVICE, chosen))
    with Program(sys.executable, "-W", "error", file) as program:
        program.wait_for("node started")
        yield chosen
        assert 0 == program.end()


def post(port: int, body: Any, path: str = "/api", **headers: str) -> Any:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def ask(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}


def test_the_request_of_the_document_is_answered_as_the_standard_has_it(port: int) -> None:
    answer = post(port, {"jsonrpc": "2.0", "method": "say_hello", "params": {"name": "world"}, "id": 1})

    assert {"jsonrpc": "2.0", "result": "hello world", "id": 1} == answer


@pytest.mark.parametrize("token", [None, "hello_world", "x"])
def test_the_private_method_is_shut_without_the_token(port: int, token: str | None) -> None:
    headers = {} if token is None else {"X-Api-Token": token}

    assert -32001 == post(port, ask("say_private_hello", name="world"), **headers)["error"]["code"]


def test_the_private_method_opens_to_the_token_of_the_program(port: int) -> None:
    answer = post(port, ask("say_private_hello", name="world"), **{"X-Api-Token": "hello_world_token"})

    assert "this is secret: hello world" == answer["result"]


def test_the_full_name_of_the_action_does_as_well(port: int) -> None:
    assert "hello you" == post(port, ask("hello.world.service.say_hello", name="you"))["result"]


def test_it_says_what_it_is(port: int) -> None:
    specs = post(port, ask("get_service_specs"))["result"]

    assert ("hello.world.service", "127.0.0.1", port) == tuple(specs[key] for key in ("name", "host", "port"))
    assert f"http://127.0.0.1:{port}/api" == specs["accessible_at"]
    assert {"say_hello", "say_private_hello", "get_service_specs"} == set(specs["methods"])
    assert ["say_private_hello"] == specs["private"]


CLIENT = """
    import gemstone

    client = gemstone.RemoteClient("http://localhost:5000/api")
    print(client.name)  # "service.hello.world"
    print(client.methods.say_hello("world"))  # "hello world"
"""


def test_the_client_of_the_document_prints_its_name_and_greeting(port: int, tmp_path: Path) -> None:
    file = tmp_path / "client.py"
    # The document leaves the import to the reader.
    file.write_text(changed(CLIENT, port).replace("import gemstone", "import tautomer"))

    with Program(sys.executable, "-W", "error", file) as program:
        assert 0 == program.wait()

    assert ["hello.world.service", "hello world"] == program.lines
