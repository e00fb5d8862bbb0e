"""The page for those who come from moleculer-web names every setting there is, and refuses none that is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tautomer.web.routing.aliases import ALIAS_KEYS
from tautomer.web.settings import body_parsers, guards, loading, query_rules, serving, uploads
from tests.web.test_settings import GATEWAY_KEYS, ROUTE_KEYS

PAGE = (Path(__file__).parents[2] / "docs/how-to/coming-from-moleculer-web.md").read_text("utf-8")
REFUSED: dict[str, Mapping[str, str]] = {
    "https": serving._HTTPS_LATER,
    "assets.options": serving._OPTIONS_LATER,
    "qsOptions": query_rules._LATER,
    "rootCallOptions": guards._ROOT_LATER,
    "callOptions": loading._CALL_LATER,
    "bodyParsers.json": body_parsers._COMMON_LATER | body_parsers._LATER["json"],
    "bodyParsers.urlencoded": body_parsers._COMMON_LATER | body_parsers._LATER["urlencoded"],
    "bodyParsers.text`, `bodyParsers.raw": body_parsers._COMMON_LATER,
    "busboyConfig": uploads._LATER,
    "busboyConfig.limits": uploads._LIMITS_LATER,
}


def plain(name: str) -> str:
    """In one spelling: ``isPartAFile`` and ``is_part_afile`` are one."""
    return name.replace("_", "").lower()


def table(heading: str) -> dict[str, str]:
    """First column to second, of the first table below a heading."""
    text = PAGE.partition(f"# {heading}\n")[2].partition("\n#")[0]
    rows = [line.strip("| ").split(" | ", 1) for line in text.splitlines() if line.startswith("| ")]
    return {row[0]: row[1] for row in rows}


def named(text: str) -> set[str]:
    return set(re.findall(r"`([A-Za-z0-9_]+)`", text))


@pytest.mark.parametrize(
    ("heading", "keys"), [("Settings of the gateway", GATEWAY_KEYS), ("Settings of a route", ROUTE_KEYS)]
)
def test_it_has_every_setting_of_moleculer_web_in_the_table_of_its_level(heading: str, keys: list[str]) -> None:
    rows = [name for first in table(heading) for name in named(first)]

    assert sorted(set(keys)) == sorted(rows)


def test_it_has_every_key_of_an_alias() -> None:
    text = PAGE.partition("### Aliases\n")[2].partition("\n#")[0]

    assert [] == [key for key in ALIAS_KEYS if plain(key) not in plain(text)]


def test_it_has_what_is_refused_and_nothing_else() -> None:
    rows = {first.strip("`"): {plain(name) for name in named(rest)} for first, rest in table("Refused options").items()}
    rows.pop("of")

    assert {of: {plain(key) for key in keys} for of, keys in REFUSED.items()} == {
        of: {name for name in names if name != "false"} for of, names in rows.items()
    }
