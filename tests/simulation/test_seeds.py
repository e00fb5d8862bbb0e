"""The workload of some seeds, with all checkers on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tautomer.testing.sim import Outcome, main, run_seed

REGRESSIONS = (
    1,  # An INFO was lost, and heartbeats did not tell that one was missing (M3).
    75,  # A packet of a stream was lost, and what came after it made its reader look slow: the stream never broke.
    110,  # An error of a call inside was taken for a refusal of the call itself (C3), and the call ran twice (C2, 507).
    174,  # With the balancer disabled, requests went out in a version that nobody spoke who was there.
    179,  # With the balancer disabled, a node that joined late heard all requests (C2).
    450,  # After a split, a node whose older words came alone seemed to be of an older release.
    497,  # A call outlived its node, and with it the timer that would have ended it.
    507,
    10_790,  # With the balancer disabled, a call that a leaving node refused was not sent to the last one that stayed.
    583,  # The last INFO of a predecessor failed a start (M5).
)
"""Seeds that found something once, each with what it was."""

FRESH = range(1_000, 1_040)


def broken(seed: int, trace: Callable[[str], None] | None = None) -> Outcome:
    """Stands for the run of a seed that fails."""
    return Outcome(seed, "hash", ("M9: it is broken",), {"calls": 1})


@pytest.mark.parametrize("seed", [*REGRESSIONS, *FRESH])
def test_the_promises_are_kept(seed: int) -> None:
    outcome = run_seed(seed)

    assert () == outcome.problems


def test_the_workload_works() -> None:
    """Most calls are answered, and events are heard: checkers that see nothing find nothing."""
    counts = [run_seed(seed).counts for seed in (2, 3, 4)]

    assert all(min(count["calls"], count["runs"], count["events"]) > 50 for count in counts), counts
    assert all(count["streams"] > 10 for count in counts), counts


def test_a_seed_gives_the_same_run_again() -> None:
    assert run_seed(7) == run_seed(7)


def test_two_seeds_give_two_runs() -> None:
    assert run_seed(7).hash != run_seed(8).hash


@pytest.mark.slow
def test_a_run_does_not_depend_on_how_texts_are_hashed() -> None:
    """Nor on addresses: it is another process each time. Finds whoever iterates over a set."""
    code = "from tautomer.testing.sim import run_seed; print([run_seed(seed).hash for seed in range(40, 44)])"
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("0", "1", "4711")
    ]

    assert [printed[0]] * 3 == printed


def test_a_trace_does_not_change_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []

    assert run_seed(5) == run_seed(5, lines.append)
    assert any("MOL.REQ." in line for line in lines)


def test_the_command_replays_a_seed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--seed", "5", "--trace"])

    printed = capsys.readouterr().out
    assert 0 == code
    assert "node n0 starts" in printed
    assert f"trace {run_seed(5).hash}" in printed


def test_the_command_ends_with_1_when_a_seed_fails(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--seed", "4711"], run=broken)

    assert 1 == code
    assert "M9: it is broken" in capsys.readouterr().out


@pytest.mark.slow
def test_many_seeds_are_run_in_processes(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--start", "2", "--seeds", "3", "--jobs", "1"])

    assert 0 == code
    assert "sim: 3 of 3 seeds, 0 failed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_failed_seed_is_told_with_the_command_that_replays_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--start", "4711", "--seeds", "1"], run=broken)

    printed = capsys.readouterr()
    assert 1 == code
    assert "python -m tautomer.testing.sim --seed 4711 --trace" in printed.out
    assert "failed seeds: 4711" in printed.err
