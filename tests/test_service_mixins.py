"""Mixins of services: who wins, and what adds up (protocol reference, section 6.5)."""

from __future__ import annotations

import functools
from typing import Any, ClassVar, cast

import pytest

from tautomer.decorators import action, event
from tautomer.errors import ServiceSchemaError
from tautomer.service import Service

from .attaching import NOBODY, actions_of, attached, events_of


class Noted(Service):
    """Writes down which of its steps ran."""

    name = "noted"

    def note(self, step: str) -> None:
        self.__dict__.setdefault("notes", []).append(step)


def steps(service: Any, kind: str) -> list[str]:
    service.__dict__["notes"] = []
    for hook in service.life_cycle(kind):
        hook()
    return cast(list[str], service.__dict__["notes"])


class MixinA:
    settings: ClassVar[dict[str, Any]] = {"who": "a", "deep": {"a": 1, "both": "a"}, "$secureSettings": ["deep.a"]}
    metadata: ClassVar[dict[str, Any]] = {"who": "a", "a": 1}
    dependencies: ClassVar[list[Any]] = ["users", "posts"]
    table = "table of a"

    def created(self) -> None:
        self.note("a")  # type: ignore[attr-defined]  # The service has it.

    started = stopped = stopping = created

    @action(params={"a": "number", "b": "number"}, timeout=5, visibility="private", cache={"ttl": 5, "keys": ["a"]})
    def get(self, ctx: Any) -> str:
        return "get of a"

    @action
    def only_a(self) -> str:
        return f"only a, {self.table}"

    @event("x", group="mail")
    def heard(self) -> str:
        return "a"

    def helper(self) -> str:
        return "helper of a"

    @staticmethod
    def static(value: int) -> int:
        return value + 1

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__


class MixinB:
    settings: ClassVar[dict[str, Any]] = {"who": "b", "deep": {"b": 2, "both": "b"}, "$secureSettings": ["who"]}
    metadata: ClassVar[dict[str, Any]] = {"who": "b", "b": 2}
    dependencies = "users"

    def created(self) -> None:
        self.note("b")  # type: ignore[attr-defined]  # The service has it.

    started = stopped = stopping = created

    @action(rest="GET /", timeout=7)
    def get(self, ctx: Any) -> str:
        return "get of b"

    @action
    def only_b(self) -> str:
        return "only b"

    @event("x")
    def heard_too(self) -> str:
        return "b"

    def helper(self) -> str:
        return "helper of b"


class TestMixins:
    def made(self, **attributes: Any) -> Any:
        return attached(type("Math", (Noted,), {"name": "math", "mixins": [MixinA, MixinB], **attributes}))

    def test_the_first_wins_over_later_ones_and_the_services_own_over_all(self) -> None:
        assert "get of a" == actions_of(self.made())["get"].method(None)
        assert "helper of a" == self.made().helper()
        own = self.made(helper=lambda self: "own", get=action()(lambda self: "own"))
        assert ("own", "own") == (own.helper(), actions_of(own)["get"].method())

    def test_all_their_actions_are_taken_in(self) -> None:
        assert {"get", "only_a", "only_b"} == set(actions_of(self.made()))

    def test_an_action_fills_in_what_the_stronger_one_of_its_name_does_not_say(self) -> None:
        """Deep defaults for each action; what is private in the mixin does not become public by being written anew."""
        mine = action(params={"a": "string"}, cache={"ttl": 9})(lambda self, ctx: "own")
        get = actions_of(self.made(get=mine))["get"]

        assert "own" == get.method(None)
        assert ({"a": "string", "b": "number"}, "private", 5, "GET /", {"cache": {"ttl": 9, "keys": ["a"]}}) == (
            get.params,
            get.visibility,
            get.timeout,
            get.rest,
            get.extra,
        )

    def test_what_the_stronger_one_says_holds(self) -> None:
        mine = action(visibility="published", timeout=0, rest="POST /")(lambda self: "own")
        get = actions_of(self.made(get=mine))["get"]

        assert ("published", 0, "POST /") == (get.visibility, get.timeout, get.rest)

    def test_an_action_is_the_same_by_its_name_and_not_by_its_methods(self) -> None:
        mine = action("get")(lambda self: "own")

        assert "own" == actions_of(self.made(fetch=mine))["get"].method()

    def test_false_takes_one_away(self) -> None:
        assert {"get", "only_b"} == set(actions_of(self.made(only_a=False)))

    def test_another_action_under_its_method_takes_one_away_too(self) -> None:
        mine = action("fetch")(lambda self: "own")

        assert {"fetch", "only_a", "only_b"} == set(actions_of(self.made(get=mine)))

    def test_listeners_add_up_the_mixins_first(self) -> None:
        mine = event("x")(lambda self: "own")
        events = events_of(self.made(heard=mine))

        assert [("x", "mail")] == list(events)
        assert ["b", "a", "own"] == [method() for method in events["x", "mail"].methods]

    def test_the_group_of_an_event_is_the_strongest_that_is_said(self) -> None:
        mine = event("x", group="audit")(lambda self: "own")
        events = events_of(self.made(mixins=[MixinB], heard=mine))

        assert {("x", "audit"): ["b", "own"]} == {
            key: [method() for method in one.methods] for key, one in events.items()
        }

    def test_settings_and_metadata_are_deep_defaults_and_secrets_add_up(self) -> None:
        service = self.made(settings={"deep": {"own": 3}}, metadata={"own": 3})

        assert {
            "who": "a",
            "deep": {"a": 1, "b": 2, "both": "a", "own": 3},
            "$secureSettings": ["who", "deep.a"],
        } == service.settings
        assert {"who": "a", "a": 1, "b": 2, "own": 3} == service.metadata
        assert {"deep": {"b": 2, "both": "a", "own": 3}} == service.public_settings()

    def test_dependencies_are_united(self) -> None:
        assert ["posts", "users"] == self.made(dependencies=["posts"]).dependencies
        assert ["users", "posts"] == self.made(dependencies=()).dependencies

    def test_life_cycle_runs_the_mixins_first_and_at_stop_last(self) -> None:
        own = {kind: lambda self: self.note("own") for kind in ("created", "started", "stopping", "stopped")}
        service = self.made(**own)

        assert ["b", "a", "own"] == steps(service, "created") == steps(service, "started")
        assert ["own", "a", "b"] == steps(service, "stopping") == steps(service, "stopped")

    def test_a_service_without_steps_of_its_own_runs_theirs(self) -> None:
        assert ["b", "a"] == steps(self.made(), "started")

    def test_attributes_static_and_class_methods_come_along(self) -> None:
        service = self.made()

        assert "only a, table of a" == actions_of(service)["only_a"].method()
        assert (6, "Math") == (service.static(5), service.of_class())
        assert "own table" == self.made(table="own table").table

    def test_mixins_of_mixins_come_along_weaker_than_what_took_them_in(self) -> None:
        class Outer:
            mixins = MixinA

            def helper(self) -> str:
                return "helper of outer"

        service = self.made(mixins=(Outer, MixinB))

        assert "helper of outer" == service.helper()
        assert {"get", "only_a", "only_b"} == set(actions_of(service))
        assert ["b", "a"] == steps(service, "started")

    def test_a_circle_of_mixins_comes_to_an_end(self) -> None:
        class One:
            mixins: ClassVar[list[type]] = []

        One.mixins.append(One)

        assert [] == self.made(mixins=[One]).action_defs()

    def test_one_that_is_there_twice_is_taken_in_once(self) -> None:
        class Derived(MixinA): ...

        service = self.made(mixins=[Derived, MixinA, Derived])

        assert ["a"] == [method() for method in events_of(service)["x", "mail"].methods]
        assert ["a"] == steps(service, "started")

    def test_what_the_class_inherits_from_is_not_mixed_in_again(self) -> None:
        made = type("Math", (MixinA, Noted), {"name": "math", "mixins": [MixinA]})
        service = attached(made)

        assert ["a"] == [method() for method in events_of(service)["x", "mail"].methods]
        assert ["a"] == steps(service, "started")

    def test_a_service_may_be_a_mixin_and_lends_its_name_and_version_where_there_is_none(self) -> None:
        class Base(Service):
            name = "base"
            version = 3

            @action
            def get(self) -> None: ...

        class Mine(Service):
            mixins = [Base]

        class Named(Service):
            name = "named"
            version = 1
            mixins = [Base]

        assert ("v3.base", "v1.named") == (attached(Mine).full_name, attached(Named).full_name)
        assert {"get"} == set(actions_of(Named))

    @pytest.mark.parametrize("odd", [MixinA(), "MixinA", {"actions": {}}, None])
    def test_what_is_no_class_is_refused(self, odd: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="mixins of Math are classes"):
            self.made(mixins=[MixinA, odd])

    def test_a_property_is_refused_with_the_remedy(self) -> None:
        class Odd:
            @property
            def url(self) -> str:
                return "x"

        class Lazy:
            @functools.cached_property
            def url(self) -> str:
                return "x"

        for mixin in (Odd, Lazy):
            with pytest.raises(ServiceSchemaError, match=r"let Math inherit from (Odd|Lazy) instead"):
                self.made(mixins=[mixin])
            assert "own" == self.made(mixins=[mixin], url="own").url

    def test_taking_in_twice_changes_nothing(self) -> None:
        service = self.made(dependencies=["posts"])
        before = (service.settings, service.metadata, service.dependencies, len(service.action_defs()))
        service.attach(NOBODY)

        assert before == (service.settings, service.metadata, service.dependencies, len(service.action_defs()))

    def test_the_mixins_own_settings_stay_as_they_are(self) -> None:
        service = self.made()
        service.settings["deep"]["a"] = "changed"

        assert {"a": 1, "both": "a"} == MixinA.settings["deep"]
