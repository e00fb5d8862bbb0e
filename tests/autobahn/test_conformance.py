"""Our WebSocket connection against Autobahn's fuzzing client: all 517 cases, none failed and none non-strict.

Under an ASGI server the frames are that server's, so there is nothing of ours to be tested by this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from . import suite
from .echo_gateway import Silent, echo_gateway
from .findings import Findings

# The cases send messages of 16 MB, and of 65,536 fragments, and none is a stranger.
NO_LIMITS: dict[str, Any] = {"max_message": 0, "max_fragments": 0, "send_queue": 0, "send_queue_bytes": 0}
CORE = {"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 37, "10": 1}
DEFLATE_DATA, DEFLATE_PARAMS, DEFLATE_SIZES = 5, 7, 18
SECONDS = 3600


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A gateway that echoes, without limits and with compression."""
    suite.need()
    async with echo_gateway(compression=True, **NO_LIMITS) as url:
        yield url


async def test_frames_fragments_text_and_closing_are_as_the_rfc_says(url: str) -> None:
    findings = Findings(await suite.run(url, *(f"{section}.*" for section in CORE)))

    print(f"\n{findings.report()}")
    assert [] == findings.faults()
    assert CORE == findings.counts()


async def test_every_offer_of_compression_is_taken(url: str) -> None:
    offers = [f"13.{number}.1" for number in range(1, DEFLATE_PARAMS + 1)]

    findings = Findings(await suite.run(url, *offers))

    assert [] == findings.faults()
    assert offers == list(findings.cases)


@pytest.mark.full
@pytest.mark.timeout(SECONDS + 60)
async def test_large_messages_and_many_of_them_pass(url: str) -> None:
    findings = Findings(await suite.run(url, "9.*", seconds=SECONDS))

    print(f"\n{findings.report()}")
    assert [] == findings.faults()
    assert {"9": 54} == findings.counts()


@pytest.mark.full
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize(
    "section",
    [f"12.{number}" for number in range(1, DEFLATE_DATA + 1)]
    + [f"13.{number}" for number in range(1, DEFLATE_PARAMS + 1)],
)
async def test_compressed_messages_of_all_sizes_pass(url: str, section: str) -> None:
    findings = Findings(await suite.run(url, f"{section}.*", seconds=SECONDS))

    print(f"\n{section}.*\n{findings.report()}")
    assert [] == findings.faults()
    assert DEFLATE_SIZES == len(findings.cases)


async def test_the_client_tells_a_server_that_does_less() -> None:
    suite.need()
    async with echo_gateway(compression=False, max_message=1000) as weaker:
        findings = Findings(await suite.run(weaker, "1.1.1", "1.1.6", "13.1.1"))

    seen = {case: one["behavior"] for case, one in findings.cases.items()}
    assert {"1.1.1": "OK", "1.1.6": "FAILED", "13.1.1": "UNIMPLEMENTED"} == seen
    assert ["1.1.6", "13.1.1"] == [fault.partition(":")[0] for fault in findings.faults()]


@pytest.mark.full
async def test_the_client_gives_up_on_a_server_that_does_not_answer() -> None:
    suite.need()
    async with echo_gateway(Silent) as silent:
        findings = Findings(await suite.run(silent, "6.5.1", "6.5.2"))

    assert {"6.5.1": "FAILED", "6.5.2": "FAILED"} == {case: one["behavior"] for case, one in findings.cases.items()}
