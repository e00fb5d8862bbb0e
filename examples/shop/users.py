"""Who buys in the shop."""

from __future__ import annotations

import sqlite3

from _store import ID, Row, Store

from tautomer import Context, Service, action
from tautomer.errors import MoleculerClientError

SCHEMA = """
    CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        email TEXT NOT NULL UNIQUE
    );
"""


class Users(Service):
    name = "users"

    def created(self) -> None:
        self.store = Store("users", SCHEMA)

    def stopped(self) -> None:
        self.store.close()

    @action(rest="GET /")
    async def list(self, ctx: Context) -> object:
        return await self.store.rows("SELECT * FROM users ORDER BY id")

    @action(rest="GET /:id", params={"id": ID})
    async def get(self, ctx: Context) -> Row:
        user = await self.store.row("SELECT * FROM users WHERE id = ?", ctx.params["id"])
        if user is None:
            raise MoleculerClientError(f"There is no user {ctx.params['id']}.", 404, "USER_NOT_FOUND")
        return user

    @action(rest="POST /", params={"name": "string|min:2", "email": "email"})
    async def create(self, ctx: Context) -> Row:
        name, email = ctx.params["name"], ctx.params["email"]
        try:
            user_id = await self.store.insert("INSERT INTO users (name, email) VALUES (?, ?)", name, email)
        except sqlite3.IntegrityError:
            raise MoleculerClientError("This address is taken.", 409, "EMAIL_TAKEN", {"email": email}) from None
        ctx.meta["$statusCode"] = 201  # Read by the gateway; other callers do not mind.
        return {"id": user_id, "name": name, "email": email}
