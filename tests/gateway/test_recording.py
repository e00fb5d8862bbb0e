"""The recordings are what a real moleculer-web answers today. Needs Node.js."""

from __future__ import annotations

import pytest

from tests.gateway.case import Gateway
from tests.gateway.cases import GATEWAYS
from tests.gateway.record import answers_of, recorded
from tests.gateway.static_files import set_times
from tests.interop import npm

SAMPLE = "alias_rest"
"""The one that is asked in every run; all of them take over a minute."""


@pytest.fixture(scope="module")
def node() -> str:
    return npm.need()


@pytest.mark.interop
@pytest.mark.slow
@pytest.mark.timeout(npm.INSTALL_SECONDS + 60)
@pytest.mark.parametrize(
    "gateway",
    [pytest.param(one, marks=[] if one.name == SAMPLE else [pytest.mark.full], id=one.name) for one in GATEWAYS],
)
async def test_moleculer_web_answers_as_recorded(node: str, gateway: Gateway) -> None:
    set_times()

    assert recorded(gateway) == await answers_of(node, gateway)
