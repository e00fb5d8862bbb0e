"""Aliases made of `rest` annotations, and the list of all aliases."""

from __future__ import annotations

from tests.gateway.case import Gateway, ask, gets

_SERVICES = ("test", "books", "shelves", "boxes", "crates", "bags", "trunks")

AUTO = Gateway(
    "auto_aliases",
    {"routes": [{"path": "/api", "autoAliases": True, "aliases": {"GET books/mine": "test.hello"}}]},
    (
        *gets(
            "/api/books",
            "/api/books/",
            "/api/books/5",
            "/api/books/both",
            "/api/books/any",
            "/api/books/named",
            "/api/books/mine",
            "/api/shelf/based",
            "/api/books/based",
            "/whole/path",
            "/api/whole/path",
            "/api/books/full",
            "/api/books/double/slash",
            "/api/books/hidden",
            "/api/books/plain",
            "/api/my/shelves",
            "/api/v3/shelves",
            "/api/v4/boxes",
            "/api/boxes",
            "/api/crates",
            "/api/v5/crates",
            "/api/bags/all",
            "/api/sacks/all",
            "/api/beta/bags/all",
            "/api/old/trunks",
            "/api/test/hello",
            "/api/api/list-aliases?grouping=x",
        ),
        ask("POST", "/api/books"),
        ask("POST", "/api/books/both"),
        ask("PUT", "/api/books/o1"),
        ask("PATCH", "/api/books/o2"),
        ask("PUT", "/api/books/o2"),
        ask("DELETE", "/api/books/any"),
        ask("POST", "/api/books/named"),
        ask("DELETE", "/api/books/5"),
    ),
    services=_SERVICES,
)

FILTERED = Gateway(
    "auto_aliases_lists",
    {
        "routes": [
            {"path": "/white", "autoAliases": True, "whitelist": ["books.*"]},
            {"path": "/black", "autoAliases": True, "blacklist": ["books.get", "api.*"]},
            {"path": "/all", "autoAliases": True, "mappingPolicy": "all", "whitelist": ["books.list", "test.*"]},
        ]
    },
    gets(
        "/white/books",
        "/white/my/shelves",
        "/white/api/list-aliases",
        "/black/books",
        "/black/books/5",
        "/black/api/list-aliases",
        "/all/books",
        "/all/test/hello",
        "/all/books/plain",
        "/all/books/5",
    ),
    services=_SERVICES,
)

LISTED = Gateway(
    "list_aliases",
    {
        "path": "/gw",
        "routes": [
            {
                "path": "/",
                "aliases": {
                    "GET list": "api.listAliases",
                    "GET hello": "test.hello",
                    "any/:id": "test.echo",
                    "POST whole": {"fullPath": "/whole", "action": "test.echo"},
                },
            }
        ],
    },
    gets("/gw/list", "/gw/list?grouping=true", "/gw/list?grouping=false", "/gw/list?grouping=x"),
    services=("test",),
)

GATEWAYS = (AUTO, FILTERED, LISTED)
