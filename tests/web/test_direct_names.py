"""The name of an action in a path."""

from __future__ import annotations

import re

import pytest

from tautomer.web.routing.direct import DirectNames


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("users/list", "users.list"),
        ("v2/users.list", "v2.users.list"),
        ("~node/list", "$node.list"),
        ("a~b/c~d", "a$b.c~d"),
        ("", None),
        ("users//list", None),
        ("users/", None),
    ],
)
def test_slashes_are_dots_and_the_first_tilde_is_a_dollar(rest, expected):
    assert expected == DirectNames().action(rest)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        # What lodash 4 makes of them.
        ("list-all", "listAll"),
        ("list_all", "listAll"),
        ("LIST-All", "listAll"),
        ("listAll", "listAll"),
        ("HTMLPage", "htmlPage"),
        ("fooBAR2", "fooBar2"),
        ("v2", "v2"),
        ("abc2def", "abc2Def"),
        ("2fa", "2Fa"),
        ("aB1C", "aB1C"),
        ("A1b2C3", "a1B2C3"),
        ("getUserByID5x", "getUserById5X"),
        # Where we differ from it.
        ("$node", "$node"),
        ("héllo wörld", "hélloWörld"),
    ],
)
def test_camel_case_is_that_of_moleculer_web(part, expected):
    assert f"x.{expected}" == DirectNames(camel_case=True).action(f"x/{part}")


def test_an_expression_is_not_tried_on_a_path_that_is_too_long():
    names = DirectNames(special_char=re.compile("x"))

    assert "$.list" == names.action("x/list")
    assert "x" * 257 == names.action("x" * 257)
