"""`Settings.validator`: who checks params."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tautomer import Broker, Context, Service, Settings, action
from tautomer.errors import BrokerOptionsError, ValidationError
from tests.cluster import Cluster

SCHEMA = {"a": "number", "b": "number"}


class Adding(Service):
    name = "adding"

    @action(params=SCHEMA)
    async def echo(self, ctx: Context) -> Any:
        return ctx.params


class Shouting:
    """A validator of its own: texts become loud, and there is nothing but texts."""

    def compile(self, schema: object) -> Callable[[Any], Any]:
        def check(params: Any) -> Any:
            if any(not isinstance(value, str) for value in params.values()):
                raise ValidationError(data=[{"type": "loud", "field": "a", "message": "say it"}])
            return {name: value.upper() for name, value in params.items()}

        return check


async def wrong(cluster: Cluster, validator: Any) -> list[dict[str, Any]]:
    node = await cluster.node("a", Adding, validator=validator)
    with pytest.raises(ValidationError) as raised:
        await node.call("adding.echo", {"a": "x"})
    data: list[dict[str, Any]] = raised.value.data
    return data


@pytest.mark.parametrize("validator", [True, "Fastest", "fastest", {"type": "Fastest"}, {}])
async def test_the_usual_one_tells_all_faults(cluster: Cluster, validator: Any) -> None:
    assert ["number", "required"] == [fault["type"] for fault in await wrong(cluster, validator)]


async def test_false_checks_nothing_and_announces_all_the_same(cluster: Cluster) -> None:
    node = await cluster.node("a", Adding, validator=False)

    assert {"a": "x"} == await node.call("adding.echo", {"a": "x"})
    assert SCHEMA == node.registry.actions["adding.echo"].all[0].entry["params"]


@pytest.mark.parametrize("option", ["halt_on_first_error", "haltOnFirstError"])
async def test_it_may_be_told_to_stop_at_the_first_fault(cluster: Cluster, option: str) -> None:
    assert ["number"] == [fault["type"] for fault in await wrong(cluster, {"options": {option: True}})]


async def test_it_may_be_given_other_texts(cluster: Cluster) -> None:
    found = await wrong(cluster, {"type": "Fastest", "options": {"messages": {"number": "{field}: digits!"}}})

    assert "a: digits!" == found[0]["message"]


async def test_one_of_ones_own_makes_the_params_and_says_what_is_wrong(cluster: Cluster) -> None:
    node = await cluster.node("a", Adding, validator=Shouting())

    assert {"a": "X"} == await node.call("adding.echo", {"a": "x"})
    with pytest.raises(ValidationError) as raised:
        await node.call("adding.echo", {"a": 1})
    assert [("loud", "a", "adding.echo")] == [(f["type"], f["nodeID"], f["action"]) for f in raised.value.data]
    assert SCHEMA == node.registry.actions["adding.echo"].all[0].entry["params"]


@pytest.mark.parametrize(
    ("validator", "words"),
    [
        ("Joi", "validator 'Joi' is not known; known: 'Fastest'"),
        (5, "validator is True, False, 'Fastest', a mapping or a Validator, not 5"),
        ({"options": {"message": {}}}, "validator has no option 'message'; did you mean 'messages'?"),
    ],
)
def test_what_is_none_is_refused(validator: Any, words: str) -> None:
    with pytest.raises(BrokerOptionsError, match=words):
        Broker("n", Settings(validator=validator))
