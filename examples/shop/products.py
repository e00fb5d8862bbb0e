"""What the shop sells, and how much of it is left."""

from __future__ import annotations

from _store import ID, WHOLE, Row, Store

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError

SCHEMA = """
    CREATE TABLE IF NOT EXISTS products (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        price REAL NOT NULL,
        stock INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO products VALUES (1, 'Teapot', 24.5, 3), (2, 'Cup', 6.0, 40);
"""


class Products(Service):
    name = "products"

    def created(self) -> None:
        self.store = Store("products", SCHEMA)

    def stopped(self) -> None:
        self.store.close()

    @action(rest="GET /")
    async def list(self, ctx: Context) -> object:
        return await self.store.rows("SELECT * FROM products ORDER BY id")

    @action(rest="GET /:id", params={"id": ID})
    async def get(self, ctx: Context) -> Row:
        product = await self.store.row("SELECT * FROM products WHERE id = ?", ctx.params["id"])
        if product is None:
            raise MoleculerClientError(f"There is no product {ctx.params['id']}.", 404, "PRODUCT_NOT_FOUND")
        return product

    @action(
        rest="POST /",
        params={"name": "string|min:2", "price": "number|positive", "stock": WHOLE},
    )
    async def create(self, ctx: Context) -> Row:
        name, price, stock = (ctx.params[field] for field in ("name", "price", "stock"))
        product_id = await self.store.insert(
            "INSERT INTO products (name, price, stock) VALUES (?, ?, ?)", name, price, stock
        )
        ctx.meta["$statusCode"] = 201
        return {"id": product_id, "name": name, "price": price, "stock": stock}

    # Public, not published: every service of the mesh may call it, no client of the gateway.
    @action(visibility="public", params={"id": WHOLE, "quantity": {**WHOLE, "min": 1}})
    async def take(self, ctx: Context) -> None:
        product_id, quantity = ctx.params["id"], ctx.params["quantity"]
        # Check and change are one statement, so that two orders at once cannot both have the last one.
        taken = await self.store.update(
            "UPDATE products SET stock = stock - ? WHERE id = ? AND stock >= ?", quantity, product_id, quantity
        )
        if not taken:
            raise MoleculerClientError(
                "There is not enough of it left.", 409, "OUT_OF_STOCK", {"id": product_id, "quantity": quantity}
            )
