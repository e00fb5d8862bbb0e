"""Files, for paths that lead nowhere else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tautomer.errors import ServiceSchemaError
from tautomer.web.messages.message import Reply
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor

PAGE = b"<h1>hello</h1>"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "public"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".hidden").mkdir()
    (root / "index.html").write_bytes(PAGE)
    (root / "docs" / "index.html").write_bytes(b"docs")
    (root / "docs" / "a b.txt").write_bytes(b"text")
    (root / "large.bin").write_bytes(os.urandom(300_000))
    (root / ".env").write_bytes(b"secret")
    (root / ".hidden" / "x.txt").write_bytes(b"secret")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    (root / "out.txt").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "in.txt").symlink_to(root / "docs" / "a b.txt")
    (root / "plain.txt").symlink_to(root / ".env")
    return root


ROUTES: list[Any] = [
    {"path": "/api", "aliases": {"GET /x": lambda request: "x", "POST /index.html": lambda request: "posted"}}
]


async def test_a_file_is_sent_with_what_caches_need(door: OpenDoor, folder: Path):
    at = await door(routes=ROUTES, assets={"folder": str(folder)})

    seen = await at.get("/docs/a%20b.txt")

    assert (200, b"text") == (seen.status, seen.body)
    assert "text/plain; charset=utf-8" == seen.header("content-type")
    assert "public, max-age=0" == seen.header("cache-control")
    assert "bytes" == seen.header("accept-ranges")
    assert seen.header("etag")
    assert seen.header("last-modified")
    assert seen.header("x-request-id")


async def test_a_head_is_told_the_length_and_no_more(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.ask("HEAD", "/large.bin")

    assert (200, "300000", b"") == (seen.status, seen.header("content-length"), seen.body)


async def test_a_large_file_comes_whole_and_with_its_length(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.get("/large.bin")

    assert ("300000", (folder / "large.bin").read_bytes()) == (seen.header("content-length"), seen.body)


@pytest.mark.parametrize("header", ["If-None-Match", "If-Modified-Since"])
async def test_who_has_it_already_is_told_so(door: OpenDoor, folder: Path, header: str):
    at = await door(routes=[], assets={"folder": folder})
    first = await at.get("/index.html")
    known = first.header("etag" if header == "If-None-Match" else "last-modified")
    assert known is not None

    seen = await at.get("/index.html", **{header: known})

    assert (304, b"", first.header("etag")) == (seen.status, seen.body, seen.header("etag"))
    assert "public, max-age=0" == seen.header("cache-control")


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If-Match": "{tag}"}, 200),
        ({"If-Match": '"other", {tag}'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "W/{tag}"}, 412),
        ({"If-Match": "{tag}", "If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 200),
        ({"If-Match": '"other"', "If-None-Match": "{tag}"}, 412),
        ({"If-Match": "{tag}", "If-None-Match": "{tag}"}, 304),
        ({"If-Unmodified-Since": "{date}"}, 200),
        ({"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Match": '"other"', "Range": "bytes=0-1"}, 412),
    ],
)
async def test_who_wants_one_version_gets_no_other(door: OpenDoor, folder: Path, conditions: Any, status: int):
    at = await door(routes=[], assets={"folder": folder})
    first = await at.get("/index.html")
    known = {"tag": first.header("etag"), "date": first.header("last-modified")}

    answer = await at.get("/index.html", **{name: value.format(**known) for name, value in conditions.items()})

    assert status == answer.status
    assert status != 412 or answer.type == "PRECONDITION_FAILED"


@pytest.mark.parametrize(
    ("off", "header"), [("etag", "ETag"), ("lastModified", "Last-Modified"), ("last_modified", "Last-Modified")]
)
async def test_what_is_turned_off_is_neither_sent_nor_compared(door: OpenDoor, folder: Path, off: str, header: str):
    on = await door(routes=[], assets={"folder": folder})
    at = await door(routes=[], assets={"folder": folder, "options": {off: False}})
    known = (await on.get("/index.html")).header(header)
    compared = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}[header]

    answer = await at.get("/index.html", **{compared: known})

    assert (200, None) == (answer.status, answer.header(header))
    other = "Last-Modified" if header == "ETag" else "ETag"
    assert (await on.get("/index.html")).header(other) == answer.header(other)


async def test_a_folder_gets_no_slash_where_that_is_turned_off(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder, "options": {"redirect": False}})

    assert [404, 200] == [(await at.get(path)).status for path in ("/docs", "/docs/")]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.json", "application/json; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.png", "image/png"),
    ],
)
async def test_files_of_text_are_utf_8(door: OpenDoor, folder: Path, name: str, media_type: str):
    (folder / name).write_bytes(b"{}")
    at = await door(routes=[], assets={"folder": folder})

    whole, part = await at.get(f"/{name}"), await at.get(f"/{name}", Range="bytes=0-0")

    assert [media_type] * 2 == [whole.header("content-type"), part.header("content-type")]


@pytest.mark.parametrize(
    ("asked", "status", "body", "told"),
    [
        ("bytes=0-3", 206, PAGE[:4], "bytes 0-3/14"),
        ("bytes=10-", 206, PAGE[10:], "bytes 10-13/14"),
        ("bytes=-2", 206, PAGE[-2:], "bytes 12-13/14"),
        ("bytes=nonsense", 200, PAGE, None),
        ("lines=1-2", 200, PAGE, None),
        ("bytes=0-0,2-2,4-4,6-6,8-8,10-10", 200, PAGE, None),
    ],
)
async def test_parts_of_a_file(door: OpenDoor, folder: Path, asked: str, status: int, body: bytes, told: str | None):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.get("/index.html", Range=asked)

    assert (status, body, told) == (seen.status, seen.body, seen.header("content-range"))


async def test_a_part_behind_the_end_is_refused(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.get("/index.html", Range="bytes=99-")

    assert (416, "RANGE_NOT_SATISFIABLE", "bytes */14") == (seen.status, seen.type, seen.header("content-range"))


@pytest.mark.parametrize(
    ("target", "location"),
    [("/docs", "./docs/"), ("/docs?a=%20b", "./docs/?a=%20b")],
)
async def test_a_folder_with_an_index_gets_its_slash(door: OpenDoor, folder: Path, target: str, location: str):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.get(target, Host="evil.example")

    assert (301, location) == (seen.status, seen.header("location"))


async def test_a_location_can_name_no_other_host(door: OpenDoor, folder: Path):
    odd = folder / "http:x"
    odd.mkdir()
    (odd / "index.html").write_bytes(b"")
    at = await door(routes=[], assets={"folder": folder})

    assert "./http%3Ax/" == (await at.get("/http:x")).header("location")
    assert 404 == (await at.get("//docs")).status


async def test_an_index_stands_for_its_folder(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder})

    assert (PAGE, b"docs") == ((await at.get("/")).body, (await at.get("/docs/")).body)


NOT_THERE = [
    "/none.txt",
    "/empty",
    "/empty/",
    "/index.html/",
    "/index.html/x",
    "/docs//index.html",
    "/.env",
    "/.hidden/x.txt",
    "/out.txt",
    "/up/secret.txt",
    "/plain.txt",
    "/" + "a" * 300,
    "/api/index.html",
]
REFUSED = [
    "/../secret.txt",
    "/%2e%2e/secret.txt",
    "/..%2fsecret.txt",
    "/..%5csecret.txt",
    "/docs/%00",
    "/a%",
    "/docs\\a",
]


@pytest.mark.parametrize("target", NOT_THERE)
async def test_what_is_not_for_strangers_is_not_there(door: OpenDoor, folder: Path, target: str):
    at = await door(routes=ROUTES[:0], assets={"folder": folder})

    seen = await at.get(target)

    assert (404, "NOT_FOUND", "NotFoundError") == (seen.status, seen.type, seen.json["name"])


@pytest.mark.parametrize("target", REFUSED)
async def test_ways_out_of_the_folder_are_refused_before_any_file_is_looked_at(
    door: OpenDoor, folder: Path, target: str
):
    at = await door(routes=[], assets={"folder": folder})

    seen = await at.get(target)

    assert 400 == seen.status
    assert b"secret" not in seen.body


async def test_a_link_inside_of_the_folder_is_followed(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder})

    assert b"text" == (await at.get("/in.txt")).body


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_cannot_be_read_is_not_there(door: OpenDoor, folder: Path):
    (folder / "closed.txt").write_bytes(b"x")
    (folder / "closed.txt").chmod(0)
    at = await door(routes=[], assets={"folder": folder})

    assert 404 == (await at.get("/closed.txt")).status


async def test_a_pipe_is_no_file(door: OpenDoor, folder: Path):
    os.mkfifo(folder / "pipe")
    at = await door(routes=[], assets={"folder": folder})

    assert 404 == (await at.get("/pipe")).status


async def test_aliases_come_before_files(door: OpenDoor, folder: Path):
    aliases = {"GET /index.html": lambda request: "alias", "POST /docs": lambda request: "posted"}
    at = await door(routes=[{"aliases": aliases}], assets={"folder": folder})

    assert "alias" == (await at.get("/index.html")).json
    assert b"docs" == (await at.get("/docs/")).body  # Though the path has another method.
    assert (404, "NOT_FOUND") == ((seen := await at.ask("POST", "/large.bin")).status, seen.type)
    assert 405 == (await at.ask("PUT", "/index.html")).status


async def test_files_may_stand_below_a_path(door: OpenDoor, folder: Path):
    at = await door(routes=[{"path": "/x", "aliases": {}}], path="/api", assets={"folder": folder, "path": "/assets"})

    seen = [
        (await at.get(path)).status for path in ("/assets/index.html", "/Assets/", "/assets", "/index.html", "/assetsx")
    ]

    assert [200, 200, 301, 404, 404] == seen


async def test_routes_and_gateway_answer_for_what_is_not_there(door: OpenDoor, folder: Path):
    at = await door(
        routes=[{"path": "/a", "aliases": {}, "onError": lambda request, error: Reply(error.code, [("X-Route", "a")])}],
        assets={"folder": folder},
        onError=lambda request, error: Reply(error.code, [("X-Gateway", "1")]),
    )

    assert ("a", "1") == ((await at.get("/a/none")).header("x-route"), (await at.get("/none")).header("x-gateway"))
    assert 200 == (await at.get("/index.html")).status


async def test_the_options_are_obeyed(door: OpenDoor, folder: Path):
    options = {"maxAge": 3_600_000, "immutable": True, "dotfiles": "allow", "index": False}
    at = await door(routes=[], assets={"folder": folder, "options": options})

    assert "public, max-age=3600, immutable" == (await at.get("/index.html")).header("cache-control")
    assert (b"secret", 404) == ((await at.get("/.env")).body, (await at.get("/docs/")).status)


async def test_every_file_has_the_headers_of_the_settings(door: OpenDoor, folder: Path):
    policy = {"Content-Security-Policy": "default-src 'self'", "cache-control": "no-store"}
    at = await door(routes=[], assets={"folder": folder, "headers": policy})

    first = await at.get("/")
    again = await at.get("/", **{"If-None-Match": first.header("etag") or ""})
    for answer, status in ((first, 200), (again, 304)):
        assert status == answer.status
        assert "default-src 'self'" == answer.header("content-security-policy")
        assert ["no-store"] == [value for name, value in answer.headers if name == "cache-control"]
    assert (await at.get("/none")).header("content-security-policy") is None


async def test_without_html_a_folder_has_no_index(door: OpenDoor, folder: Path):
    at = await door(routes=[], assets={"folder": folder, "html": False})

    assert [404, 404, 200] == [(await at.get(path)).status for path in ("/", "/docs/", "/docs/index.html")]


@pytest.mark.parametrize(
    ("assets", "told"),
    [
        ({"folder": "/nowhere/at/all"}, "settings.assets.folder is the path of a folder; there is none"),
        ({"folder": __file__}, "there is none"),
        ({"folder": 5}, "settings.assets.folder is the path of a folder, not 5"),
        ({}, "settings.assets.folder is missing"),
        ({"foldr": "."}, "did you mean 'folder'"),
        ("public", "settings.assets is a mapping"),
        ({"folder": ".", "options": {"dotfiles": "deny"}}, "settings.assets.options.dotfiles is 'ignore'"),
        ({"folder": ".", "options": {"index": ["a.html"]}}, "settings.assets.options.index is the name of one file"),
        ({"folder": ".", "options": {"index": "../x"}}, "settings.assets.options.index is the name of one file"),
        ({"folder": ".", "options": {"maxAge": "1d"}}, "settings.assets.options.maxAge is a number"),
        ({"folder": ".", "options": {"extensions": ["html"]}}, "extensions is not supported yet"),
        ({"folder": ".", "options": {"setHeaders": print}}, "setHeaders is not supported yet: use 'headers'"),
        ({"folder": ".", "headers": {"X-A": 5}}, "settings.assets.headers takes names and texts"),
        ({"folder": ".", "headers": {"X A": "b"}}, "settings.assets.headers takes names and texts"),
        ({"folder": ".", "headers": {"X-A": "b\r\nX-B: c"}}, "settings.assets.headers takes names and texts"),
        ({"folder": ".", "headers": {"Content-Length": "0"}}, "settings.assets.headers takes names and texts"),
        ({"folder": ".", "options": {"acceptRanges": False}}, "options.acceptRanges cannot be turned off: ranges are"),
        (
            {"folder": ".", "options": {"cacheControl": False}},
            "options.cacheControl cannot be turned off: use 'maxAge'",
        ),
        ({"folder": ".", "options": {"fallthrough": False}}, "options.fallthrough cannot be turned off"),
        ({"folder": ".", "options": {"etag": "strong"}}, "options.etag is true or false"),
        ({"folder": ".", "options": {"etg": True}}, "options.etg is not a setting"),
    ],
)
def test_what_is_wrong_in_the_settings_is_told(assets: Any, told: str):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings({"assets": assets}, {})

    assert any(told in fault for fault in raised.value.data["faults"]), raised.value.data


def test_options_that_ask_for_what_is_so_anyway_are_taken():
    options = {"etag": True, "lastModified": True, "acceptRanges": True, "redirect": True, "extensions": False}

    read_settings({"assets": {"folder": ".", "options": options}}, {})
