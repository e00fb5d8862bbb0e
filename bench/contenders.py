"""Who is measured: tautomer and its peers, and what each needs to run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bench.scenarios import Scenario, Stage

PROGRAMS = Path(__file__).parent / "contenders"


class Kind(Enum):
    """Whose framework it is; a peer is compared with its own kind's best."""

    OURS = "tautomer"
    NODE = "Node"
    PYTHON = "Python"


class Needs(Enum):
    """What the bench must install first."""

    NOTHING = "nothing"
    NODE22 = "node22"
    NODE24 = "node24"
    PYTHON_PEERS = "python"
    PYTHON36 = "python 3.6"


@dataclass(frozen=True, slots=True)
class Contender:
    """One column of the table.

    Attributes:
        program: File below ``contenders/``.
        loop: Event loop of a Python contender, ``uvloop`` or ``asyncio``.
        imports: Source that imports the framework's broker; ``import`` is compared with an interpreter without it.
        absent: Stages that it has nothing for.
        absent_rows: Scenarios of other stages that it has nothing for.
        always_nats: It has no other transporter, and does not start without one.
    """

    name: str
    kind: Kind
    needs: Needs
    program: str
    imports: str
    loop: str = "asyncio"
    absent: tuple[Stage, ...] = ()
    absent_rows: tuple[str, ...] = ()
    always_nats: bool = False

    def has(self, scenario: Scenario) -> bool:
        """Whether it has something for a scenario."""
        return scenario.stage not in self.absent and scenario.key not in self.absent_rows


@dataclass(frozen=True, slots=True)
class Ready:
    """A contender that can be started here.

    Attributes:
        interpreter: Path of its Node or Python.
        env: What its environment has beside ours.
    """

    contender: Contender
    interpreter: str
    env: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.contender.name

    def command(self, role: str, nats: str | None, port: int) -> list[str]:
        options = json.dumps({"nats": nats, "port": port})
        return [self.interpreter, str(PROGRAMS / self.contender.program), role, options]

    def one_liner(self, source: str) -> list[str]:
        return [self.interpreter, "-e" if self.contender.kind is Kind.NODE else "-c", source]


_TAUTOMER = ("python/tautomer_program.py", "import tautomer; tautomer.Broker")
_NODE = ("node/program.js", "require('moleculer')")
_MOLECULERPY = ("python/moleculerpy_program.py", "from moleculerpy import Broker")
_PYLECULAR = ("python/pylecular_program.py", "from pylecular.broker import Broker")
_GEMSTONE = ("python/gemstone_program.py", "import gemstone")
# These rows are compared with Node only.
_NO_CHECKS = (Stage.CHECKED, Stage.SOCKETS, Stage.JSON_RPC)
# Node's gateway knows no JSON-RPC, gemstone nothing else; it runs in the loop whatever does not say otherwise.
_NO_RPC = ("jsonrpc-call", "jsonrpc-thread")
_RPC_ONLY = tuple(stage for stage in Stage if stage is not Stage.JSON_RPC)
_NO_GATEWAY_NO_CACHE = (
    Stage.CACHED,
    Stage.CHECKED,
    Stage.GATEWAY,
    Stage.GUARDED,
    Stage.ALIASES,
    Stage.EDGE,
    Stage.SOCKETS,
    Stage.JSON_RPC,
    Stage.MEMORY,
)

CONTENDERS = {
    contender.name: contender
    for contender in (
        Contender("tautomer", Kind.OURS, Needs.NOTHING, *_TAUTOMER, loop="uvloop"),
        Contender("tautomer-asyncio", Kind.OURS, Needs.NOTHING, *_TAUTOMER),
        Contender("node22", Kind.NODE, Needs.NODE22, *_NODE, absent_rows=_NO_RPC),
        Contender("node24", Kind.NODE, Needs.NODE24, *_NODE, absent_rows=_NO_RPC),
        Contender("moleculerpy", Kind.PYTHON, Needs.PYTHON_PEERS, *_MOLECULERPY, "asyncio", _NO_CHECKS),
        Contender("moleculerpy-uvloop", Kind.PYTHON, Needs.PYTHON_PEERS, *_MOLECULERPY, "uvloop", _NO_CHECKS),
        Contender(
            "pylecular", Kind.PYTHON, Needs.PYTHON_PEERS, *_PYLECULAR, absent=_NO_GATEWAY_NO_CACHE, always_nats=True
        ),
        Contender(
            "pylecular-uvloop",
            Kind.PYTHON,
            Needs.PYTHON_PEERS,
            *_PYLECULAR,
            "uvloop",
            _NO_GATEWAY_NO_CACHE,
            always_nats=True,
        ),
        Contender(
            "gemstone",
            Kind.PYTHON,
            Needs.PYTHON36,
            *_GEMSTONE,
            absent=_RPC_ONLY,
            absent_rows=("jsonrpc-alias", "jsonrpc-thread"),
        ),
    )
}

# The Python peers run on plain asyncio unless asked for by name: so their documents start them.
USUAL_PEERS = ("node22", "node24", "moleculerpy", "pylecular", "gemstone")
QUICK_PEERS = ("node22", "moleculerpy", "pylecular", "gemstone")


def select(names: str | None, quick: bool) -> tuple[Contender, ...]:
    """tautomer and the peers of a comma-separated list, tautomer first.

    Raises:
        ValueError: There is no such peer; says which there are.
    """
    peers = names.split(",") if names else QUICK_PEERS if quick else USUAL_PEERS
    for name in peers:
        if name not in CONTENDERS:
            raise ValueError(f"no peer '{name}'; there are {', '.join(n for n in CONTENDERS if n != 'tautomer')}")
    return tuple(CONTENDERS[name] for name in dict.fromkeys(("tautomer", *peers)))
