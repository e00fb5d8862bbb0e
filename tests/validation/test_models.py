"""Models as params: what becomes of values, all faults in Node's words, what is announced."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NotRequired, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from tautomer.errors import ServiceSchemaError, ValidationError
from tautomer.validation import compile_params, wire_schema
from tautomer.validation.json_schema import json_schema

T = TypeVar("T")
UID = "550e8400-e29b-41d4-a716-446655440000"


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Address(Struct):
    city: Annotated[str, Meta(min_length=2)]
    zip: str | None = None


class User(Struct):
    id: int
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    color: Color = Color.RED
    home: Address | None = None
    tags: list[str] = []


@dataclass
class DataUser:
    id: int
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    color: Color = Color.RED
    home: Address | None = None
    tags: list[str] = field(default_factory=list)


class DictUser(TypedDict):
    id: int
    name: Annotated[str, Meta(min_length=2, max_length=5)]
    color: NotRequired[Color]
    home: NotRequired[Address | None]
    tags: NotRequired[list[str]]


class PydanticAddress(pydantic.BaseModel):
    city: Annotated[str, pydantic.Field(min_length=2)]
    zip: str | None = None


class PydanticUser(pydantic.BaseModel):
    id: int
    name: Annotated[str, pydantic.Field(min_length=2, max_length=5)]
    color: Color = Color.RED
    home: PydanticAddress | None = None
    tags: list[str] = []


MODELS = pytest.mark.parametrize("model", [User, DataUser, DictUser, PydanticUser])


def faults(model: Any, params: Any) -> list[tuple[Any, ...]]:
    """(type, field, and where they are there: expected, actual) of each."""
    with pytest.raises(ValidationError) as raised:
        compile_params(model)(params)
    assert (422, "VALIDATION_ERROR") == (raised.value.code, raised.value.type)
    return [
        tuple(one[key] for key in ("type", "field", "expected", "actual") if key in one) for one in raised.value.data
    ]


@MODELS
def test_params_become_an_instance(model: Any) -> None:
    params = {"id": 7, "name": "ann", "color": "blue", "home": {"city": "Rome"}, "tags": ["a"], "more": 1}

    made = compile_params(model)(params)

    get = made.__getitem__ if model is DictUser else lambda name: getattr(made, name)
    assert isinstance(made, dict if model is DictUser else model)
    assert (7, "ann", Color.BLUE, "Rome", ["a"]) == (
        get("id"),
        get("name"),
        get("color"),
        get("home").city,
        get("tags"),
    )
    assert {"id": 7, "name": "ann", "color": "blue", "home": {"city": "Rome"}, "tags": ["a"], "more": 1} == params


@MODELS
def test_what_is_not_said_has_its_default(model: Any) -> None:
    made = compile_params(model)({"id": 7, "name": "ann"})

    if model is not DictUser:
        assert (Color.RED, None, []) == (made.color, made.home, made.tags)
    else:
        assert {"id": 7, "name": "ann"} == made


@MODELS
def test_texts_count_as_what_they_hold_as_a_path_has_nothing_else(model: Any) -> None:
    made = compile_params(model)({"id": "7", "name": "ann"})

    assert 7 == (made["id"] if model is DictUser else made.id)


@MODELS
def test_all_faults_are_told_at_once_in_nodes_words(model: Any) -> None:
    params = {"id": "x", "name": "a", "color": "pink", "home": {"city": 5}, "tags": ["a", 1]}

    assert [
        ("number", "id", "x"),
        ("stringMin", "name", 2, 1),
        ("enumValue", "color", "red, blue", "pink"),
        ("string", "home.city", 5),
        ("string", "tags[1]", 1),
    ] == faults(model, params)


@MODELS
def test_what_is_missing_is_required(model: Any) -> None:
    assert [("required", "id"), ("required", "name")] == faults(model, None)
    assert [("required", "id"), ("required", "name", None), ("required", "home.city")] == faults(
        model, {"name": None, "home": {}}
    )


@MODELS
@pytest.mark.parametrize("params", [5, "text", [1]])
def test_params_of_another_kind_are_a_fault_without_a_field(model: Any, params: Any) -> None:
    with pytest.raises(ValidationError) as raised:
        compile_params(model)(params)

    (fault,) = raised.value.data
    assert ("object", params, False) == (fault["type"], fault["actual"], "field" in fault)


@MODELS
def test_an_instance_is_checked_as_what_it_holds(model: Any) -> None:
    """As it would be at another node: an instance of a Struct or dataclass may hold anything."""
    check = compile_params(model)

    for instance in (User(1, "ann"), DataUser(1, "ann"), PydanticUser(id=1, name="ann")):
        made = check(instance)
        assert "ann" == (made["name"] if model is DictUser else made.name)
    assert [("number", "id", "x")] == faults(model, DataUser("x", "ann"))  # type: ignore[arg-type]  # That is the point.


@MODELS
def test_rules_are_announced_that_say_the_same(model: Any) -> None:
    rules = wire_schema(model)

    assert "number|integer|convert" == rules["id"]
    assert "string|min:2|max:5" == rules["name"]
    schema = json_schema(rules)
    assert ["id", "name"] == schema["required"]
    assert {"enum": ["red", "blue"]} == {key: schema["properties"]["color"][key] for key in ("enum",)}
    assert "city" in schema["properties"]["home"]["properties"]
    assert "string" == schema["properties"]["tags"]["items"]["type"]
    compile_params(rules)({"id": 1, "name": "ann"})


class Everything(Struct, forbid_unknown_fields=True, rename="camel"):
    user_id: Annotated[int, Meta(gt=0, description="who")]
    few: Annotated[int, Meta(ge=1, le=9, multiple_of=2)] = 2
    part: Annotated[float, Meta(gt=0.5, lt=1)] = 0.75
    cold: Annotated[int, Meta(lt=0)] = -1
    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"
    kind: Literal["x", 1] = 1
    pair: tuple[int, str] = (1, "a")
    sizes: Annotated[list[int], Meta(min_length=1, max_length=2)] = msgspec.field(default_factory=lambda: [1])
    counts: dict[str, int] = {}
    moment: datetime | None = None
    day: date | None = None
    hour: time | None = None
    span: timedelta | None = None
    price: Decimal | None = None
    uid: UUID | msgspec.UnsetType = msgspec.UNSET
    data: bytes = b""
    either: int | list[int] = 1
    whatever: Any = None
    on: bool = True
    names: set[str] = set()


def test_every_kind_of_field_is_read() -> None:
    params = {
        "userId": "5",
        "part": "0.6",
        "kind": "x",
        "pair": ["2", "b"],
        "moment": "2030-01-02T03:04:05Z",
        "day": "2030-01-02",
        "hour": "03:04:05",
        "span": "PT5S",
        "price": "1.50",
        "uid": UID,
        "data": "AAEC",
        "either": [1, 2],
        "whatever": {"x": [None]},
        "on": "false",
        "names": ["a", "a"],
    }

    made = compile_params(Everything)(params)

    expected = Everything(
        user_id=5,
        part=0.6,
        kind="x",
        pair=(2, "b"),
        moment=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
        day=date(2030, 1, 2),
        hour=time(3, 4, 5),
        span=timedelta(seconds=5),
        price=Decimal("1.50"),
        uid=UUID(UID),
        data=b"\x00\x01\x02",
        either=[1, 2],
        whatever={"x": [None]},
        on=False,
        names={"a"},
    )
    assert expected == made


@pytest.mark.parametrize(
    ("field_name", "value", "expected"),
    [
        ("userId", 0, ("numberPositive", "userId", 0)),
        ("userId", 1.5, ("numberInteger", "userId", 1.5)),
        ("userId", "1.5", ("numberInteger", "userId", "1.5")),
        ("userId", True, ("number", "userId", True)),
        ("userId", "", ("number", "userId", "")),
        ("few", 0, ("numberMin", "few", 1, 0)),
        ("few", 10, ("numberMax", "few", 9, 10)),
        ("few", 3, ("numberMultiple", "few", 2, 3)),
        ("part", 0.5, ("numberMin", "part", 0.5, 0.5)),
        ("part", 1, ("numberMax", "part", 1, 1)),
        ("part", "nan", ("number", "part", "nan")),
        ("cold", 0, ("numberNegative", "cold", 0)),
        ("code", "A", ("stringPattern", "code", "/^[a-z]+$/", "A")),
        ("kind", "y", ("enumValue", "kind", "1, x", "y")),
        ("pair", [1], ("tupleLength", "pair", 2, 1)),
        ("pair", "ab", ("tuple", "pair", "ab")),
        ("pair", [1, 2], ("string", "pair[1]", 2)),
        ("sizes", [], ("arrayMin", "sizes", 1, 0)),
        ("sizes", [1, 2, 3], ("arrayMax", "sizes", 2, 3)),
        ("sizes", [None], ("required", "sizes", None)),
        ("counts", {"a": "x"}, ("number", "counts.a", "x")),
        ("counts", [1], ("record", "counts", [1])),
        ("moment", "soon", ("date", "moment", "soon")),
        ("day", "2030-13-01", ("date", "day", "2030-13-01")),
        ("hour", "25:00:00", ("time", "hour", "25:00:00")),
        ("span", "long", ("duration", "span", "long")),
        ("price", "much", ("number", "price", "much")),
        ("uid", "x", ("uuid", "uid", "x")),
        ("data", "?", ("stringBase64", "data", "?")),
        ("on", "on", ("boolean", "on", "on")),
        ("names", "a", ("array", "names", "a")),
        ("few", None, ("number", "few", None)),
    ],
)
def test_each_fault_has_nodes_type_where_there_is_one(field_name: str, value: Any, expected: tuple[Any, ...]) -> None:
    assert [expected] == faults(Everything, {"userId": 1, field_name: value})


def test_of_a_union_the_faults_of_all_its_types_are_told_as_in_node() -> None:
    assert [("number", "either", "x"), ("array", "either", "x")] == faults(Everything, {"userId": 1, "either": "x"})


def test_unknown_fields_are_a_fault_where_the_model_forbids_them() -> None:
    ((kind, expected, actual),) = faults(Everything, {"userId": 1, "b": 1, "a": 2})

    assert ("objectStrict", "b, a") == (kind, actual)
    assert expected.startswith("userId, few, ")
    assert wire_schema(Everything)["$$strict"] is True


def test_every_kind_of_field_is_announced() -> None:
    rules = wire_schema(Everything)

    assert {"type": "number", "integer": True, "convert": True, "positive": True, "description": "who"} == rules[
        "userId"
    ]
    assert "number|integer|convert|min:1|max:9|default:2" == rules["few"]
    assert "date|convert|optional" == rules["moment"]
    assert "uuid|optional" == rules["uid"]
    assert {"type": "tuple", "items": ["number|integer|convert", "string"], "optional": True} == rules["pair"]
    schema = json_schema(rules)["properties"]
    assert ("who", 0) == (schema["userId"]["description"], schema["userId"]["exclusiveMinimum"])
    assert "date-time" == schema["moment"]["format"]


class Cat(Struct, tag="cat"):
    lives: int


class Dog(Struct, tag="dog"):
    tricks: list[str]


class Owner(Struct):
    pet: Cat | Dog


def test_a_tagged_union_is_judged_by_its_tag() -> None:
    assert Owner(Dog(["sit"])) == compile_params(Owner)({"pet": {"type": "dog", "tricks": ["sit"]}})
    assert [("required", "pet.lives")] == faults(Owner, {"pet": {"type": "cat"}})
    assert [("enumValue", "pet.type", "cat, dog", "cow")] == faults(Owner, {"pet": {"type": "cow"}})
    assert [("required", "pet.type")] == faults(Owner, {"pet": {}})


class Tree(Struct):
    name: str
    children: list[Tree] = []
    twin: Tree | None = None


def test_a_model_that_holds_itself_is_checked_to_its_depths() -> None:
    params = {"name": "a", "children": [{"name": "b", "children": [{"name": 3}], "twin": {"name": 4}}]}

    assert [
        ("string", "children[0].children[0].name", 3),
        ("string", "children[0].twin.name", 4),
    ] == faults(Tree, params)
    assert {"name": "string", "children": {"type": "array", "items": "object", "optional": True}} == {
        key: wire_schema(Tree)[key] for key in ("name", "children")
    }


def test_a_model_that_is_used_twice_is_announced_twice() -> None:
    class Order(Struct):
        bill_to: Address
        ship_to: Address

    rules = wire_schema(Order)

    assert (
        rules["bill_to"]
        == rules["ship_to"]
        == {
            "type": "object",
            "props": {"city": "string|min:2", "zip": "string|optional"},
        }
    )


def test_params_too_deep_are_a_fault_and_nothing_worse() -> None:
    params: dict[str, Any] = {"name": "a"}
    params["twin"] = params

    assert [("value",)] == [one[:1] for one in faults(Tree, params)]


class Page(Struct, Generic[T]):
    items: list[T]


def test_a_generic_model_is_one() -> None:
    assert Page([1, 2]) == compile_params(Page[int])({"items": [1, "2"]})
    assert [("number", "items[0]", "x")] == faults(Page[int], {"items": ["x"]})


class Span(Struct):
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError("first is after last")


class Booking(Struct):
    span: Span


def test_what_only_the_model_knows_is_told_in_its_words() -> None:
    with pytest.raises(ValidationError) as raised:
        compile_params(Booking)({"span": {"first": 2, "last": 1}})

    message = "The 'span' field is not valid: first is after last"
    assert [{"type": "value", "message": message, "field": "span"}] == raised.value.data


class PydanticSpan(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    first: Annotated[int, pydantic.Field(gt=0)]
    last: Annotated[float, pydantic.Field(lt=9, alias="until")]
    when: datetime | None = None
    either: int | list[int] = 1
    pairs: dict[str, tuple[int, str]] = {}

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> PydanticSpan:
        if self.first > self.last:
            raise ValueError("first is after last")
        return self

    @pydantic.field_validator("when")
    @classmethod
    def _not_then(cls, value: datetime | None) -> datetime | None:
        if value is not None and value.year < 2000:
            raise ValueError("too long ago")
        return value


class TestPydantic:
    def test_its_own_checks_hold_and_are_told_in_their_words(self) -> None:
        with pytest.raises(ValidationError) as raised:
            compile_params(PydanticSpan)({"first": 1, "until": 2, "when": "1999-01-01T00:00:00Z"})

        message = "The 'when' field is not valid: Value error, too long ago"
        assert [("value_error", "when", message)] == [
            (one["type"], one["field"], one["message"]) for one in raised.value.data
        ]
        assert [("value_error",)] == faults(PydanticSpan, {"first": 3, "until": 2})

    def test_bounds_unknown_fields_unions_and_places_are_told_as_node_does(self) -> None:
        params = {
            "first": 0,
            "until": 9,
            "either": "x",
            "pairs": {"a": [1, 2], "b": 5},
            "x": 1,
            "y": 2,
            "when": "soon",
        }

        assert [
            ("numberPositive", "first", 0),
            ("numberMax", "until", 9.0, 9),
            ("date", "when", "soon"),
            ("number", "either", "x"),
            ("array", "either", "x"),
            ("string", "pairs.a[1]", 2),
            ("tuple", "pairs.b", 5),
            ("objectStrict", "x, y"),
        ] == faults(PydanticSpan, params)

    def test_it_is_announced_by_its_aliases(self) -> None:
        rules = wire_schema(PydanticSpan)

        assert ("number|integer|convert|positive", "number|convert|max:9") == (rules["first"], rules["until"])
        assert (True, "date|convert|optional") == (rules["$$strict"], rules["when"])

    def test_one_that_has_no_form_in_json_is_announced_as_an_object(self) -> None:
        class Odd(pydantic.BaseModel):
            function: Callable[[], int]

        class Defaulted(pydantic.BaseModel):
            kind: Any = int

        assert {"$$root": True, "type": "object"} == wire_schema(Odd)
        assert {"kind": "any|optional"} == wire_schema(Defaulted)

    def test_it_is_imported_with_the_first_model_of_its_own(self) -> None:
        code = (
            "import sys; from msgspec import Struct; from tautomer.validation import compile_params, wire_schema\n"
            "class User(Struct):\n    id: int\n"
            "compile_params(User)({'id': 1}); wire_schema(User); print('pydantic' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

        assert "False" == done.stdout.strip()


class Unreadable(Struct):
    thing: Exception


class Rows(Struct, array_like=True):
    a: int


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Unreadable, "the model 'Unreadable' cannot be read: no value of 'Exception' can be made of JSON"),
        (Rows, "the model 'Rows' cannot be read: 'Rows' is array_like, and params are objects"),
    ],
)
def test_a_model_that_cannot_be_read_is_told_when_the_service_is_built(model: Any, words: str) -> None:
    for read in (compile_params, wire_schema):
        with pytest.raises(ServiceSchemaError, match=words):
            read(model)


def test_a_model_in_the_place_of_a_rule_is_told_where_it_belongs() -> None:
    with pytest.raises(ServiceSchemaError, match=r"a model stands for params as a whole: params=User"):
        compile_params({"user": User})


def test_rules_take_an_instance_as_what_it_holds() -> None:
    check = compile_params({"id": "number", "name": "string"})

    for instance in (User(1, "ann"), DataUser(1, "ann"), PydanticUser(id=1, name="ann")):
        assert (1, "ann") == (check(instance)["id"], check(instance)["name"])


class Plain(Struct):
    """Only what rules without `convert` judge alike."""

    a: str
    b: Annotated[str, Meta(min_length=1, max_length=3)]
    c: list[Annotated[str, Meta(max_length=2)]]
    d: dict[str, list[str]]
    e: Address
    f: Literal["x", "y"]
    g: Annotated[str, Meta(pattern="^[ab]*$")] | None


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text("abx", max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["city", "zip", "q"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys("abcdefg", VALUES)))
def test_the_faults_are_those_that_the_announced_rules_would_find(params: dict[str, Any]) -> None:
    """What Node's validator says of the same params, by what it was told in INFO."""

    def outcome(schema: Any) -> list[Any]:
        try:
            compile_params(schema)(params)
        except ValidationError as error:
            return [{**one, "message": ""} for one in error.data]
        return []

    assert outcome(wire_schema(Plain)) == outcome(Plain)
