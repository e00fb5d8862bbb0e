"""Guarded actions that an open route reaches as well are told of, with both routes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tautomer.web.routing.access import AccessRules
from tautomer.web.routing.aliases import AliasDef, parse_alias
from tautomer.web.routing.overlaps import Overlaps, open_doors
from tautomer.web.routing.routes import Route
from tautomer.web.settings.records import Guards, RouteSettings


def never(*_: Any) -> Any:
    raise AssertionError


OFFERED = ["users.get", "users.remove", "$node.list", "api.listAliases"]


def route(path: str, aliases: dict[str, Any] | None = None, guard: str = "", **settings: Any) -> Route:
    pipelines: Any = SimpleNamespace(handler=lambda *_: never, refusal=lambda _: refused, lost=lambda _: never)
    made: list[AliasDef] = [alias for key, value in (aliases or {}).items() for alias in parse_alias(key, value)]
    guards = Guards(**{guard: never}) if guard else Guards()
    return Route(RouteSettings(path=path, aliases=tuple(made), guards=guards, **settings), pipelines, "api")


def refused(*_: Any) -> Any:
    raise AssertionError


def found(*routes: Route) -> list[tuple[str, str, str]]:
    return [(name, one.settings.path, other.settings.path) for name, one, other in open_doors(routes, "api", OFFERED)]


REMOVE = {"DELETE /users/:id": "users.remove"}
GET = {"GET /users/:id": "users.get"}


@pytest.mark.parametrize("guard", ["authentication", "authorization"])
def test_an_alias_of_an_open_route_to_a_guarded_action_is_found(guard):
    shut = route("/shut", REMOVE, guard)

    assert [("users.remove", "/shut", "/open")] == found(shut, route("/open", {**GET, **REMOVE}))


@pytest.mark.parametrize(
    ("access", "expected"),
    [
        (AccessRules(), True),
        (AccessRules(whitelist=["users.*"]), True),
        (AccessRules(whitelist=["users.get"]), False),
        (AccessRules(blacklist=["**.remove"]), False),
    ],
)
def test_an_open_route_in_which_paths_name_actions_is_found_if_its_lists_permit(access, expected):
    shut = route("/shut", REMOVE, "authentication")

    assert expected is bool(found(shut, route("/", mapping_policy="all", access=access)))


def test_a_guarded_route_in_which_paths_name_actions_guards_all_there_are():
    shut = route("/shut", guard="authentication", mapping_policy="all")

    assert [("users.get", "/shut", "/")] == found(shut, route("/", GET))


@pytest.mark.parametrize(
    "other",
    [
        route("/open", GET),
        route("/too", REMOVE, "authorization"),
        route("/none", REMOVE, access=AccessRules(whitelist=[])),
        route("/function", {"GET /x": never}),
    ],
)
def test_what_is_no_open_door_is_not_told(other):
    assert [] == found(route("/shut", REMOVE, "authentication"), other)


def told(caplog: pytest.LogCaptureFixture, overlaps: Overlaps, *routes: Sequence[Route]) -> list[tuple[str, str, str]]:
    caplog.set_level(logging.WARNING)
    for one in routes:
        overlaps.tell(one, OFFERED)
    return [(record.guarded, record.open, record.actions) for record in caplog.records]  # type: ignore[attr-defined]


def test_each_is_told_once_for_as_long_as_it_lasts(caplog):
    shut = route("/shut", {**GET, **REMOVE}, guard="authentication")
    one, other = route("/one", {**GET, **REMOVE}, name="first"), route("/other", GET)

    assert [("/shut", "/one (first)", "users.get, users.remove"), ("/shut", "/other", "users.get")] == told(
        caplog, Overlaps("api"), [shut, one], [shut, one], [shut, one, other]
    )


def test_one_that_was_mended_and_comes_back_is_told_again(caplog):
    shut, ajar = route("/shut", GET, guard="authentication"), route("/open", GET)

    assert 2 == len(told(caplog, Overlaps("api"), [shut, ajar], [shut], [shut, ajar]))
