"""Paths: decoded once, and only such as can be read in one way."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.errors import BadRequestError
from tautomer.web.messages.target import decode_path, split_target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", ("/", "")),
        ("/a?b", ("/a", "b")),
        ("/a?b?c", ("/a", "b?c")),
        ("/a?", ("/a", "")),
        ("/a%3Fb?c=%2e", ("/a?b", "c=%2e")),
        ("/%41%c3%a9", ("/Aé", "")),
        ("/a?/../b\\%00", ("/a", "/../b\\%00")),
        ("//a//b/", ("//a//b/", "")),
        ("http://h/a?b", ("/a", "b")),
        ("http://h?b", ("/", "b")),
    ],
)
def test_a_target_has_a_path_and_a_query(target: str, expected: tuple[str, str]) -> None:
    assert expected == split_target(target)


@pytest.mark.parametrize("segment", [".", "..", "%2e", "%2E.", ".%2e", "%2e%2e"])
@pytest.mark.parametrize("form", ["/{}", "/{}/", "/a/{}", "/a/{}/b", "//{}", "/%61/{}"])
def test_a_dot_segment_is_refused_in_any_spelling(segment: str, form: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        split_target(form.format(segment))

    assert (400, "INVALID_PATH") == (caught.value.code, caught.value.type)


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_path_is_refused_or_comes_out_as_it_went_in(text: str) -> None:
    """Whatever comes out holds nothing that a second reader could take for something else."""
    try:
        path = decode_path("/" + quote(text, safe=""))
    except BadRequestError:
        assert set("/\\") & set(text) or text in (".", "..") or any(not c.isprintable() for c in text)
    else:
        assert "/" + text == path


@given(st.text("/.%2eEfF5cC\\a\x00", max_size=12))
def test_no_spelling_yields_a_path_that_could_be_read_again(text: str) -> None:
    try:
        path, _ = split_target("/" + text)
    except BadRequestError:
        return

    assert path.startswith("/")
    assert not {"\\", "\x00"} & set(path)
    assert not {".", ".."} & set(path.split("/"))
    assert path.count("/") == text.partition("?")[0].count("/") + 1
