"""Whitelist and blacklist."""

from __future__ import annotations

import re

import pytest

from tautomer.web.routing.access import AccessRules, mask_fault


@pytest.mark.parametrize(
    ("mask", "action", "expected"),
    [
        ("users.get", "users.get", True),
        ("users.get", "users.get2", False),
        ("users.get", "xusers.get", False),
        ("users.get", "users.get\n", False),
        ("users.get", "usersxget", False),
        ("users.*", "users.get", True),
        ("users.*", "users.a.b", False),
        ("users.**", "users.a.b", True),
        ("users.*", "usersxget", False),
        ("*.list", "users.list", True),
        ("*.list", "usersxlist", False),
        ("*", "users.list", False),
        ("**", "users.list", True),
        ("v?.users.get", "v2.users.get", True),
        ("v?.users.get", "v12.users.get", False),
        ("users.*", "users.a\nb", True),
        ("v[12].users.get", "v2.users.get", True),
        ("v[1-3].users.get", "v3.users.get", True),
        ("v[!1-3].users.get", "v3.users.get", False),
        ("v[!1-3].users.get", "v4.users.get", True),
        ("v[].users.get", "v[].users.get", True),
        ("v[^1].get", "v^.get", True),
        (re.compile("^users"), "users.get", True),
        (re.compile("get"), "users.get", True),
        (re.compile("^get"), "users.get", False),
        ("**", "a." + "b" * 300, False),
    ],
)
def test_a_mask_means_what_it_says(mask, action, expected):
    assert expected is AccessRules(whitelist=[mask]).permits(action)


def test_no_whitelist_is_all_and_an_empty_one_is_none():
    assert AccessRules().permits("users.get")
    assert not AccessRules(whitelist=[]).permits("users.get")


def test_the_blacklist_comes_second():
    rules = AccessRules(whitelist=["users.*"], blacklist=["users.remove"])

    assert rules.permits("users.get")
    assert not rules.permits("users.remove")
    assert not rules.permits("posts.get")


@pytest.mark.parametrize(
    ("whitelist", "expected"),
    [
        (None, False),
        (["**"], False),
        (["*.list"], False),
        (["$node.*"], True),
        (["$node.health"], False),
        (["$**"], True),
    ],
)
def test_internal_actions_are_named_by_a_path_only_where_the_whitelist_names_them(whitelist, expected):
    assert expected is AccessRules(whitelist=whitelist).permits_direct("$node.list", "api")


def test_no_path_names_an_action_of_the_gateway_itself():
    assert not AccessRules(whitelist=["**"]).permits_direct("api.listAliases", "api")
    assert AccessRules(whitelist=["**"]).permits_direct("apis.list", "api")


@pytest.mark.parametrize("mask", [5, None, "", b"users", re.compile(b"users"), "v[3-1].x", "v[a--b].x"])
def test_what_is_no_mask_is_told(mask):
    assert mask_fault(mask)
