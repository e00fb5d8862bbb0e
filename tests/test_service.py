"""Services: names, marks, and settings that stay at home."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.broker import Broker
from tautomer.decorators import action, event
from tautomer.errors import ServiceSchemaError
from tautomer.service import Service, dependency_list

from .attaching import actions_of, attached, events_of
from .protocol.values import TEXT, json_values


class TestNames:
    @pytest.mark.parametrize(
        ("version", "full_name"), [(None, "math"), (2, "v2.math"), (2.5, "v2.5.math"), ("beta", "beta.math")]
    )
    def test_the_full_name_has_the_version(self, version: Any, full_name: str) -> None:
        service = attached(Service("math", version=version))

        assert full_name == service.full_name
        assert f"{full_name}.add" == service.action_name("add")
        assert f"tautomer.service.{full_name}" == service.logger.name

    def test_the_prefixes_can_be_left_out(self) -> None:
        named = functools.partial(Service, "math", version=2)

        assert "math.add" == named(settings={"$noVersionPrefix": True}).action_name("add")
        assert "add" == named(settings={"$noServiceNamePrefix": True}).action_name("add")
        assert "v2.math.add" == named(settings={"$noVersionPrefix": False}).action_name("add")

    @pytest.mark.parametrize("name", ["", None, 5, b"math", ["math"]])
    def test_a_service_without_a_name_is_refused_with_the_remedy(self, name: Any) -> None:
        class Nameless(Service): ...

        Nameless.name = name
        with pytest.raises(ServiceSchemaError, match=r'Nameless has no name: set `name = "\.\.\."`'):
            attached(Nameless)

    @pytest.mark.parametrize(
        ("name", "version"), [("a b", None), ("a\n", None), ("x" * 256, None), ("math", "a b"), ("math", "x" * 255)]
    )
    def test_a_name_that_cannot_be_one_is_refused(self, name: str, version: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="not a service name"):
            attached(Service(name, version=version))

    @pytest.mark.parametrize("version", [True, [1], {"major": 1}, b"1"])
    def test_a_version_that_cannot_be_one_is_refused(self, version: Any) -> None:
        with pytest.raises(ServiceSchemaError, match="a text or a number"):
            attached(Service("math", version=version))

    def test_what_is_given_goes_before_what_the_class_says(self) -> None:
        class Math(Service):
            name = "math"
            version = 1
            settings = {"a": {"x": 1, "y": 2}}
            metadata = {"m": 1}

        service = Math("maths", version=2, settings={"a": {"x": 5}}, metadata={"n": 2})

        assert ("maths", 2, {"a": {"x": 5, "y": 2}}, {"m": 1, "n": 2}) == (
            service.name,
            service.version,
            service.settings,
            service.metadata,
        )
        assert {"a": {"x": 1, "y": 2}} == Math.settings


class TestMarks:
    def test_become_actions_and_events_bound_to_the_service(self) -> None:
        class Math(Service):
            name = "math"

            @action(params=["a"], visibility="public", timeout=2, rest="GET /", cache=True)
            def add(self, ctx: Any) -> Any:
                return self, ctx

            @event("user.*", group="mail", colour="red")
            def heard(self, ctx: Any) -> None: ...

            @action
            def plain(self) -> None: ...

            @event
            def of_its_own_name(self) -> None: ...

            def unmarked(self) -> None: ...

        service = attached(Math)
        add, plain = service.action_defs()

        assert ("add", ["a"], "public", 2, "GET /", {"cache": True}) == (
            add.name,
            add.params,
            add.visibility,
            add.timeout,
            add.rest,
            add.extra,
        )
        assert (service, 5) == add.method(5)
        assert ("plain", None, "published", None, None, {}) == (
            plain.name,
            plain.params,
            plain.visibility,
            plain.timeout,
            plain.rest,
            plain.extra,
        )
        assert [("user.*", "mail", {"colour": "red"}), ("of_its_own_name", None, {})] == [
            (one.name, one.group, one.extra) for one in service.event_defs()
        ]

    def test_two_actions_of_one_name_are_refused(self) -> None:
        class Math(Service):
            name = "math"

            @action
            def add(self) -> None: ...

            @action("add")
            def plus(self) -> None: ...

        with pytest.raises(ServiceSchemaError, match="'math' has two actions named 'add'"):
            actions_of(Math)

    def test_one_method_may_be_several_actions(self) -> None:
        class Math(Service):
            name = "math"

            @action("add")
            @action("plus", visibility="private")
            def add(self) -> None: ...

        assert {"add": "published", "plus": "private"} == {
            name: definition.visibility for name, definition in actions_of(Math).items()
        }

    def test_several_methods_may_hear_one_event(self) -> None:
        class Math(Service):
            name = "math"

            @event("x", params={"a": "number"})
            def first(self) -> str:
                return "first"

            @event("x", colour="red")
            def second(self) -> str:
                return "second"

            @event("x", group="mail")
            def third(self) -> str:
                return "third"

        events = events_of(Math)

        assert ["first", "second"] == [method() for method in events["x", None].methods]
        assert ({"a": "number"}, {"colour": "red"}) == (events["x", None].params, events["x", None].extra)
        assert ["third"] == [method() for method in events["x", "mail"].methods]

    @pytest.mark.parametrize("name", ["a b", "a\n", "x" * 256])
    def test_a_name_that_cannot_be_one_is_refused(self, name: str) -> None:
        class WithAction(Service):
            @action(name)
            def one(self) -> None: ...

        class WithEvent(Service):
            @event(name)
            def one(self) -> None: ...

        with pytest.raises(ServiceSchemaError, match="not an action name"):
            actions_of(WithAction("math"))
        with pytest.raises(ServiceSchemaError, match="not an event name"):
            events_of(WithEvent("math"))

    @pytest.mark.parametrize("kind", [staticmethod, classmethod])
    @pytest.mark.parametrize("outermost", [True, False])
    def test_a_method_without_a_self_is_refused(self, kind: Callable[..., Any], outermost: bool) -> None:
        """Its mark would be lost without a word."""

        def get(ctx: Any) -> None: ...

        class Math(Service):
            name = "math"
            marked = action()(kind(get)) if outermost else kind(action()(get))
            free = staticmethod(get)

        with pytest.raises(ServiceSchemaError, match=r"Math\.marked is a static or class method"):
            actions_of(Math)

    def test_a_subclass_inherits_them_and_may_say_them_anew(self) -> None:
        class Base(Service):
            @action(timeout=5)
            def get(self) -> str:
                return "base"

            @action
            def inherited(self) -> str:
                return "inherited"

            @event("x")
            def heard(self) -> str:
                return "base"

        class Math(Base):
            name = "math"

            @action
            def get(self) -> str:
                return "own"

            @event("x")
            def heard(self) -> str:
                return "own"

        actions, events = actions_of(Math), events_of(Math)

        assert {"get": "own", "inherited": "inherited"} == {name: one.method() for name, one in actions.items()}
        assert None is actions["get"].timeout
        assert ["own"] == [method() for method in events["x", None].methods]


class TestPublicSettings:
    @pytest.mark.parametrize(
        ("secure", "public"),
        [
            (["password"], {"db": {"user": "u", "password": "p"}, "a.b": 1, "a": {"b": 2}, "list": [{"key": 1}, 2]}),
            ("password", {"db": {"user": "u", "password": "p"}, "a.b": 1, "a": {"b": 2}, "list": [{"key": 1}, 2]}),
            (["password", "db"], {"a.b": 1, "a": {"b": 2}, "list": [{"key": 1}, 2]}),
            (["password", "db.password", "a.b"], {"db": {"user": "u"}, "a": {}, "list": [{"key": 1}, 2]}),
            (
                ["password", "list.0.key", "list.1", "list.9", "list.x", "db.user.x", "no.such"],
                {"db": {"user": "u", "password": "p"}, "a.b": 1, "a": {"b": 2}, "list": [{}, None]},
            ),
        ],
    )
    def test_are_without_what_is_secure(self, secure: Any, public: dict[str, Any]) -> None:
        settings = {
            "password": "secret",
            "db": {"user": "u", "password": "p"},
            "a.b": 1,
            "a": {"b": 2},
            "list": [{"key": 1}, 2],
            "$secureSettings": secure,
        }

        assert public == Service("math", settings=settings).public_settings()
        assert "secret" == settings["password"]

    def test_are_without_what_is_secure_in_either_spelling(self) -> None:
        settings = {"a": 1, "b": 2, "c": 3, "$secure_settings": ["a"], "$secureSettings": "b"}

        assert {"c": 3} == Service("math", settings=settings).public_settings()

    @pytest.mark.parametrize("secure", [None, [], (), ""])
    def test_are_all_when_nothing_is(self, secure: Any) -> None:
        assert {"a": 1} == Service("math", settings={"a": 1, "$secureSettings": secure}).public_settings()

    def test_are_without_what_cannot_be_told(self) -> None:
        assert {"a": [1]} == Service("math", settings={"a": (1, print), "f": print, "o": object()}).public_settings()

    @pytest.mark.slow
    @given(st.dictionaries(TEXT, json_values(), max_size=4), st.data())
    def test_never_hold_a_secret_wherever_it_was(self, settings: dict[str, Any], data: st.DataObject) -> None:
        secret = object.__repr__(object())
        path = data.draw(st.lists(st.text("abc", min_size=1, max_size=2), min_size=1, max_size=4))
        place = settings
        for part in path[:-1]:
            inner = place.get(part)
            place[part] = place = inner if isinstance(inner, dict) else {}
        place[path[-1]] = secret

        public = Service("math", settings={**settings, "$secureSettings": [".".join(path)]}).public_settings()

        assert secret not in repr(public)


class TestDependencies:
    @pytest.mark.parametrize(
        ("written", "listed"),
        [
            ((), []),
            ("users", ["users"]),
            ({"name": "users", "version": 2}, [{"name": "users", "version": 2}]),
            (["users", {"name": "posts"}], ["users", {"name": "posts"}]),
            (("users",), ["users"]),
        ],
    )
    def test_may_be_one_or_several(self, written: Any, listed: list[Any]) -> None:
        assert listed == dependency_list(written)

    async def test_are_waited_for_by_the_broker(self) -> None:
        asked: list[tuple[Any, float]] = []

        class Asked:
            async def wait_for_services(self, names: Any, timeout: float) -> None:
                asked.append((names, timeout))

        service = Service("math")
        service.attach(cast(Broker, Asked()))
        await service.wait_for_services(["users"], 2.0)

        assert [(["users"], 2.0)] == asked


def test_the_steps_of_life_do_nothing_of_themselves() -> None:
    service = attached(Service("math"))

    assert [[None]] * 4 == [
        [hook() for hook in service.life_cycle(k)] for k in ("created", "started", "stopping", "stopped")
    ]
