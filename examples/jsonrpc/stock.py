"""A stock of fruit, asked by JSON-RPC on http://127.0.0.1:5000/api."""

from __future__ import annotations

import os

from tautomer import Context, MicroService, errors, private_api_method, public_method

SOLD_OUT = 1


class Stock(MicroService):
    """What is in the storehouse."""

    name = "stock"
    port = int(os.environ.get("PORT", "5000"))

    def __init__(self) -> None:
        super().__init__()
        self.items = {"apple": 3, "pear": 0}

    @public_method
    async def left(self, item: str) -> int:
        """How many there are."""
        return self._count(item)

    @public_method
    async def take(self, item: str, count: int = 1) -> int:
        """Take some, and learn how many are left."""
        left = self._count(item) - count
        if left < 0:
            raise errors.JsonRpcError(SOLD_OUT, f"not enough {item}s", {"left": self._count(item)})
        self.items[item] = left
        return left

    @private_api_method
    async def fill(self, item: str, count: int, ctx: Context) -> str:
        """Put some in. For those with a token."""
        self.items[item] = self.items.get(item, 0) + count
        return f"{ctx.user['name']} put {count} in"

    async def api_token_is_valid(self, api_token: str | None) -> object:
        return {"name": "the keeper"} if api_token == "keeper" else False

    def _count(self, item: str) -> int:
        if item not in self.items:
            raise errors.JsonRpcError(404, f"there is no {item}")
        return self.items[item]


if __name__ == "__main__":
    Stock().start()
