"""Params: where they come from, how they are merged, and how query strings are read."""

from __future__ import annotations

from tests.gateway.case import Gateway, ask, get, gets, post, send

MERGED = Gateway(
    "params_merged",
    {
        "routes": [
            {"aliases": {"/echo": "test.echo", "/echo/:id": "test.echo", "/greet": "test.greet", "/add": "test.add"}}
        ]
    },
    (
        get("/echo"),
        post("/echo/path?id=query&q=query&b=query", {"id": "body", "b": "body", "c": "body"}),
        post("/echo?a=query", {"a": {"deep": "body"}}),
        post("/echo", [1, 2]),
        post("/echo?a=1", []),
        post("/echo", {}),
        post("/echo", {"a": None, "b": [1, [2]], "c": {"d": {}}, "e": "", "f": 0, "g": False, "h": 1.5, "i": -0.5}),
        post("/echo", {"ключ": "значение", "emoji": "😀"}),
        post("/echo", {"$meta": 1, "meta": {"user": 1}, "opts": 2, "self": 3, "ctx": 4, "__class__": 5}),
        send("POST", "/echo", "application/json", b'{"__proto__":{"isAdmin":true},"a":1}', "__proto__ in a body"),
        send("POST", "/echo", "application/json", b'{"constructor":{"prototype":{"x":1}}}', "constructor in a body"),
        send("POST", "/echo", "application/json", b'{"a":1,"a":2}', "a key twice in a body"),
        send("POST", "/echo", "application/json", b'{"n":1e2,"big":12345678901234567890,"z":-0}', "odd numbers"),
        send("GET", "/echo", "application/json", b'{"a":1}', "a body with GET"),
        send("DELETE", "/echo/5", "application/json", b'{"a":1}', "a body with DELETE"),
        post("/greet", {"name": "Ann"}),
        get("/greet?name=Bob"),
        post("/greet", {}, "validation: a param is missing"),
        post("/greet", {"name": 5}, "validation: a param of another type"),
        get("/add?a=1&b=2"),
        get("/add?a=x&b=2"),
        get("/add"),
    ),
)

SEPARATE = Gateway(
    "params_separate",
    {
        "routes": [
            {
                "mergeParams": False,
                "mappingPolicy": "all",
                "aliases": {"/echo": "test.echo", "/echo/:id": "test.echo"},
            }
        ]
    },
    (
        get("/echo"),
        get("/echo/5?a=1&a=2"),
        post("/echo/5?id=6", {"id": 7}),
        post("/echo", [1, {"a": 2}]),
        post("/echo", {}),
        get("/test/echo?a=1"),
        post("/test/echo?a=1", {"b": 2}),
        ask("POST", "/echo", {"Content-Length": "0", "Content-Type": "application/json"}, name="an empty JSON body"),
    ),
)

QUERY = Gateway(
    "query",
    {"routes": [{"aliases": {"GET /q": "test.echo", "GET /length": "test.length"}}]},
    (
        *gets(
            "/q?",
            "/q?a=1",
            "/q?a",
            "/q?a=",
            "/q?=a",
            "/q?&",
            "/q?a=1&",
            "/q?&a=1&&b=2",
            "/q?a=1&a=2",
            "/q?a=1&a=2&a=3",
            "/q?a[]=1",
            "/q?a[]=1&a[]=2",
            "/q?a[]=",
            "/q?a[0]=x&a[1]=y",
            "/q?a[1]=x&a[0]=y",
            "/q?a[5]=x&a[2]=y",
            "/q?a[19]=x",
            "/q?a[20]=x",
            "/q?a[21]=x",
            "/q?a[100]=x",
            "/q?a[-1]=x",
            "/q?a[01]=x",
            "/q?a[b]=1",
            "/q?a[b]=1&a[c]=2",
            "/q?a[b][c]=1",
            "/q?a[b][c][d][e][f]=1",
            "/q?a[b][c][d][e][f][g]=1",
            "/q?a[b][c][d][e][f][g][h]=1",
            "/q?a[b][]=1&a[b][]=2",
            "/q?a[][b]=1&a[][b]=2",
            "/q?a[0][b]=1&a[0][c]=2",
            "/q?a=1&a[b]=2",
            "/q?a[b]=2&a=1",
            "/q?a=1&a[]=2",
            "/q?a[]=2&a=1",
            "/q?a[0]=1&a[b]=2",
            "/q?a[b",
            "/q?a]b=1",
            "/q?a[[b]]=1",
            "/q?[a]=1",
            "/q?[]=1",
            "/q?a[b]c=1",
            "/q?a%5Bb%5D=1",
            "/q?a%5B%5D=1&a%5b%5d=2",
            "/q?a=%C3%A9&%C3%A9=b",
            "/q?a=b+c",
            "/q?a=b%2Bc",
            "/q?a=b%20c",
            "/q?a=%",
            "/q?a=%zz",
            "/q?a=%ff",
            "/q?a=%zz%20b",
            "/q?%zz=1",
            "/q?a=%00",
            "/q?a=b%0Ac",
            "/q?a=1;b=2",
            "/q?a=1,2,3",
            "/q?a.b=1",
            "/q?a=b=c",
            "/q?a=1?b=2",
            "/q?a=%26%3D%23",
            "/q?__proto__=1",
            "/q?__proto__[a]=1",
            "/q?constructor=1&toString=2&hasOwnProperty=3",
            "/q?a[constructor]=1",
            "/q?a[__proto__][b]=1",
            "/q?a[length]=1",
            "/q?A=1&a=2",
            "/q?true=false&null=undefined",
            "/q?$where=1&$meta=2",
            "/q?utf8=%E2%9C%93&a=1",
        ),
        get("/q?" + "&".join(f"a[]={n}" for n in range(20)), name="20 values in brackets"),
        get("/q?" + "&".join(f"a[]={n}" for n in range(21)), name="21 values in brackets"),
        get("/q?" + "&".join(f"a={n}" for n in range(25)), name="25 values of one name"),
        get("/length?" + "&".join(f"p{n}" for n in range(1000)), name="1000 pairs"),
        get("/length?" + "&".join(f"p{n}" for n in range(1001)), name="1001 pairs"),
        get("/q?a" + "[b]" * 10 + "=1", name="10 brackets"),
        get("/q?a" + "[b]" * 11 + "=1", name="11 brackets"),
    ),
)

QS_OPTIONS = Gateway(
    "query_options",
    {"qsOptions": {"comma": True, "allowDots": True}, "routes": [{"aliases": {"GET /q": "test.echo"}}]},
    gets("/q?a=1,2,3", "/q?a.b=1&a.c=2", "/q?a[b]=1", "/q?a=1&a=2"),
)

GATEWAYS = (MERGED, SEPARATE, QUERY, QS_OPTIONS)
