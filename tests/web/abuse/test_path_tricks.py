"""S1: no spelling of a path reaches an action that its route does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tautomer import Context, Service, action
from tautomer.errors import UnAuthorizedError
from tests.web.http.wire import Answer

from .running import RunningDoor, running_door
from .strict import replies


class Shop(Service):
    name = "shop"

    def __init__(self) -> None:
        super().__init__()
        self.reached: list[str] = []

    @action
    async def open(self, ctx: Context) -> object:
        return ctx.params

    @action
    async def hidden(self, ctx: Context) -> None:
        self.reached.append("blacklisted")

    @action
    async def other(self, ctx: Context) -> None:
        self.reached.append("not in the whitelist")

    @action(visibility="public")
    async def public(self, ctx: Context) -> None:
        self.reached.append("public")

    @action(visibility="protected")
    async def protected(self, ctx: Context) -> None:
        self.reached.append("protected")

    @action(visibility="private")
    async def private(self, ctx: Context) -> None:
        self.reached.append("private")

    @action
    async def guarded(self, ctx: Context) -> None:
        self.reached.append("guarded")


def nobody_comes_in(*_: object) -> None:
    raise UnAuthorizedError


ROUTES = [
    {
        "path": "/api",
        "mappingPolicy": "all",
        "whitelist": ["shop.open", "shop.hidden", "shop.public", "shop.protected", "shop.private", "$node.*", "gate.*"],
        "blacklist": ["shop.hidden", "$node.*"],
        "aliases": {"GET /item/:id": "shop.open", "GET /items/*rest": "shop.open", "GET /hidden": "shop.hidden"},
    },
    {"path": "/admin", "aliases": {"/guarded": "shop.guarded"}, "onBeforeCall": nobody_comes_in},
]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def at(shop: Shop) -> Iterator[RunningDoor]:
    with running_door(shop, routes=ROUTES) as opened:
        yield opened


def asked(at: RunningDoor, target: str, method: str = "GET") -> Answer:
    """The reply to this target; a second request behind it, on the same connection, is always answered, or never."""
    head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    (answer,) = replies(at.exchange(head.encode("latin-1")))
    return answer


INVALID = [
    "/api/shop/..", "/api/../api/shop/hidden", "/api/./shop/hidden", "/api/shop/./hidden", "/..", "/.", "/../../etc/passwd",
    "/%2e%2e/api/shop/hidden", "/%2E./shop", "/.%2e/shop", "/api/%2e/shop/hidden", "/api/item/..", "/api/item/%2e%2e", "/api/items/a/../b",
    "/api%2fshop%2fhidden", "/api/shop%2Fhidden", "/api%5cshop%5chidden", "/api/shop%5Chidden", "/api/item/a%2fb", "/api/items/a%2Fb",
    "/api\\shop\\hidden", "/\\evil.example", "/api/item/a\\b", "/api/item/..\\..\\x", "/api/item/%00", "/api/shop/hidden%00", "/api/shop/hidden%00.html",
    "/api/item/%0a", "/api/item/%0d%0a", "/api/item/%09", "/api/item/%1b", "/api/item/%7f", "/api/item/%c2%85", "/api/item/%c2%9b",
    "/api/item/%c0%af", "/api/%c0%ae%c0%ae/shop", "/api/item/%e0%80%af", "/api/item/%f0%80%80%af", "/api/item/%f8%80%80%80%af", "/api/item/%c1%9c",
    "/api/item/%ff", "/api/item/%fe", "/api/item/%80", "/api/item/%c3", "/api/item/%ed%a0%80", "/api/item/%ed%b0%80", "/api/item/%f4%90%80%80",
    "/api/item/%", "/api/item/%2", "/api/item/%zz", "/api/item/%%32%65", "/api/item/%u002e", "/api/item/%u2215", "/api/item/%-1", "/api/item/%+1",
    "/api/item/a%", "/api/shop/hidden#x", "/api/item/a#b", "/#", "/api/item/%E0%A4%A",
]  # fmt: skip
LOST = [
    "//", "//api/shop/open", "/api//shop/open", "/api/shop//open", "//evil.example", "//evil.example/api/shop/open", "///", "/api/shop/open//",
    "/api;x/shop/open", "/ap", "/apis/shop/open", "/api.json", "/%61pi%20/shop/open", "/api%20/shop/open", "/admin//guarded",
    "/admin/guarded/x", "/admin/guarded.json", "/admin/guarded;x", "/admin/guarded%20", "/admin/guarded.", "/admin", "/admi%CE%B7/guarded",
    "/adm\u0131n/guarded".encode().decode("latin-1").replace("\xc4\xb1", "%C4%B1"), "/admin%EF%BC%8Fguarded", "/%EF%BC%8E%EF%BC%8E/api", "/admin%E2%88%95guarded",
    "/~node/list", "/shop/open", "/admin/shop/guarded", "/%252e%252e/api", "/admin%252fguarded", "/admin%255cguarded",
]  # fmt: skip
NO_SERVICE = [
    "/api/shop/hidden", "/api/shop.hidden", "/api/shop/other", "/api/shop/public", "/api/shop/protected", "/api/shop/private", "/api/shop/nothing",
    "/api/nothing", "/api/SHOP/hidden", "/api/shop/HIDDEN", "/api/shop/Open", "/api/shop/hidden/", "/API/shop/hidden", "/api/shop/hidden.json",
    "/api/shop/hidden;x", "/api/shop/hidden.", "/api/shop/hidden%20", "/api/shop/.hidden", "/api/shop/hidden..", "/api/~node/list", "/api/$node/list",
    "/api/~node.list", "/api/%7enode/list", "/api/%24node/actions", "/api/~~node/list", "/api/api/listAliases", "/api/api.addRoute", "/api/hidden",
    "/api/%68idden", "/api/HIDDEN", "/api/shop/hidden%E2%80%8B", "/api/shop/hidde%EF%BD%8E", "/api/shop/%68%69dden", "/api/shop%2ehidden",
    "/api/shop/guarded", "/api/shop;x/open", "/api/item", "/api/item/a/b", "/api/...", "/api/shop/...", "/api/shop%252fhidden", "/api/shop/hidden%252f", "/api/%C5%BFhop/hidden", "/api/constructor",
    "/api/__proto__", "/api/shop/__init__", "/api/shop/started", "/api/shop/_reached", "/api/shop.open.x", "/api/shop/open/x", "/api/shop/%E2%80%AEnedih",
    "/api/" + "a" * 5_000, "/api/" + "a/" * 2_000 + "b", "http://evil.example/api/shop/hidden", "https://x:y@evil.example:1/api/shop/other",
]  # fmt: skip
UNAUTHORIZED = [
    "/admin/guarded", "/admin/guarded/", "/ADMIN/guarded", "/admin/GUARDED", "/%61dmin/guarded", "/admin/%67%75arded", "/Admin/Guarded/?x",
    "/admin/guarded?/api/shop/open", "http://evil.example/admin/guarded", "HTTP://evil.example/Admin/guarded",
]  # fmt: skip
REACHED: dict[str, Any] = {
    "/api/shop/open": {}, "/api/shop/open/": {}, "/api/shop.open": {}, "/API/shop/open": {}, "/api/%73hop/open": {}, "/api/shop/open?a=../..": {"a": "../.."},
    "/api/item/a": {"id": "a"}, "/api/ITEM/a": {"id": "a"}, "/api/item/A": {"id": "A"}, "/api/item/a/": {"id": "a"}, "/api/item/%2541": {"id": "%41"},
    "/api/item/a;b=c": {"id": "a;b=c"}, "/api/item/...": {"id": "..."}, "/api/item/a..b": {"id": "a..b"}, "/api/item/a%20b": {"id": "a b"}, "/api/item/a+b": {"id": "a+b"},
    "/api/item/%252e%252e": {"id": "%2e%2e"}, "/api/item/%252f": {"id": "%2f"}, "/api/item/%2500": {"id": "%00"}, "/api/item/.htaccess": {"id": ".htaccess"},
    "/api/item/a.": {"id": "a."}, "/api/item/%25": {"id": "%"}, "/api/item/con": {"id": "con"}, "/api/item/%EF%BC%8E%EF%BC%8E": {"id": "\uff0e\uff0e"},
    "/api/item/%E2%80%AE": {"id": "\u202e"}, "/api/item/%F0%9F%99%82": {"id": "🙂"}, "/api/item/a?id=b": {"id": "a"}, "/api/item/a?id[]=b": {"id": "a"},
    "/api/items/a/b/c": {"rest": "a/b/c"}, "/api/items/a/...": {"rest": "a/..."}, "http://evil.example/api/item/a": {"id": "a"},
    "/api/item/__proto__": {"id": "__proto__"}, "/api/item/$meta": {"id": "$meta"}, "/api/shop/open?__proto__=a&$meta=b&ctx=c": {"__proto__": "a", "$meta": "b", "ctx": "c"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("targets", "status", "type"),
    [
        (INVALID, 400, "INVALID_PATH"),
        (LOST, 404, "NOT_FOUND"),
        (NO_SERVICE, 404, "SERVICE_NOT_FOUND"),
        (UNAUTHORIZED, 401, "INVALID_TOKEN"),
    ],
    ids=["invalid", "lost", "no service", "unauthorized"],
)
def test_every_spelling_has_its_one_answer(
    at: RunningDoor, shop: Shop, targets: list[str], status: int, type: str
) -> None:
    found = {target[:100]: asked(at, target) for target in targets}

    wrong = {target: answer.body for target, answer in found.items() if (answer.status, answer.type) != (status, type)}
    assert {} == wrong
    assert [] == shop.reached


def test_what_is_allowed_is_reached_by_what_is_the_same_path(at: RunningDoor) -> None:
    assert REACHED == {target: asked(at, target).json for target in REACHED}


def test_what_is_hidden_looks_as_what_is_not_there(at: RunningDoor) -> None:
    """Byte for byte, but for the name that the path itself held."""

    def body(name: str) -> bytes:
        return asked(at, f"/api/shop/{name}").body.replace(name.encode(), b"NAME")

    names = ["hidden", "other", "public", "protected", "private", "guarded"]
    assert {body("nothing")} == {body(name) for name in names}


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "X-HTTP-METHOD"]
)
def test_no_method_opens_a_door(at: RunningDoor, shop: Shop, method: str) -> None:
    for target in [*NO_SERVICE[:40], *UNAUTHORIZED]:
        head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nX-HTTP-Method-Override: GET\r\nX-Original-URL: /api/shop/open\r\n"
        data = at.exchange(f"{head}Access-Control-Request-Method: GET\r\nConnection: close\r\n\r\n".encode())

        assert int(data[9:12]) in (204, 401, 404, 405)
    assert [] == shop.reached


# Ways to write a piece of a path that somebody somewhere has taken for the piece itself.
SPELLINGS = [
    str, str.upper, str.lower, str.title, str.swapcase,
    lambda text: "".join(f"%{ord(letter):02x}" for letter in text),
    lambda text: "".join(f"%{ord(letter):02X}" for letter in text),
    lambda text: "".join(f"%25{ord(letter):02x}" for letter in text),
    lambda text: "".join(f"%u00{ord(letter):02x}" for letter in text),
    lambda text: "".join(f"%c{ord(letter) >> 6:x}%{0x80 | ord(letter) & 0x3F:02x}" for letter in text),
    lambda text: "".join("".join(f"%{byte:02x}" for byte in chr(0xFF00 + ord(letter) - 0x20).encode()) for letter in text),
    lambda text: f"%{ord(text[0]):02x}{text[1:]}",
    lambda text: f"{text[:-1]}%{ord(text[-1]):02X}",
    lambda text: text.replace("s", "%C5%BF").replace("i", "%C4%B1").replace("k", "%E2%84%AA"),
]  # fmt: skip
GLUE = [
    "/", "/", "/", "/", ".", "//", "/./", "/x/../", "\\", "%2f", "%2F", "%5c", "%2e", "/%2e/", "/..;/", ";/", "/;x/", "%252f", "%c0%af", "%ef%bc%8f", "/%20",
    "%00/", "/%00", "\t", "/~", "~", "$", "/$", "?", "#", "%3f", "%23", ":", "@", "|", "*", "/*/", "&", "+", "%0a", "%0d%0a", "", " ", "%09", "%e2%80%8b",
]  # fmt: skip
ENDS = [
    "",
    "",
    "",
    "/",
    "//",
    ".",
    "..",
    "/.",
    "/..",
    ";",
    ";a=b",
    ".json",
    "%20",
    "%00",
    "?",
    "?a",
    "#",
    "#a",
    "/*",
    "%2f",
    "~",
    "\\",
    ":",
    " ",
    "%0a",
    "%",
]
STARTS = [
    "",
    "",
    "",
    "",
    "/",
    "//",
    "http://x",
    "https://x:1",
    "HTTP://x@y",
    "http:/",
    "\\",
    "/.",
    "/x/..",
    "/%2e",
    "*",
    "?",
    "/api/..",
    "/admin/..",
    "/api/item",
]
forbidden = st.sampled_from(
    [("api", "shop", name) for name in ("hidden", "other", "public", "protected", "private")]
    + [("api", "hidden"), ("admin", "guarded"), ("api", "~node", "list"), ("api", "api", "listAliases"), ("api", "shop", "guarded")]
)  # fmt: skip


@st.composite
def respelt(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(STARTS))
    for piece in draw(forbidden):
        text += draw(st.sampled_from(GLUE)) + draw(st.sampled_from(SPELLINGS))(piece)
    return text + draw(st.sampled_from(ENDS))


@pytest.mark.slow
@settings(max_examples=1_000)
@given(respelt(), st.sampled_from(["GET", "GET", "GET", "POST", "HEAD", "OPTIONS", "REPORT"]))
@example("/api/shop/hidden", "GET")
def test_no_spelling_reaches_what_is_forbidden(at: RunningDoor, shop: Shop, target: str, method: str) -> None:
    data = at.exchange(f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())

    assert [] == shop.reached
    assert data.count(b"HTTP/1.1 ") == 1
    status = int(data[9:12])
    # A path below an alias with a value is that value.
    assert status in (204, 400, 401, 404, 405) or "item" in target


@pytest.mark.slow
@settings(max_examples=300)
@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=60))
def test_no_target_at_all_reaches_it(at: RunningDoor, shop: Shop, target: str) -> None:
    for start in ("/", "/api/", "/api/shop/", "/admin/", ""):
        assert (
            int(at.exchange(f"GET {start}{target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())[9:12])
            < 500
        )
    assert [] == shop.reached
