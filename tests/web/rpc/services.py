"""Services whose methods the tests call by JSON-RPC."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any

from tautomer import Context, Service, action, errors
from tautomer.web.decorators import private_api_method, public_method


class Calculator(Service):
    """The methods of `tests.rpc_cases`."""

    name = "math"

    @public_method
    async def subtract(self, minuend: float, subtrahend: float) -> float:
        return minuend - subtrahend

    @public_method
    async def sum(self, *numbers: float) -> float:
        return sum(numbers)

    @public_method
    def update(self, *values: float) -> None:
        pass

    @public_method
    def notify_hello(self, number: int) -> None:
        pass

    @public_method
    async def get_data(self) -> list[Any]:
        return ["hello", 5]

    @public_method
    async def nothing(self) -> None:
        pass

    @public_method
    async def echo(self, value: Any) -> Any:
        return value

    @public_method
    def boom(self) -> None:
        raise ValueError("boom")

    @public_method
    async def broken(self) -> None:
        raise TypeError("broken() missing 1 required positional argument: 'x'")

    @public_method
    async def only(self, *, name: str) -> str:
        return name

    @public_method
    async def options(self, **options: Any) -> dict[str, Any]:
        return options

    @public_method
    async def greet(self, name: str | None = "you") -> str | None:
        """Say who is greeted.

        Nobody else is.
        """
        return name

    @action
    async def hidden(self, ctx: Context) -> str:
        return "not for everybody"


class Vault(Service):
    """Methods behind a token, and those that fail in all ways."""

    name = "vault"

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Any] = []
        self.ran: list[str] = []
        self.release = asyncio.Event()
        self.running = 0
        self.most = 0

    async def rpc_access(self, request: Any) -> Any:
        self.asked.append(request.header("x-api-token"))
        return {"good": True, "ann": {"name": "Ann"}}.get(request.header("x-api-token") or "")

    @private_api_method
    async def secret(self, ctx: Context) -> Any:
        self.ran.append("secret")
        return {"user": ctx.user}

    @public_method
    async def whoami(self, ctx: Context) -> Any:
        return {"user": ctx.user, "request": ctx.request_id}

    @public_method
    async def slow(self, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.001)
            return number
        finally:
            self.running -= 1
            self.ran.append(f"slow {number}")

    @public_method
    async def hang(self) -> None:
        self.ran.append("hang")
        await self.release.wait()

    @public_method(expected_exceptions=LookupError)
    async def expected(self) -> None:
        raise KeyError("no such thing")

    @public_method
    async def fail(self, kind: str) -> Any:
        failures: dict[str, Exception] = {
            "own": errors.JsonRpcError(7, "no such colour", {"known": ["red"]}),
            "client": errors.MoleculerClientError("No such user", 404, "NO_USER", {"id": 5}),
            "validation": errors.ValidationError(data=[{"type": "x", "field": "a", "actual": "hunter2"}]),
            "full": errors.QueueIsFullError("a.b", retryAfter=2),
            "limit": errors.RateLimitExceeded(data={"retryAfter": 3}),
            "away": errors.ServiceNotFoundError("other.thing", "node-7"),
            "forbidden": errors.ForbiddenError(),
            "timeout": errors.RequestTimeoutError("a.b"),
            "builtin timeout": TimeoutError("of its own"),
        }
        raise failures[kind]

    @public_method
    async def give(self, kind: str) -> Any:
        gifts: dict[str, Any] = {
            "date": datetime.date(2026, 1, 2),
            "set": {1},
            "bytes": b"x",
            "surrogate": "\ud800",
            "nan": float("nan"),
            "object": object(),
        }
        return gifts[kind]
