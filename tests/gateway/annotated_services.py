"""Services with `rest` annotations: twins of those in node/services.js."""

from __future__ import annotations

from typing import Any

from tautomer import Context, Service, action


def said(name: str, ctx: Context[Any]) -> dict[str, Any]:
    """What an action was asked, for it to answer."""
    return {"action": name, "params": ctx.params}


class Books(Service):
    name = "books"

    @action(rest="GET /")
    def list(self, ctx: Context[Any]) -> Any:
        return said("list", ctx)

    @action(rest="GET /:id")
    def get(self, ctx: Context[Any]) -> Any:
        return said("get", ctx)

    @action(rest={"method": "POST", "path": "/"})
    def create(self, ctx: Context[Any]) -> Any:
        return said("create", ctx)

    @action(rest=["GET /both", "POST /both"])
    def both(self, ctx: Context[Any]) -> Any:
        return said("both", ctx)

    @action(rest=[{"method": "PUT", "path": "/o1"}, {"method": "PATCH", "path": "/o2"}])
    def objects(self, ctx: Context[Any]) -> Any:
        return said("objects", ctx)

    @action(rest="/any")
    def any(self, ctx: Context[Any]) -> Any:
        return said("any", ctx)

    @action(rest={"method": "GET"})
    def named(self, ctx: Context[Any]) -> Any:
        return said("named", ctx)

    @action(rest={"method": "GET", "path": "/based", "basePath": "shelf"})
    def based(self, ctx: Context[Any]) -> Any:
        return said("based", ctx)

    @action(rest={"method": "GET", "fullPath": "/whole/path"})
    def full(self, ctx: Context[Any]) -> Any:
        return said("full", ctx)

    @action(rest="GET //double//slash/")
    def double(self, ctx: Context[Any]) -> Any:
        return said("double", ctx)

    @action(rest="GET /hidden", visibility="public")
    def hidden(self, ctx: Context[Any]) -> Any:
        return said("hidden", ctx)

    @action
    def plain(self, ctx: Context[Any]) -> Any:
        return said("plain", ctx)


class Shelves(Service):
    name = "shelves"
    version = 3
    settings = {"rest": "my/shelves"}

    @action(rest="GET /")
    def list(self, ctx: Context[Any]) -> Any:
        return said("shelves", ctx)


class Boxes(Service):
    name = "boxes"
    version = 4

    @action(rest="GET /")
    def list(self, ctx: Context[Any]) -> Any:
        return said("boxes", ctx)


class Crates(Service):
    name = "crates"
    version = 5
    settings = {"$noVersionPrefix": True}

    @action(rest="GET /")
    def list(self, ctx: Context[Any]) -> Any:
        return said("crates", ctx)


class Bags(Service):
    name = "bags"
    version = "beta"
    settings = {"rest": ["bags", "/sacks/"]}

    @action(rest="GET /all")
    def list(self, ctx: Context[Any]) -> Any:
        return said("bags", ctx)


class Trunks(Service):
    name = "old.trunks"

    @action(rest="GET /")
    def list(self, ctx: Context[Any]) -> Any:
        return said("trunks", ctx)
