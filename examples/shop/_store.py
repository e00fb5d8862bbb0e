"""One SQLite file. Queries run in a thread, so that the service never waits for the disk.

The name begins with an underscore, so `tautomer examples/shop` does not look for services here.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from pathlib import Path

Row = dict[str, object]

# A whole number that SQLite and JavaScript hold, and how one comes in a URL: as text, so the rule converts it.
WHOLE = {"type": "number", "integer": True, "min": 0, "max": 2**53 - 1}
ID = {**WHOLE, "convert": True}


class Store:
    """A database in the folder `$SHOP_DATA`, or in memory if that is not set."""

    def __init__(self, name: str, schema: str) -> None:
        folder = os.environ.get("SHOP_DATA")
        place = Path(folder, f"{name}.db") if folder else ":memory:"
        self._connection = sqlite3.connect(place, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(schema)
        self._in_use = threading.Lock()

    async def rows(self, query: str, *values: object) -> list[Row]:
        """All rows that the query finds."""
        return await asyncio.to_thread(self._read, query, values)

    async def row(self, query: str, *values: object) -> Row | None:
        """The first row that the query finds, or None."""
        found = await self.rows(query, *values)
        return found[0] if found else None

    async def insert(self, query: str, *values: object) -> int:
        """Add a row and return its id."""
        return (await asyncio.to_thread(self._write, query, values)).lastrowid or 0

    async def update(self, query: str, *values: object) -> int:
        """Change rows and return how many there were."""
        return (await asyncio.to_thread(self._write, query, values)).rowcount

    def close(self) -> None:
        self._connection.close()

    def _read(self, query: str, values: tuple[object, ...]) -> list[Row]:
        with self._in_use:
            return [dict(row) for row in self._connection.execute(query, values)]

    def _write(self, query: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        with self._in_use:
            return self._connection.execute(query, values)
