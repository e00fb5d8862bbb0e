"""Every program of moleculerpy-web's own documentation, with nothing changed but its import lines.

The text below is the documentation's, indentation put back. Beyond the package's name, the port is the system's choice and
the message broker one of ours; the last line, which would end the program, makes room for requests.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from tests.programs import Program
from tests.servers import NatsServer

pytestmark = pytest.mark.slow

BEGIN = """
    _Broker, brokers = Broker, []

    def Broker(*arguments, **options):
        brokers.append(_Broker(*arguments, **options))
        return brokers[0]
"""

ASK = """
    import asyncio, http.client, json

    async def ask(method, path, **headers):
        port = brokers[0].get_local_service("api").port

        def request():
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request(method, path, headers=headers)
            reply = line.getresponse()
            body = reply.read()
            line.close()
            return reply.status, dict(reply.getheaders()), json.loads(body) if body else None

        return await asyncio.to_thread(request)
"""


def run_sample(
    folder: Path, sample: str, *, given: str = "", services: str = "", requests: str, nats: str = "", start: str
) -> Any:
    """Run a sample, and give what its requests were answered.

    Args:
        given: What the sample takes for granted.
        services: What it calls.
        requests: Python, with ``ask``; puts what comes into ``answers``.
        start: What takes the place of the sample's last line, inside of a coroutine.
    """
    text = dedent(sample).replace("asyncio.run(main())", "").replace('"port": 3000', '"port": 0')
    for old, new in (
        ("from moleculerpy_web", "from tautomer.web"),
        ("from moleculerpy", "from tautomer"),
        ("nats://localhost:4222", nats),
    ):
        text = text.replace(old, new)
    drive = "\n".join(
        [
            "async def drive():",
            indent(dedent(services), "    "),
            f"    {start}",
            "    answers = []",
            indent(dedent(requests), "    "),
            "    await brokers[0].stop()",
            "    print(json.dumps(answers))",
            "",
            "asyncio.run(drive())",
        ]
    )
    file = folder / "sample.py"
    imports = "from tautomer import ApiGatewayService, Broker, Context, Service, action"
    # The sample imports its broker at the top, and makes it below.
    lines = text.splitlines()
    last_import = max((i for i, line in enumerate(lines) if line.startswith(("import ", "from "))), default=-1)
    before, after = lines[: last_import + 1], lines[last_import + 1 :]
    parts = [imports, *before, dedent(BEGIN), dedent(ASK), dedent(given), *after, drive]
    file.write_text("\n".join(parts))
    with Program(sys.executable, "-W", "error", file, env={"PYTHONASYNCIODEBUG": ""}) as program:
        code = program.wait()
    assert 0 == code, program.output
    return json.loads(program.lines[-1])


# --- "Basic Gateway" ---

BASIC = """
    import asyncio
    from moleculerpy import Broker
    from moleculerpy.settings import Settings
    from moleculerpy_web import ApiGatewayService

    class Gateway(ApiGatewayService):
        name = "api"
        settings = {
            "port": 3000,
            "path": "/api",
            "routes": [{
                "path": "/v1",
                "aliases": {
                    "REST /users": "users", # 6 CRUD routes
                    "GET /health": "health.check",
                },
                "cors": {"origin": "*"},
                "rateLimit": {"window": 60, "limit": 100, "headers": True},
            }]
        }

    async def main():
        broker = Broker("gateway-1", settings=Settings(transporter="nats://localhost:4222"))
        broker.create_service(Gateway)
        await broker.start() # starts gateway + uvicorn automatically
        # Gateway is now listening on http://0.0.0.0:3000/api/v1/...

    asyncio.run(main())
"""

USERS_AND_HEALTH = """
    class Users(Service):
        name = "users"

        @action
        def list(self, ctx): return ["list"]

        @action
        def get(self, ctx): return ["get", ctx.params["id"]]

        @action
        def create(self, ctx): return ["create"]

        @action
        def update(self, ctx): return ["update", ctx.params["id"]]

        @action
        def patch(self, ctx): return ["patch", ctx.params["id"]]

        @action
        def remove(self, ctx): return ["remove", ctx.params["id"]]

    class Health(Service):
        name = "health"

        @action
        def check(self, ctx): return "fine"
"""


@pytest.mark.server
def test_the_basic_gateway_serves_its_aliases(tmp_path: Path) -> None:
    with NatsServer() as server:
        answers = run_sample(
            tmp_path,
            BASIC,
            services=USERS_AND_HEALTH,
            start="await main()",
            requests="""
                await brokers[0].register(Users())
                await brokers[0].register(Health())
                for method, path in [("GET", "users"), ("GET", "users/5"), ("POST", "users"), ("PUT", "users/5"),
                                     ("PATCH", "users/5"), ("DELETE", "users/5"), ("GET", "health"), ("GET", "none")]:
                    status, headers, body = await ask(method, f"/api/v1/{path}")
                    answers.append([status, body] if status == 200 else status)
            """,
            nats=server.url,
        )

    assert [
        [200, ["list"]],
        [200, ["get", "5"]],
        [200, ["create"]],
        [200, ["update", "5"]],
        [200, ["patch", "5"]],
        [200, ["remove", "5"]],
        [200, "fine"],
        404,
    ] == answers


@pytest.mark.server
def test_the_basic_gateway_tells_origins_and_limits(tmp_path: Path) -> None:
    with NatsServer() as server:
        answers = run_sample(
            tmp_path,
            BASIC,
            services=USERS_AND_HEALTH,
            start="await main()",
            requests="""
                await brokers[0].register(Health())
                for _ in range(101):
                    status, headers, body = await ask("GET", "/api/v1/health", Origin="http://a.test")
                    answers.append([status, headers.get("Access-Control-Allow-Origin"), headers.get("X-Rate-Limit-Limit")])
            """,
            nats=server.url,
        )

    assert [[200, "*", "100"]] * 100 == answers[:100]
    assert 429 == answers[100][0]


# --- "With Authentication" ---

AUTHENTICATION = """
    from moleculerpy_web import ApiGatewayService
    from moleculerpy_web.errors import UnauthorizedError, ForbiddenError

    async def authenticate(ctx, route, request):
        token = request.headers.get("authorization", "")[7:] # Bearer <token>
        if not token:
            return None # Anonymous
        user = await verify_token(token)
        if not user:
            raise UnauthorizedError("Invalid token")
        return user # Sets ctx.meta.user

    async def authorize_admin(ctx, route, request):
        if not ctx.user or ctx.user.get("role") != "admin":
            raise ForbiddenError("Admin required")

    gateway = ApiGatewayService(broker=broker, settings={
        "port": 3000,
        "path": "/api",
        "routes": [{
            "path": "/admin",
            "aliases": {"GET /stats": "admin.stats"},
            "authentication": authenticate,
            "authorization": authorize_admin,
        }]
    })
"""

ADMIN = """
    class Admin(Service):
        name = "admin"

        @action
        def stats(self, ctx): return ctx.meta.get("user")
"""

GIVEN_BROKER = """
    broker = Broker("gateway-1")

    async def verify_token(token):
        return {"admin": {"role": "admin"}, "guest": {"role": "guest"}}.get(token)
"""


def test_the_gateway_with_authentication_lets_in_whom_it_should(tmp_path: Path) -> None:
    answers = run_sample(
        tmp_path,
        AUTHENTICATION,
        given=GIVEN_BROKER,
        services=ADMIN,
        start="await broker.start()",
        requests="""
            await broker.register(Admin())
            for headers in [{}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer guest"}, {"Authorization": "Bearer admin"}]:
                status, _, body = await ask("GET", "/api/admin/stats", **headers)
                answers.append([status, body] if status == 200 else status)
        """,
    )

    assert [403, 401, 403, [200, {"role": "admin"}]] == answers


# --- "Route Configuration" ---

ROUTE = """
    route = {
        "path": "/v1", # Route prefix
        "mappingPolicy": "restrict", # "restrict" (default) or "all"
        "aliases": {
            "GET /users": "users.list",
            "REST /products": "products", # REST shorthand → 6 CRUD routes
            "REST /orders": {"action": "orders", "only": ["list", "get"]},
        },
        # Middleware pipeline (Node.js execution order)
        "onBeforeCall": async_function, # Before broker.call()
        "onAfterCall": async_function, # After broker.call(), can modify data
        "onError": async_function, # Custom error handler
        # Access control
        "whitelist": ["users.*", "products.*"], # fnmatch patterns
        "blacklist": ["admin.danger"],
        # Authentication
        "authentication": async_function, # Returns user object or None
        "authorization": async_function, # Raises on deny
        # CORS
        "cors": {
            "origin": "*", # String, list, callable, or wildcard
            "methods": ["GET", "POST", "PUT", "DELETE"],
            "credentials": False,
            "maxAge": 3600,
        },
        # Rate limiting
        "rateLimit": {
            "window": 60, # Seconds
            "limit": 100, # Max requests per window
            "headers": True, # X-Rate-Limit-* headers
        },
    }
"""

ASYNC_FUNCTION = """
    async def async_function(*arguments):
        return None
"""


def test_the_route_of_the_documentation_is_taken_and_served(tmp_path: Path) -> None:
    answers = run_sample(
        tmp_path,
        ROUTE,
        given=ASYNC_FUNCTION,
        services=USERS_AND_HEALTH,
        start='broker = Broker("n"); ApiGatewayService(broker=broker, settings={"port": 0, "routes": [route]})',
        requests="""
            await broker.start()
            await broker.register(Users())
            for path in ("users", "orders", "products"):
                status, headers, _ = await ask("GET", f"/v1/{path}", Origin="http://a.test")
                names = ("Access-Control-Allow-Origin", "X-Rate-Limit-Limit", "X-Rate-Limit-Remaining")
                answers.append([status, *map(headers.get, names)])
        """,
    )

    # Users are listed; orders are not in the whitelist; of products nobody knows.
    assert [[200, "*", "100", "99"], [404, "*", "100", "98"], [503, "*", "100", "97"]] == answers
