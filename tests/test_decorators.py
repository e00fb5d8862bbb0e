"""The marks, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from tautomer.decorators import ActionMark, EventMark, action, event, marks_of
from tautomer.errors import ServiceSchemaError


class TestAction:
    def test_works_bare_called_and_with_a_name(self) -> None:
        @action
        def bare(ctx: Any) -> None: ...

        @action()
        def called(ctx: Any) -> None: ...

        @action("other")
        def by_place(ctx: Any) -> None: ...

        @action(name="other")
        def by_keyword(ctx: Any) -> None: ...

        assert (ActionMark(),) == marks_of(bare) == marks_of(called)
        assert (ActionMark(name="other"),) == marks_of(by_place) == marks_of(by_keyword)

    def test_keeps_all_that_it_was_told(self) -> None:
        @action(params=["a"], visibility="public", timeout=2.5, rest="GET /", cache=True, openapi={"summary": "x"})
        def get(ctx: Any) -> None: ...

        assert (
            ActionMark(
                params=["a"],
                visibility="public",
                timeout=2.5,
                rest="GET /",
                extra={"cache": True, "openapi": {"summary": "x"}},
            ),
        ) == marks_of(get)

    def test_leaves_the_function_as_it_is(self) -> None:
        def get(ctx: Any) -> int:
            return 5

        assert get is action(get)
        assert get is action(timeout=1)(get)
        assert 5 == get(None)

    def test_two_marks_stand_in_the_order_in_which_they_are_written(self) -> None:
        @action("one")
        @event("two")
        @action("three")
        def many(ctx: Any) -> None: ...

        assert ["one", "two", "three"] == [mark.name for mark in marks_of(many)]

    @pytest.mark.parametrize("visibility", ["Published", "", "hidden", 5, True, []])
    def test_refuses_a_visibility_that_is_none_of_the_four(self, visibility: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="published, public, protected, private"):
            action(visibility=visibility)

    @pytest.mark.parametrize("visibility", ["published", "public", "protected", "private", None])
    def test_takes_the_four_and_none(self, visibility: Any) -> None:
        assert callable(action(visibility=visibility))

    @pytest.mark.parametrize("timeout", [-1, -0.1, float("nan"), float("inf"), "5", True, [5]])
    def test_refuses_a_timeout_that_is_no_number_of_seconds(self, timeout: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="seconds"):
            action(timeout=timeout)

    @pytest.mark.parametrize("timeout", [0, 0.001, 5, 5.5, None])
    def test_takes_any_number_of_seconds_and_zero_for_none(self, timeout: Any) -> None:
        assert callable(action(timeout=timeout))

    @pytest.mark.parametrize("name", [5, ["a"], {"name": "a"}, b"a"])
    def test_refuses_a_name_that_is_no_text(self, name: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="is a text"):
            action(name=name)
        with pytest.raises(ServiceSchemaError, match="is a text"):
            action(name)


class TestEvent:
    def test_works_bare_called_and_with_a_pattern(self) -> None:
        @event
        def bare(ctx: Any) -> None: ...

        @event()
        def called(ctx: Any) -> None: ...

        @event("user.*")
        def by_place(ctx: Any) -> None: ...

        @event(name="user.*")
        def by_keyword(ctx: Any) -> None: ...

        assert (EventMark(),) == marks_of(bare) == marks_of(called)
        assert (EventMark(name="user.*"),) == marks_of(by_place) == marks_of(by_keyword)

    def test_keeps_all_that_it_was_told(self) -> None:
        @event("user.*", group="mail", params={"id": "number"}, debounce=5, colour="red")
        def heard(ctx: Any) -> None: ...

        params, extra = {"id": "number"}, {"colour": "red"}
        assert (EventMark(name="user.*", group="mail", params=params, debounce=5, extra=extra),) == marks_of(heard)

    @pytest.mark.parametrize("name", [5, ["a"], b"a"])
    def test_refuses_a_name_that_is_no_text(self, name: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="is a text"):
            event(name=name)


def test_what_is_not_marked_has_no_marks() -> None:
    assert () == marks_of(len) == marks_of(None) == marks_of(5)
