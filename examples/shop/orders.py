"""Who bought what. Asks two other services, and tells everybody who wants to know."""

from __future__ import annotations

from _store import ID, WHOLE, Row, Store

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError

SCHEMA = """
    CREATE TABLE IF NOT EXISTS orders (
        id INTEGER PRIMARY KEY,
        user INTEGER NOT NULL,
        product INTEGER NOT NULL,
        quantity INTEGER NOT NULL,
        total REAL NOT NULL
    );
"""


class Orders(Service):
    name = "orders"
    dependencies = ("users", "products")

    def created(self) -> None:
        self.store = Store("orders", SCHEMA)

    def stopped(self) -> None:
        self.store.close()

    @action(rest="GET /")
    async def list(self, ctx: Context) -> object:
        return await self.store.rows("SELECT * FROM orders ORDER BY id")

    @action(rest="GET /:id", params={"id": ID})
    async def get(self, ctx: Context) -> Row:
        order = await self.store.row("SELECT * FROM orders WHERE id = ?", ctx.params["id"])
        if order is None:
            raise MoleculerClientError(f"There is no order {ctx.params['id']}.", 404, "ORDER_NOT_FOUND")
        return order

    @action(
        rest="POST /",
        params={
            "user": WHOLE,
            "product": WHOLE,
            "quantity": {**WHOLE, "min": 1, "default": 1},
        },
    )
    async def create(self, ctx: Context) -> Row:
        quantity = ctx.params["quantity"]
        # Both at once. If one of them fails, this action fails with the same error and status.
        user, product = await ctx.mcall(
            [
                {"action": "users.get", "params": {"id": ctx.params["user"]}},
                {"action": "products.get", "params": {"id": ctx.params["product"]}},
            ]
        )
        await ctx.call("products.take", {"id": product["id"], "quantity": quantity})

        total = round(product["price"] * quantity, 2)
        order_id = await self.store.insert(
            "INSERT INTO orders (user, product, quantity, total) VALUES (?, ?, ?, ?)",
            user["id"],
            product["id"],
            quantity,
            total,
        )
        order: Row = {
            "id": order_id,
            "user": user["id"],
            "product": product["id"],
            "quantity": quantity,
            "total": total,
        }
        ctx.emit("order.created", {"order": order, "user": user, "product": product})
        ctx.meta["$statusCode"] = 201
        return order
