"""Two nodes of one id: whoever runs goes on, the newcomer gives way (promise M5)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from tautomer import errors
from tests.programs import Program as Command

from .mesh import Mesh, sees
from .npm import ROOT
from .peers import until
from .program import ProgramFailed

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


async def test_a_node_js_incumbent_survives_a_python_newcomer(mesh: Mesh, line: str) -> None:
    incumbent = await mesh.add_node(line, "taken")
    asker = await mesh.add_python("asker")
    await sees(asker, "taken.echo", "taken")
    instance_id = incumbent.program.ready["instanceID"]

    with pytest.raises(errors.NodeIdTakenError, match=f"'taken' is already in use by instance '{instance_id}'"):
        await mesh.add_python("taken")

    # Node.js ends a moment after it heard of a namesake; what is asked after that is not answered.
    await asyncio.sleep(0.3)
    assert incumbent.program.running
    assert 5 == (await asker.call("taken.echo", 5, timeout=2.0)).value
    assert instance_id == (await asker.nodes())["taken"]["instanceID"]


async def test_a_python_incumbent_survives_a_python_newcomer(mesh: Mesh) -> None:
    incumbent = await mesh.add_program("taken")
    asker = await mesh.add_python("asker")
    await sees(asker, "taken.echo", "taken")

    with pytest.raises(ProgramFailed, match="is already in use by instance"):
        await mesh.add_program("taken")
    mesh.programs["taken"] = incumbent

    assert incumbent.running
    assert 5 == (await asker.call("taken.echo", 5, timeout=2.0)).value


async def test_a_python_incumbent_survives_a_node_js_newcomer(mesh: Mesh, line: str) -> None:
    """Node.js does not ask before it tells; it ends when it hears that the id is ours."""
    incumbent = await mesh.add_program("taken")
    asker = await mesh.add_python("asker")
    await sees(asker, "taken.echo", "taken")

    newcomer = await mesh.add_node(line, "taken")

    async def ended() -> bool:
        return not newcomer.program.running

    await until(ended, timeout=10.0)
    assert incumbent.running

    async def back() -> bool:
        return bool((await asker.nodes())["taken"]["instanceID"] == incumbent.ready["instanceID"])

    await until(back)
    assert 5 == (await asker.call("taken.echo", 5, timeout=2.0)).value


async def test_the_id_of_a_killed_node_is_free_at_once(mesh: Mesh) -> None:
    first = await mesh.add_program("again")
    await first.kill()

    second = await mesh.add_program("again")

    assert second.running
    await first.close()


async def test_the_id_of_a_frozen_node_is_free_after_a_moment(mesh: Mesh) -> None:
    """It cannot say that it has it. When it wakes, both stay, and both tell."""
    first = await mesh.add_program("frozen")
    first.signal(signal.SIGSTOP)
    try:
        second = await mesh.add_program("frozen")
    finally:
        first.signal(signal.SIGCONT)

    assert second.running
    await asyncio.sleep(0.3)
    assert [True, True] == [first.running, second.running]
    await first.close()


async def test_the_command_line_says_it_in_one_line(mesh: Mesh) -> None:
    await mesh.add_program("taken")
    options = ["-t", mesh.url, "-n", mesh.namespace, "-b", "taken"]

    def run() -> tuple[int, list[str]]:
        with Command(sys.executable, "-m", "tautomer", "tests.interop.probe:Books", *options, cwd=ROOT) as command:
            code = command.wait()
            return code, [line for line in command.lines if line.startswith("tautomer: ")]

    code, said = await asyncio.to_thread(run)

    assert 1 == code
    assert 1 == len(said)
    assert "start failed: node id 'taken' is already in use by instance" in said[0]
    assert f"on host '{os.uname().nodename}'" in said[0]
