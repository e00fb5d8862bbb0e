"""The gateway's own pages: where they are, who comes before them, and that they ask nothing of other hosts."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tautomer import Context, Service, action
from tautomer.errors import ServiceSchemaError
from tautomer.web.settings.loading import read_settings
from tests.web.conftest import OpenDoor

ROOT = Path(__file__).parents[3]


class Own(Service):
    name = "own"

    @action(rest="GET /docs")
    def docs(self, ctx: Context) -> str:
        return "mine"


@pytest.mark.parametrize("prefix", ["/", "/api", "/api/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_all_that_the_page_names_is_there(door: OpenDoor, prefix, slash):
    at = await door(routes=[], path=prefix)
    page = prefix.rstrip("/") + "/docs" + slash

    answer = await at.get(page)

    assert (200, "text/html; charset=utf-8") == (answer.status, answer.header("Content-Type"))
    named = re.findall(r'(?:src|href)="([^"]+)"', answer.body.decode())
    assert 5 == len(named)
    for one in named:
        if not one.startswith("data:"):
            assert 200 == (await at.get(walked(page, one))).status, one


async def test_the_script_finds_the_document_from_where_it_is_itself(door: OpenDoor):
    at = await door(routes=[], path="/api")

    script = (await at.get("/api/docs/start.js")).body.decode()

    way = re.search(r'new URL\("([^"]+)", document.currentScript.src\)', script)
    assert way is not None
    assert "/api/openapi.json" == walked("/api/docs/start.js", way[1])
    assert "validatorUrl: null" in script


async def test_the_page_may_load_from_its_own_host_only(door: OpenDoor):
    at = await door(routes=[])

    answer = await at.get("/docs")

    policy = answer.header("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "<script>" not in answer.body.decode()
    assert "nosniff" == answer.header("X-Content-Type-Options")


async def test_what_others_have_under_such_a_path_comes_first(door: OpenDoor):
    aliases = {"GET /livez": lambda request: "mine", "GET /docs": "own.docs"}
    at = await door(Own, routes=[{"aliases": aliases}])
    annotated = await door(Own, routes=[{"autoAliases": True}], path="/", openapi={"docs": "/own/docs"})

    assert ["mine", "mine"] == [(await at.get(path)).json for path in ("/livez", "/docs")]
    assert "mine" == (await annotated.get("/own/docs")).json


async def test_files_under_such_a_path_come_first(door: OpenDoor, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("mine")
    at = await door(routes=[], assets={"folder": str(tmp_path)})

    assert (301, "mine") == ((await at.get("/docs")).status, (await at.get("/docs/")).body.decode())
    assert 200 == (await at.get("/openapi.json")).status


async def test_each_can_be_switched_off(door: OpenDoor):
    nothing = await door(routes=[], openapi=False, probes=False)
    no_page = await door(routes=[], openapi={"docs": False})

    statuses = [(await nothing.get(path)).status for path in ("/docs", "/openapi.json", "/livez", "/readyz")]
    assert [404] * 4 == statuses
    assert [200, 404] == [(await no_page.get(path)).status for path in ("/openapi.json", "/docs")]


async def test_they_are_no_aliases_of_the_api(door: OpenDoor):
    at = await door(routes=[{"autoAliases": True}])

    at.service._running.refresh()  # The gateway's own action is there only now.
    listed = (await at.get("/api/list-aliases")).json

    assert ["/api/list-aliases"] == [one["fullPath"] for one in listed]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"openapi": 5}, "settings.openapi is true, false or a mapping"),
        ({"openapi": {"path": "/"}}, "settings.openapi.path is a path without values"),
        ({"openapi": {"docs": "/:x"}}, "settings.openapi.docs is a path without values"),
        ({"openapi": {"titel": "x"}}, "did you mean 'title'"),
        ({"openapi": {"servers": [5]}}, "settings.openapi.servers is a text"),
        ({"probes": "yes"}, "settings.probes is true or false"),
    ],
)
def test_wrong_settings_are_told_at_start(given, fault):
    with pytest.raises(ServiceSchemaError) as raised:
        read_settings(given, {})

    assert fault in str(raised.value)


def test_the_vendored_files_are_what_the_lock_says():
    lock = json.loads((ROOT / "vendor.lock.json").read_text("utf-8"))

    for package in lock["packages"]:
        for one in package["files"]:
            assert one["sha512"] == hashlib.sha512((ROOT / one["to"]).read_bytes()).hexdigest(), one["to"]
    named = {Path(one["to"]).name for package in lock["packages"] for one in package["files"]}
    assert named == {file.name for file in (ROOT / "src/tautomer/web/pages/assets").iterdir()}


def walked(page: str, way: str) -> str:
    """Where a relative address leads, as a browser reads it."""
    steps = page.split("/")[:-1]
    for step in way.split("/"):
        if step == "..":
            steps.pop()
        else:
            steps.append(step)
    return "/".join(steps)
