"""Command line of the benchmark: choose, get ready, measure, report. ``scripts/bench`` calls it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench import contenders, peers, report, scenarios
from bench.contenders import Ready
from bench.measuring import Bench, Plan, Results
from bench.scenarios import Load, Scenario, Stage

FULL = Plan(rounds=5, window=1.0, warm_up=1.5)
QUICK = Plan(rounds=3, window=0.4, warm_up=0.5)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="tautomer beside its peers, in CPU-µs.")
    parser.add_argument("--quick", action="store_true", help="short windows, 3 rounds, without node24")
    parser.add_argument("--only", metavar="SCENARIO,...", help="these; 'remote' stands for all remote-*")
    parser.add_argument("--rounds", type=int, metavar="N", help="windows for each scenario and contender")
    parser.add_argument("--peers", metavar="A,B", help="these: " + ", ".join(list(contenders.CONTENDERS)[1:]))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there too")
    parser.add_argument("--markdown", action="store_true", help="print one wide Markdown table")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")
    try:
        options.scenarios = scenarios.select(options.only)
        options.contenders = contenders.select(options.peers, options.quick)
    except ValueError as exc:
        parser.error(str(exc))
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0 unless a contender failed; a skipped one is no failure."""
    options = parse(arguments)
    usual = QUICK if options.quick else FULL
    plan = Plan(options.rounds or usual.rounds, usual.window, usual.warm_up)
    ready, skipped = peers.make_ready(options.contenders)
    load_before = os.getloadavg()[0]
    began = time.monotonic()

    chosen, bench = _equip(options.scenarios, ready, plan, skipped)
    for stage in Stage:
        of_stage = [scenario for scenario in chosen if scenario.stage is stage]
        if of_stage:
            bench.run(stage, of_stage)

    for contender in bench.contenders:
        absent = [s.key for s in chosen if not contender.contender.has(s)]
        if absent:
            skipped[f"{contender.name} in {', '.join(absent)}"] = "it has none of that"

    rows = report.rows_of(chosen, bench.results)
    seconds = time.monotonic() - began
    done = report.Report(rows, bench.results, skipped, plan, seconds, load_before)
    print(report.markdown(done) if options.markdown else report.text(done))
    if options.json is not None:
        options.json.write_text(json.dumps(report.record(done), indent=1) + "\n")
    return 1 if bench.results.failures else 0


def _equip(
    wanted: Sequence[Scenario], ready: Sequence[Ready], plan: Plan, skipped: dict[str, str]
) -> tuple[list[Scenario], Bench]:
    """Find the tools; note in `skipped` the scenarios and contenders that must do without them."""
    tools: dict[str, str] = {}
    nats_server: str | None = None
    try:
        nats_server = peers.nats_server()
    except peers.Missing as missing:
        lost = [s.key for s in wanted if s.stage.needs_nats] + [r.name for r in ready if r.contender.always_nats]
        skipped.update(dict.fromkeys(lost, str(missing)))
    for tool in sorted({scenario.work.tool for scenario in wanted if isinstance(scenario.work, Load)}):
        try:
            tools[tool] = peers.load_generator(tool)
        except peers.Missing as missing:
            lost = [s.key for s in wanted if isinstance(s.work, Load) and s.work.tool == tool]
            skipped.update(dict.fromkeys(lost, str(missing)))
    able = [contender for contender in ready if contender.name not in skipped]
    return [s for s in wanted if s.key not in skipped], Bench(able, plan, nats_server, tools, Results())


if __name__ == "__main__":
    sys.exit(main())
