"""Services that call others: nameko's first HTTP sample, with nothing changed but the names in its import lines; and our own
program of the same kind (entrypoints reference, section 14).

What the document leaves to the reader stands beside the sample: the service behind the proxy.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.programs import Program

from .test_nameko_http_samples import ask
from .test_shop import free_port

pytestmark = pytest.mark.slow

USERS = """
    from nameko.web.handlers import http
    from nameko.rpc import RpcProxy
    import json

    class UserAPIService:
        name = "user_api"

        user_rpc = RpcProxy('user_service')

        @http('GET', '/users/<int:user_id>')
        def get_user(self, request, user_id):
            \"\"\"Get user by ID\"\"\"
            try:
                user = self.user_rpc.get_user(user_id)
                return json.dumps(user)
            except Exception as e:
                return {'error': str(e)}, 404

        @http('POST', '/users')
        def create_user(self, request):
            \"\"\"Create a new user\"\"\"
            user_data = json.loads(request.get_data())

            # Validate required fields
            if not user_data.get('email'):
                return {'error': 'Email is required'}, 400

            user = self.user_rpc.create_user(user_data)
            return json.dumps(user), 201

        @http('PUT', '/users/<int:user_id>')
        def update_user(self, request, user_id):
            \"\"\"Update existing user\"\"\"
            user_data = json.loads(request.get_data())
            user = self.user_rpc.update_user(user_id, user_data)
            return json.dumps(user)

        @http('DELETE', '/users/<int:user_id>')
        def delete_user(self, request, user_id):
            \"\"\"Delete user\"\"\"
            self.user_rpc.delete_user(user_id)
            return '', 204
"""

BEHIND = """
    from tautomer import public_method

    class UserService:
        name = "user_service"
        users = {1: {"id": 1, "email": "ann@x.org"}}

        @public_method
        def get_user(self, user_id: int):
            if user_id not in self.users:
                raise LookupError(f"no user {user_id}")
            return self.users[user_id]

        @public_method
        def create_user(self, user_data: dict):
            number = max(self.users) + 1
            self.users[number] = {"id": number, **user_data}
            return self.users[number]

        @public_method
        def update_user(self, user_id: int, user_data: dict):
            self.users[user_id] = {"id": user_id, **user_data}
            return self.users[user_id]

        @public_method
        def delete_user(self, user_id: int):
            del self.users[user_id]
"""

PROGRAM = """
    import json
    from tautomer import BadRequest, RpcProxy, WebSocketHubProvider, http, run, websocket_rpc
    from behind import UserService


    class UserAPI:                                   # a plain class is enough; Service as base is allowed
        name = "user_api"
        users = RpcProxy("user_service")
        hub = WebSocketHubProvider()

        @http("GET", "/users/<int:user_id>")         # def: runs in a thread, the proxy blocks, as the document writes it
        def get_user(self, request, user_id):
            return json.dumps(self.users.get_user(user_id))

        @http("POST", "/users", expected_exceptions=BadRequest)
        async def create_user(self, request):        # async: runs on the loop, the proxy is awaited
            data = request.get_json()
            if not data.get("email"):
                raise BadRequest("Email is required")
            user = await self.users.create_user(data)
            self.hub.broadcast("users", "created", user)
            return user, 201

        @websocket_rpc
        def follow(self, socket_id):
            self.hub.subscribe(socket_id, "users")
            return {"status": "following"}


    if __name__ == "__main__":
        run(UserAPI, UserService, config={"WEB_SERVER_ADDRESS": "127.0.0.1:PORT"})
"""


@pytest.fixture(params=["one node", "two nodes"])
def port(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Of the sample, with the service behind it at the same node, or at another one of this machine."""
    chosen = free_port()
    sample = dedent(USERS).replace("nameko.web.handlers", "tautomer").replace("nameko.rpc", "tautomer")
    (tmp_path / "api.py").write_text(sample)
    (tmp_path / "behind.py").write_text(dedent(BEHIND))
    base = (sys.executable, "-W", "error", "-m", "tautomer", "run")
    door = ("--http", f"127.0.0.1:{chosen}")
    if request.param == "one node":
        with Program(*base, tmp_path, *door) as program:
            program.wait_for("node started")
            yield chosen
            assert 0 == program.end()
        return
    peers = f"127.0.0.1:{free_port()}/api,127.0.0.1:{free_port()}/users"
    mesh = ("-t", f"tcp://{peers}?host=127.0.0.1&udp_discovery=false")
    with (
        Program(*base, tmp_path / "behind.py", *mesh, "-b", "users") as behind,
        Program(*base, tmp_path / "api.py", *mesh, "-b", "api", *door) as api,
    ):
        behind.wait_for("node started")
        api.wait_for("node started")
        until = time.monotonic() + 20
        while ask(chosen, "GET", "/users/1")[0] != 200 and time.monotonic() < until:
            time.sleep(0.05)  # They find each other by and by.
        yield chosen
        assert [0, 0] == [api.end(), behind.end()]


def test_the_first_sample(port: int) -> None:
    def asked(method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, text, _ = ask(port, method, path, None if body is None else json.dumps(body).encode())
        return status, json.loads(text) if text else None

    assert (200, {"id": 1, "email": "ann@x.org"}) == asked("GET", "/users/1")
    assert (404, {"error": "no user 7"}) == asked("GET", "/users/7")
    assert (201, {"id": 2, "email": "bob@x.org"}) == asked("POST", "/users", {"email": "bob@x.org"})
    assert (400, {"error": "Email is required"}) == asked("POST", "/users", {})
    assert (200, {"id": 2, "email": "b@x.org"}) == asked("PUT", "/users/2", {"email": "b@x.org"})
    assert (204, None) == asked("DELETE", "/users/2")
    assert 404 == asked("GET", "/users/2")[0]


def test_our_own_program(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "behind.py").write_text(dedent(BEHIND))
    file = tmp_path / "api.py"
    file.write_text(dedent(PROGRAM).replace("PORT", str(port)))

    with Program(sys.executable, "-W", "error", file) as program:
        program.wait_for("node started")
        assert '{"id": 1, "email": "ann@x.org"}' == ask(port, "GET", "/users/1")[1]
        with connect(f"ws://127.0.0.1:{port}/ws", proxy=None, open_timeout=10) as socket:
            assert "connected" == json.loads(socket.recv(10))["event"]
            socket.send(json.dumps({"method": "follow"}))
            assert {"status": "following"} == json.loads(socket.recv(10))["data"]
            body = b'{"email": "bob@x.org"}'
            status, text, _ = ask(port, "POST", "/users", body, {"Content-Type": "application/json"})
            assert (201, {"id": 2, "email": "bob@x.org"}) == (status, json.loads(text))
            told = json.loads(socket.recv(10))
            assert ("created", {"id": 2, "email": "bob@x.org"}) == (told["event"], told["data"])
        assert 400 == ask(port, "POST", "/users", b"{}", {"Content-Type": "application/json"})[0]
        assert 0 == program.end()
