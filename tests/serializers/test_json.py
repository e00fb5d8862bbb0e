"""The JSON serializer, and serializers by name."""

from __future__ import annotations

import datetime
import enum
import json
import uuid
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given

from tautomer.errors import BrokerOptionsError
from tautomer.ports import Serializer
from tautomer.protocol.packets import Discover
from tautomer.serializers import JSONSerializer, resolve
from tests.protocol.values import json_values


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.slow
@given(json_values())
def test_what_json_can_say_comes_back(value: Any) -> None:
    serializer = JSONSerializer()

    assert value == serializer.decoder(object)(serializer.encode(value))
    assert value == json.loads(serializer.encode(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC), b'"1970-01-01T00:00:00Z"'),
        (datetime.date(2026, 1, 2), b'"2026-01-02"'),
        (uuid.UUID(int=5), b'"00000000-0000-0000-0000-000000000005"'),
        (Decimal("1.50"), b'"1.50"'),
        (Colour.RED, b'"red"'),
        ({5}, b"[5]"),
        ((1, 2), b"[1,2]"),
        (b"abc", b'"YWJj"'),
        (float("nan"), b"null"),
        (float("-inf"), b"null"),
        ({1: 2}, b'{"1":2}'),
        (2**70, b"1180591620717411303424"),
        ("zwölf €", '"zwölf €"'.encode()),
    ],
)
def test_other_values_have_a_form(value: object, text: bytes) -> None:
    assert text == JSONSerializer().encode(value)


@pytest.mark.parametrize("value", [object(), {(1, 2): 3}, print])
def test_or_none(value: object) -> None:
    with pytest.raises(TypeError):
        JSONSerializer().encode(value)


@pytest.mark.parametrize("text", [b"", b"{", b'{"ver":5}', b"[]", b'{"ver":"5"} x', b"\xff", b"NaN"])
def test_what_does_not_fit_the_record_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        JSONSerializer().decoder(Discover)(text)


def test_what_fits_is_a_record() -> None:
    packet = JSONSerializer().decoder(Discover)(b'{"ver":"5","sender":"a","new":1}')

    assert ("5", "a") == (packet.ver, packet.sender)


class TestByName:
    @pytest.mark.parametrize("name", [None, "JSON", "json", "Json"])
    def test_json_is_found_and_what_is_meant_by_none(self, name: str | None) -> None:
        serializer = resolve(name)

        assert isinstance(serializer, JSONSerializer)
        assert "JSON" == serializer.name

    def test_one_that_is_given_is_taken(self) -> None:
        mine = cast(Serializer, object())

        assert mine is resolve(mine)

    def test_an_unknown_name_is_refused_with_those_that_are_known(self) -> None:
        with pytest.raises(BrokerOptionsError, match="'Avro' is not known; known: JSON"):
            resolve("Avro")
