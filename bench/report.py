"""What was measured, made into tables for people and a record for programs."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.contenders import CONTENDERS, Kind
from bench.measuring import Plan, Results
from bench.scenarios import Scenario
from bench.team import Sample

OURS = "tautomer"


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some figures, and how far they lie apart."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(slots=True)
class Row:
    """One scenario: each contender's cost and rate, and how much cheaper than each peer tautomer is.

    Attributes:
        ratios: By peer: its cost over ours, the median of the rounds' own ratios. Over 1, ours is cheaper.
        beside: Our own cost over that of the row that it is beside.
    """

    scenario: Scenario
    costs: dict[str, Spread] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, Spread] = field(default_factory=dict)
    beside: Spread | None = None

    def best(self, kind: Kind) -> str | None:
        """The peer of this kind that comes nearest to us or leads furthest."""
        names = [name for name in self.ratios if CONTENDERS[name].kind is kind]
        return min(names, key=lambda name: self.ratios[name].median, default=None)


@dataclass(frozen=True, slots=True)
class Report:
    """All of one run.

    Attributes:
        skipped: What was left out and why: contenders, scenarios, by name.
        seconds: How long it took.
        load_before: Load average (1 minute) at the start: on a busy machine trust ratios only.
    """

    rows: Sequence[Row]
    results: Results
    skipped: Mapping[str, str]
    plan: Plan
    seconds: float
    load_before: float


def rows_of(scenarios: Sequence[Scenario], results: Results) -> list[Row]:
    """One row a scenario, in their order; one that nobody could do is left out."""
    rows = []
    for scenario in scenarios:
        row = Row(scenario)
        by_name = results.samples.get(scenario.key, {})
        for name in (name for name in CONTENDERS if name in by_name):
            good = [sample for sample in by_name[name] if sample is not None]
            if good:
                row.costs[name] = Spread.of([sample.cost for sample in good])
                rates = [sample.rate for sample in good if sample.rate is not None]
                if rates:
                    row.rates[name] = statistics.median(rates)
            if name != OURS and (ratios := _ratios(by_name.get(OURS, []), by_name[name])):
                row.ratios[name] = Spread.of(ratios)
        if scenario.beside is not None:
            other = results.samples.get(scenario.beside, {}).get(OURS, [])
            if ratios := _ratios(other, by_name.get(OURS, [])):
                row.beside = Spread.of(ratios)
        if row.costs:
            rows.append(row)
    return rows


def _ratios(ours: Sequence[Sample | None], theirs: Sequence[Sample | None]) -> list[float]:
    pairs = zip(ours, theirs, strict=False)
    return [peer.cost / own.cost for own, peer in pairs if own is not None and peer is not None and own.cost > 0]


def text(report: Report) -> str:
    """The long table, each contender a line, and the short one of ratios below it."""
    lines = [*_head(report), ""]
    for row in report.rows:
        lines.append(f"{row.scenario.title}  [{row.scenario.key}, {row.scenario.unit}]")
        for name, cost in row.costs.items():
            spread = f"({_figure(cost.low)}-{_figure(cost.high)})"
            rate = f"{_count(row.rates[name])}/s" if name in row.rates else ""
            ratio = f"ratio {_ratio(row.ratios[name])}" if name in row.ratios else ""
            if name == OURS and row.beside is not None:
                ratio = f"{_ratio(row.beside)} of {row.scenario.beside}"
            lines.append(f"  {name:<20}{_figure(cost.median):>8}  {spread:<18}{rate:>10}   {ratio}".rstrip())
        lines.append("")
    lines += ["ratio > 1: tautomer is cheaper; median (min-max) over the rounds", ""]
    lines.append(f"{'':<38}{'to the better Node':<32}{'goal':<8}to the best Python peer")
    for row in report.rows:
        goal = f">= {row.scenario.goal:g}" if row.scenario.goal is not None else ""
        against = [_best(row, Kind.NODE), _best(row, Kind.PYTHON)]
        lines.append(f"{row.scenario.title:<38}{against[0]:<32}{goal:<8}{against[1]}".rstrip())
    return "\n".join([*lines, *_foot(report)])


def markdown(report: Report) -> str:
    """One wide table: the median cost of each contender, its rate behind it, and the ratios."""
    names = [name for name in CONTENDERS if any(name in row.costs for row in report.rows)]
    lines = [*_head(report), ""]
    lines.append(f"| scenario | {' | '.join(names)} | to the better Node | goal | to the best Python peer |")
    lines.append("|---" * (len(names) + 4) + "|")
    for row in report.rows:
        unit = "" if row.scenario.unit == "CPU-µs/op" else f", {row.scenario.unit}"
        cells = [row.scenario.title + unit + ("" if row.beside is None else f", {_ratio(row.beside)} of the alias's")]
        for name in names:
            rate = f" ({_count(row.rates[name])})" if name in row.rates else ""
            cells.append(f"{_figure(row.costs[name].median)}{rate}" if name in row.costs else "")
        goal = f">= {row.scenario.goal:g}x" if row.scenario.goal is not None else ""
        cells += [_best(row, Kind.NODE), goal, _best(row, Kind.PYTHON)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *_foot(report)])


def record(report: Report) -> dict[str, object]:
    """Everything, for a JSON file: costs in the scenario's unit, rates in operations a second."""
    scenarios = []
    for row in report.rows:
        by_name = report.results.samples[row.scenario.key]
        scenarios.append(
            {
                "key": row.scenario.key,
                "title": row.scenario.title,
                "unit": row.scenario.unit,
                "goal": row.scenario.goal,
                "costs": {name: _spread(cost) for name, cost in row.costs.items()},
                "rates": row.rates,
                "ratios": {name: _spread(ratio) for name, ratio in row.ratios.items()},
                "beside": None if row.beside is None else {str(row.scenario.beside): _spread(row.beside)},
                "rounds": {name: [s and s.cost for s in samples] for name, samples in by_name.items()},
            }
        )
    return {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "load_before": report.load_before,
        "seconds": round(report.seconds, 1),
        "rounds": report.plan.rounds,
        "window_seconds": report.plan.window,
        "runtimes": report.results.runtimes,
        "scenarios": scenarios,
        "skipped": dict(report.skipped),
        "failures": [{"contender": who, "where": where, "what": what} for who, where, what in report.results.failures],
    }


def _spread(spread: Spread) -> dict[str, float]:
    return {"median": spread.median, "min": spread.low, "max": spread.high}


def _head(report: Report) -> list[str]:
    plan = report.plan
    lines = [
        f"{_machine()}, load {report.load_before:.1f} before; "
        f"{plan.rounds} rounds of {plan.window:g} s each, interleaved; {report.seconds:.0f} s in all"
    ]
    if report.results.runtimes:
        lines += ["", "; ".join(f"{name}: {runtime}" for name, runtime in report.results.runtimes.items())]
    return lines


def _foot(report: Report) -> list[str]:
    lines = []
    if report.skipped:
        lines += ["", "Skipped:", *(f"- {name}: {why}" for name, why in report.skipped.items())]
    if report.results.failures:
        lines += ["", "Failed:"]
        alike: dict[tuple[str, str], list[str]] = {}
        for who, where, what in report.results.failures:
            alike.setdefault((who, what), []).append(where)
        lines += [f"- {who} in {', '.join(where)}: {what}" for (who, what), where in alike.items()]
    return lines


def _machine() -> str:
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


def _best(row: Row, kind: Kind) -> str:
    name = row.best(kind)
    return f"{_ratio(row.ratios[name])} {name}" if name is not None else "-"


def _ratio(ratio: Spread) -> str:
    return f"{ratio.median:.2f}x ({ratio.low:.2f}-{ratio.high:.2f})"


def _figure(figure: float) -> str:
    """Three digits that count."""
    return f"{figure:.3g}" if figure < 100 else f"{figure:.0f}"


def _count(count: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} "
