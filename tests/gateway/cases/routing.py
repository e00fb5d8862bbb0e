"""Which route takes a request: prefixes, mapping policies, order, internal and unpublished actions, lists."""

from __future__ import annotations

import re

from tests.gateway.case import Gateway, ask, get, gets, head, post, raw

ALL = Gateway(
    "policy_all",
    {"routes": [{"path": "/all", "mappingPolicy": "all", "aliases": {"GET hi": "test.hello"}}]},
    (
        *gets(
            "/all/hi",
            "/all/test/hello",
            "/all/test/hello/",
            "/all/test.hello",
            "/all/test/echo?a=1",
            "/all/Test/Hello",
            "/all/TEST/HELLO",
            "/ALL/test/hello",
            "/all/test//hello",
            "/all//test/hello",
            "/all/test/hello//",
            "/all",
            "/all/",
            "/all/test",
            "/all/nowhere",
            "/all/nowhere/action",
            "/all/test/nothing",
            "/all/v2/users/list",
            "/all/v2.users.list",
            "/all/users/list",
            "/all/first/second/third",
            "/all/hy-phen/do-it",
            "/all/hy-phen/sayHello",
            "/all/test/camelCase",
            "/all/test/camel-case",
            "/allx/test/hello",
            "/alltest/hello",
            "/all/test%2Fhello",
            "/all/test%2Ehello",
            "/all/%74est/hello",
            "/all/test/hello%00",
            "/all/test/hello%20",
            "/all/test/./hello",
            "/all/other/../test/hello",
            "/all/test/%2e%2e/hello",
            "/all/test/hello.json",
            "/all/test/hello;x=1",
            "/all/guarded/open",
            "/all/guarded/published",
            "/all/guarded/public",
            "/all/guarded/protected",
            "/all/guarded/private",
            "/all/~node/events?skipInternal=true",
            "/all/$node/events?skipInternal=true",
            "/all/$node.events?skipInternal=true",
            "/all/%24node/events?skipInternal=true",
            "/all/%7Enode/events?skipInternal=true",
            "/all/api/listAliases",
            "/all/api/addRoute",
            "/all/api/rest",
            "/all/toString",
            "/all/__proto__/constructor",
        ),
        post("/all/test/echo?b=2", {"a": 1}),
        ask("PUT", "/all/test/hello"),
        ask("DELETE", "/all/test/hello"),
        ask("HEAD", "/all/test/hello"),
        ask("OPTIONS", "/all/test/hello"),
        ask("OPTIONS", "/all/nowhere/action"),
        ask("PROPFIND", "/all/test/hello"),
        ask("TRACE", "/all/test/hello"),
        get("//evil.example/all/test/hello", name="a target that looks like another host"),
        raw("a target in absolute form", head("GET", "http://gateway.test/all/test/hello")),
        raw("a target with a backslash", head("GET", "/\\evil.example")),
        raw("a target with a fragment", head("GET", "/all/test/hello#part")),
        raw("a target without a path", head("GET", "?a=1")),
        get("/?", name="a root with an empty query"),
    ),
)

DEFAULTS = Gateway(
    "policy_default",
    {
        "routes": [
            {"path": "/bare"},
            {"path": "/aliased", "aliases": {"GET hi": "test.hello"}},
            {"path": "/empty", "aliases": {}},
        ]
    },
    gets("/bare/test/hello", "/aliased/test/hello", "/aliased/hi", "/empty/test/hello", "/bare/nowhere/action"),
)

NO_ROUTES = Gateway("no_routes", {}, gets("/", "/test/hello", "/nowhere/action"))

INTERNAL = Gateway(
    "internal_actions",
    {
        "routes": [
            {
                "path": "/named",
                "mappingPolicy": "all",
                "whitelist": ["$node.events", "test.*"],
                "mergeParams": False,
            },
            {"path": "/alias", "aliases": {"GET events": "$node.events", "GET list": "api.listAliases"}},
            {"path": "/wide", "mappingPolicy": "all", "whitelist": ["**"]},
        ]
    },
    gets(
        "/named/~node/events?skipInternal=true",
        "/named/~node/list",
        "/named/test/echo?a=1",
        "/alias/events?skipInternal=true",
        "/alias/list?grouping=true",
        "/wide/~node/events?skipInternal=true",
        "/wide/test/$hello",
        "/wide/test/~hello",
        "/wide/test/hello",
    ),
)

CAMEL = Gateway(
    "camel_case",
    {"routes": [{"path": "/c", "mappingPolicy": "all", "camelCaseNames": True, "aliases": {"GET a-b": "test.hello"}}]},
    gets(
        "/c/test/camel-case",
        "/c/test/camelCase",
        "/c/test/camel_case",
        "/c/Test/CamelCase",
        "/c/test.camel-case",
        "/c/test/hello",
        "/c/hy-phen/say-hello",
        "/c/a-b",
        "/c/aB",
        "/c/v2/users/list",
        "/c/v-2/users/list",
        "/c/nowhere/some-action",
    ),
)

PREFIXES = Gateway(
    "prefixes",
    {
        "path": "/gw/",
        "routes": [
            {"path": "/", "mappingPolicy": "all", "aliases": {"GET c": "test.hello", "GET a/b/:x": "test.echo"}},
            {"path": "/a/b", "mappingPolicy": "all", "aliases": {"GET c": "posts.list", "GET :y/z": "posts.get"}},
            {"path": "a", "aliases": {"GET b/fixed": "posts.create"}},
            {"path": "/restricted", "aliases": {"GET in": "test.hello"}},
            {"path": "/restricted/open", "mappingPolicy": "all", "aliases": {}},
            {"path": "//double//slash/", "aliases": {"GET x": "test.hello"}},
        ],
    },
    gets(
        "/gw",
        "/gw/",
        "/gw/c",
        "/c",
        "/gw/a/b/c",
        "/gw/a/b/d",
        "/gw/a/b/fixed",
        "/gw/a/b/q/z",
        "/gw/a/b/test/hello",
        "/gw/a/test/hello",
        "/gw/ab/test/hello",
        "/gw/test/hello",
        "/gw/restricted/in",
        "/gw/restricted/test/hello",
        "/gw/restrictedtest/hello",
        "/gw/restricted/open/test/hello",
        "/gw/restricted/opentest/hello",
        "/gw/double/slash/x",
        "/gw//c",
        "/gwc",
        "/gwtest/hello",
    ),
)

ORDER = Gateway(
    "order",
    {
        "routes": [
            {"path": "/", "aliases": {"GET x/:id": "test.echo", "GET x/me": "test.hello", "x/any": "posts.list"}},
            {"path": "/x", "aliases": {"GET me": "posts.get", "GET any": "posts.create", "POST any": "posts.update"}},
            {"path": "/same", "aliases": {"GET one": "test.hello", "GET  one/": "posts.list"}},
            {"path": "/twice", "name": "first", "aliases": {"GET one": "test.hello", "GET both": "test.hello"}},
            {"path": "/twice", "name": "second", "aliases": {"GET two": "posts.list", "GET both": "posts.list"}},
        ]
    },
    (
        *gets("/x/me", "/x/any", "/x/5", "/same/one", "/twice/one", "/twice/two", "/twice/both", "/x"),
        ask("POST", "/x/any"),
        ask("PUT", "/x/any"),
    ),
)

LISTS = Gateway(
    "lists",
    {
        "routes": [
            {
                "path": "/white",
                "mappingPolicy": "all",
                "whitelist": ["test.hello", "posts.*", re.compile("^answers\\.(text|number)$"), "v2.**"],
                "aliases": {"GET alias": "test.hello", "GET forbidden": "test.echo", "GET gone": "nowhere.action"},
            },
            {
                "path": "/black",
                "mappingPolicy": "all",
                "blacklist": ["test.echo", "posts.*", re.compile("number")],
                "aliases": {"GET alias": "test.echo", "GET ok": "test.hello"},
            },
            {"path": "/both", "mappingPolicy": "all", "whitelist": ["test.*"], "blacklist": ["test.echo"]},
            {"path": "/none", "mappingPolicy": "all", "whitelist": [], "aliases": {"GET alias": "test.hello"}},
            {"path": "/star", "mappingPolicy": "all", "whitelist": ["*"]},
            {"path": "/deep", "mappingPolicy": "all", "whitelist": ["first.**"]},
            {"path": "/one", "mappingPolicy": "all", "whitelist": ["first.*", "tes?.hello"]},
            {"path": "/mark", "mappingPolicy": "all", "whitelist": ["test.h?llo", "guarded.**"]},
        ]
    },
    gets(
        "/white/test/hello",
        "/white/test/echo",
        "/white/posts/list",
        "/white/answers/text",
        "/white/answers/number",
        "/white/answers/float",
        "/white/v2/users/list",
        "/white/alias",
        "/white/forbidden",
        "/white/gone",
        "/white/nowhere/action",
        "/black/test/hello",
        "/black/test/echo",
        "/black/posts/list",
        "/black/answers/number",
        "/black/answers/text",
        "/black/alias",
        "/black/ok",
        "/both/test/hello",
        "/both/test/echo",
        "/both/posts/list",
        "/none/test/hello",
        "/none/alias",
        "/star/test/hello",
        "/deep/first/second/third",
        "/deep/test/hello",
        "/one/first/second/third",
        "/one/test/hello",
        "/mark/test/hello",
        "/mark/guarded/public",
        "/mark/guarded/open",
    ),
)

VISIBILITY = Gateway(
    "visibility",
    {
        "routes": [
            {
                "path": "/v",
                "aliases": {
                    "GET open": "guarded.open",
                    "GET published": "guarded.published",
                    "GET public": "guarded.public",
                    "GET protected": "guarded.protected",
                    "GET private": "guarded.private",
                    "GET missing": "guarded.missing",
                    "GET rest": "api.rest",
                    "GET add": "api.addRoute",
                },
            }
        ]
    },
    gets(
        "/v/open",
        "/v/published",
        "/v/public",
        "/v/protected",
        "/v/private",
        "/v/missing",
        "/v/rest",
        "/v/add",
    ),
)

AS_WRITTEN = Gateway(
    "order_as_written",
    {
        "optimizeOrder": False,
        "routes": [
            {"path": "/", "mappingPolicy": "all", "aliases": {"GET x/:id": "test.echo", "GET x/me": "test.hello"}},
            {"path": "/x", "mappingPolicy": "all", "aliases": {"GET y": "posts.list"}},
        ],
    },
    gets("/x/me", "/x/5", "/x/y", "/x/test/hello"),
)

SPECIAL_CHAR = Gateway(
    "special_char",
    {
        "internalServiceSpecialChar": "@",
        "routes": [{"path": "/s", "mappingPolicy": "all", "whitelist": ["$node.events"]}],
    },
    gets("/s/@node/events?skipInternal=true&onlyLocal=true", "/s/~node/events", "/s/@node/list"),
)

SENSITIVE = Gateway(
    "case_sensitive",
    {
        "routes": [
            {
                "path": "/s",
                "pathToRegexpOptions": {"sensitive": True},
                "aliases": {"GET hello": "test.hello", "GET Posts/:id": "posts.get"},
            }
        ]
    },
    gets("/s/hello", "/s/HELLO", "/S/hello", "/s/Posts/A", "/s/posts/A", "/s/hello/"),
)

TWICE = Gateway(
    "same_path_twice",
    {
        "routes": [
            {"path": "/t", "aliases": {"GET one": "test.hello", "GET both": "test.hello"}},
            {"path": "/t", "aliases": {"GET two": "posts.list", "GET both": "posts.list"}},
        ]
    },
    gets("/t/one", "/t/two", "/t/both"),
)

GATEWAYS = (
    ALL,
    DEFAULTS,
    NO_ROUTES,
    INTERNAL,
    CAMEL,
    PREFIXES,
    ORDER,
    LISTS,
    VISIBILITY,
    AS_WRITTEN,
    SPECIAL_CHAR,
    SENSITIVE,
    TWICE,
)
