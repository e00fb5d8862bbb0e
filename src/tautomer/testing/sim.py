"""``python -m tautomer.testing.sim``: runs the workload of seeds, and replays one."""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tautomer.testing.clock import SimulationError
from tautomer.testing.workload import Profile, Workload

__all__ = ["Outcome", "main", "run_seed"]

SHOWN: Final = 20
"""Problems of one seed that are printed."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the run of one seed went.

    Attributes:
        hash: Of all that happened: the same in each run of the seed.
        problems: What was wrong; empty if nothing was.
        counts: What happened how often.
    """

    seed: int
    hash: str
    problems: tuple[str, ...]
    counts: dict[str, int]


def run_seed(
    seed: int,
    trace: Callable[[str], None] | None = None,
    profile: Profile | None = None,
) -> Outcome:
    """Run the workload of one seed.

    Args:
        trace: Called with a line for each thing that happens.
        profile: Instead of the one that the seed draws.
    """
    profile = profile or Profile.draw(seed)
    sim = Workload.simulation(seed, profile, trace)
    load = Workload(sim, profile)
    problems: list[str] = []
    try:
        sim.run_until(load.run())
    except SimulationError as error:
        problems.append(str(error))
    except Exception as error:
        # Of the workload itself: who runs many seeds is to hear which one it was.
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        found = [*load.checkers.problems(), *sim.end()]
    counts = {
        "calls": len(load.checkers.calls.all),
        "runs": load.checkers.runs.count,
        "events": load.checkers.events.count,
        "streams": load.streams,
        "things": sim.trace.count,
    }
    return Outcome(seed, sim.trace.hash, tuple(problems + found), counts)


Run = Callable[..., Outcome]


def main(arguments: Sequence[str] | None = None, run: Run = run_seed) -> int:
    """The command. Returns its exit code: 1 if a seed failed.

    Args:
        arguments: Those of the command line, if not given.
        run: What runs a seed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tautomer.testing.sim", description="Run the workload of seeds in the simulation."
    )
    parser.add_argument("--seed", type=int, help="run this one, and print what came of it")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--seeds", type=int, default=100, metavar="N", help="run so many (100)")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="so many at once (1)")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _one(chosen.seed, chosen.trace, run)
    return _many(range(chosen.start, chosen.start + chosen.seeds), chosen.jobs, run)


def _one(seed: int, trace: bool, run: Run) -> int:
    print(Profile.draw(seed).describe())
    outcome = run(seed, print if trace else None)
    for problem in outcome.problems:
        print(problem)
    counted = ", ".join(f"{count} {what}" for what, count in outcome.counts.items())
    print(f"seed {seed}: {len(outcome.problems)} problems; {counted}; trace {outcome.hash}")
    return 1 if outcome.problems else 0


def _many(seeds: range, jobs: int, run: Run) -> int:
    began = time.perf_counter()
    failed: list[int] = []
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for done, outcome in enumerate(pool.imap_unordered(run, seeds), 1):
            if outcome.problems:
                failed.append(outcome.seed)
                print(f"seed {outcome.seed} failed:")
                for problem in outcome.problems[:SHOWN]:
                    print(f"  {problem}")
                print(f"  again: python -m tautomer.testing.sim --seed {outcome.seed} --trace", flush=True)
            if done % 50 == 0 or done == len(seeds):
                took = time.perf_counter() - began
                print(f"sim: {done} of {len(seeds)} seeds, {len(failed)} failed, {took:.0f} s", flush=True)
    if failed:
        print(f"sim: failed seeds: {' '.join(map(str, sorted(failed)))}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
