"""Tokens: how the message broker says which request nobody listened to."""

from __future__ import annotations

import asyncio

import pytest

from tautomer.errors import ServiceNotAvailableError
from tests.kernel.mesh import Foreign, Mesh, service_info, until


async def test_a_token_that_is_used_again_at_once_still_tells_of_the_second_request(mesh: Mesh, peer: Foreign) -> None:
    """The first call has its answer, but not had its turn yet, when the second takes its token."""
    node = await mesh.node("a")
    peer.introduce(service_info("far", "do"))
    await node.wait_for_services("far", 5)
    transit = node.transit
    assert transit is not None
    first = asyncio.create_task(node.call("far.do", timeout=5))
    await until(lambda: peer.packets("REQ"))
    request = peer.packets("REQ")[0]

    second = asyncio.create_task(node.call("far.do", timeout=5))
    transit.received(
        "MOL.RES.a", b'{"id":"%b","success":true,"data":1,"ver":"5","sender":"f"}' % request["id"].encode()
    )
    assert 1 == await first
    assert 1 == len(transit.requesting._tokens)
    transit.undelivered("1")

    with pytest.raises(ServiceNotAvailableError):
        await second
