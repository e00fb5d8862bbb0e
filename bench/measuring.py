"""Runs stages: all contenders up, then round by round and scenario by scenario, one contender after the other.

Interleaving is the point: on a machine that is shared, speed moves by half within minutes, and what was measured
side by side can still be compared.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from bench.contenders import Kind, Ready
from bench.processes import ContenderFailed, spent_seconds
from bench.scenarios import Scenario, Stage
from bench.team import Sample, Team

# An interpreter's start differs by a tenth from run to run: an import is the mean of several.
IMPORTS_A_ROUND = 3

# A contender works at least so long in each stage before anything counts: two Node processes that have
# just begun to talk to each other cost three times what they cost two seconds later.
STAGE_WARM_UP_SECONDS = 2.5

MEMORY_ROUNDS_MAX = 3
MEMORY_SETTLES_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: Windows for each scenario and contender.
        window: Seconds of one.
        warm_up: Seconds that each scenario runs before its first window, not counted.
    """

    rounds: int
    window: float
    warm_up: float


@dataclass(slots=True)
class Results:
    """What came out.

    Attributes:
        samples: By scenario key and contender's name; the place in the list is the round, None a failed one.
        failures: What went wrong, as (contender, where, what).
        runtimes: By contender: its interpreter and loop, as it says itself.
    """

    samples: dict[str, dict[str, list[Sample | None]]] = field(default_factory=dict)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    runtimes: dict[str, str] = field(default_factory=dict)

    def add(self, scenario: Scenario, name: str, sample: Sample | None) -> None:
        self.samples.setdefault(scenario.key, {}).setdefault(name, []).append(sample)

    def fail(self, name: str, where: str, failed: ContenderFailed) -> None:
        failure = (name, where, str(failed))
        if failure not in self.failures:  # The memory stage starts anew each round.
            self.failures.append(failure)


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that a stage needs to run.

    Attributes:
        nats_server: Path, or None where no scenario left needs it.
        tools: Paths of the load generators.
    """

    contenders: Sequence[Ready]
    plan: Plan
    nats_server: str | None
    tools: Mapping[str, str]
    results: Results

    def run(self, stage: Stage, scenarios: Sequence[Scenario]) -> None:
        """Measure these scenarios of one stage. A contender that fails is noted and left out of the rest of it."""
        able = [ready for ready in self.contenders if stage not in ready.contender.absent]
        if stage is Stage.IMPORT:
            self._run_imports(scenarios[0], able)
        elif stage is Stage.MEMORY:
            for number in range(min(self.plan.rounds, MEMORY_ROUNDS_MAX)):
                _say(f"{stage.value}: round {number + 1}")
                self._run_teams(stage, scenarios, able, rounds=1)
        else:
            self._run_teams(stage, scenarios, able, self.plan.rounds)

    def _run_teams(self, stage: Stage, scenarios: Sequence[Scenario], able: Sequence[Ready], rounds: int) -> None:
        teams = [Team(ready, stage, self.nats_server, self.tools) for ready in able]
        try:
            running = self._bring_up(stage, teams)
            if stage is Stage.MEMORY:
                time.sleep(MEMORY_SETTLES_SECONDS)
            else:
                warm_up = max(self.plan.warm_up, STAGE_WARM_UP_SECONDS / len(scenarios))
                for scenario in scenarios:
                    for team in running:
                        self._window(team, scenario, warm_up)
            for number in range(rounds):
                if stage is not Stage.MEMORY:
                    _say(f"{stage.value}: round {number + 1} of {rounds}")
                turn = number % max(1, len(running))  # Nobody shall always come after the same neighbour.
                for scenario in scenarios:
                    for team in [*running[turn:], *running[:turn]]:
                        self.results.add(scenario, team.name, self._window(team, scenario, self.plan.window))
        finally:
            for team in teams:
                team.stop()

    def _bring_up(self, stage: Stage, teams: Sequence[Team]) -> list[Team]:
        _say(f"{stage.value}: starting {', '.join(team.name for team in teams)}")
        started = [team for team in teams if self._attempt(team, stage.value, team.start)]
        return [team for team in started if self._attempt(team, stage.value, partial(self._note, team))]

    def _note(self, team: Team) -> None:
        self.results.runtimes[team.name] = team.await_ready()

    def _window(self, team: Team, scenario: Scenario, seconds: float) -> Sample | None:
        """Measure once. None if that fails, or has failed before."""
        if not team.usable or scenario.key in team.failed or not team.has(scenario):
            return None
        try:
            return team.measure(scenario, seconds)
        except ContenderFailed as failed:
            team.failed.add(scenario.key)
            self.results.fail(team.name, scenario.key, failed)
            return None

    def _attempt(self, team: Team, where: str, do: Callable[[], None]) -> bool:
        try:
            do()
        except ContenderFailed as failed:
            self.results.fail(team.name, where, failed)
            return False
        return True

    def _run_imports(self, scenario: Scenario, able: Sequence[Ready]) -> None:
        running = list(able)
        for number in range(-1, self.plan.rounds):  # The first one fills the caches of bytecode and files.
            _say(f"import: round {number + 1} of {self.plan.rounds}")
            for ready in list(running):
                try:
                    sample = _import_cost(ready)
                except ContenderFailed as failed:
                    self.results.fail(ready.name, scenario.key, failed)
                    running.remove(ready)
                else:
                    if number >= 0:
                        self.results.add(scenario, ready.name, sample)


def _import_cost(ready: Ready) -> Sample:
    nothing = "0" if ready.contender.kind is Kind.NODE else "pass"
    spent = 0.0
    for _ in range(IMPORTS_A_ROUND):
        spent += spent_seconds(ready.one_liner(ready.contender.imports), ready.env)
        spent -= spent_seconds(ready.one_liner(nothing), ready.env)
    return Sample(cost=spent / IMPORTS_A_ROUND * 1e3)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
