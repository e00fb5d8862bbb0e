"""Every program of Pylecular's own documentation, with nothing changed but its import lines.

The text below is the documentation's, indentation put back. `run_sample` changes the package's
name in import lines and runs it as a process of its own.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from tests.programs import Program
from tests.servers import NatsServer

pytestmark = pytest.mark.slow

TOP_LEVEL_AWAIT = """
    import ast, asyncio, pathlib, sys

    # The sample awaits at its top level, as one may at the prompt of `python -m asyncio`.
    code = compile(pathlib.Path(sys.argv[1]).read_text(), sys.argv[1], "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    asyncio.run(eval(code, {"__name__": "__main__"}))
"""


@contextmanager
def run_sample(folder: Path, sample: str, *, more: str = "") -> Iterator[Program]:
    changed = [
        line.replace("pylecular.", "tautomer.") if line.lstrip().startswith("from pylecular.") else line
        for line in dedent(sample).splitlines()
    ]
    file = folder / "sample.py"
    file.write_text("\n".join([*changed, dedent(more)]))
    runner = folder / "at_the_prompt.py"
    runner.write_text(dedent(TOP_LEVEL_AWAIT))
    command = [file] if "asyncio.run(" in sample else [runner, file]
    # What it prints is compared: asyncio's debug mode would add a line for each step that a slow machine takes its time over.
    with Program(sys.executable, "-W", "error", *command, env={"PYTHONASYNCIODEBUG": ""}) as program:
        yield program


# --- "Quick start" ---

GREETER = """
    import asyncio
    from pylecular.broker import Broker
    from pylecular.service import Service
    from pylecular.decorators import action
    from pylecular.context import Context

    # Define a service
    class GreeterService(Service):
        name = "greeter"

        def __init__(self):
            super().__init__(self.name)

        @action(params=["name"])
        async def hello(self, ctx: Context):
            name = ctx.params.get("name", "World")
            return f"Hello, {name}!"

    async def main():
        # Create a broker
        broker = Broker("my-node")

        # Register the service
        await broker.register(GreeterService())

        # Start the broker
        await broker.start()

        # Make a call
        result = await broker.call("greeter.hello", {"name": "John"})
        print(result) # Outputs: Hello, John!

        # Wait for termination
        await broker.wait_for_shutdown()

    # Run the main function
    asyncio.run(main())
"""


def wait_until_sigterm_is_caught(program: Program, seconds: float = 10.0) -> None:
    """The sample prints before it begins to wait for a signal, and one that came in between would just kill it."""
    status = Path(f"/proc/{program.process.pid}/status")
    if not status.exists():
        pytest.skip("what a process does with its signals can be read on Linux only")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        (caught,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("it never waited for SIGTERM")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_greeter_prints_its_greeting_and_stops_at_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with run_sample(tmp_path, GREETER) as greeter:
        greeter.wait_for("Hello, John!")
        wait_until_sigterm_is_caught(greeter)

        assert 0 == greeter.end(number)


# --- "Basic example" ---

MATH = """
    from pylecular.context import Context
    from pylecular.service import Service
    from pylecular.decorators import action, event
    from pylecular.broker import Broker

    broker = Broker("broker-sample")

    class MathService(Service):
        name = "math"

        def __init__(self):
            super().__init__(self.name)

        @action()
        def add(self, ctx):
            # Regular action
            result = ctx.params.get("a") + ctx.params.get("b")

            # Emit event to local listeners
            ctx.emit("calculation.done", {"operation": "add", "result": result})

            # Broadcast event to all nodes
            ctx.broadcast("calculation.completed", {"operation": "add", "result": result})

            return result

        @event(name="calculation.done")
        def calculation_done_handler(self, ctx):
            print(f"Calculation done: {ctx.params}")

    await broker.register(MathService())
    await broker.start()
    await broker.call("math.add", { "a": 5, "b": 20 })
"""


def test_the_calculator_hears_its_own_event(tmp_path: Path) -> None:
    with run_sample(tmp_path, MATH) as calculator:
        assert 0 == calculator.wait()
        assert ["Calculation done: {'operation': 'add', 'result': 25}"] == calculator.lines


# --- "Middlewares" ---

MIDDLEWARE = """
    from pylecular.middleware import Middleware
    from pylecular.context import Context # For type hinting

    class MyCustomMiddleware(Middleware):
        async def local_action(self, next_handler, action_endpoint):
            print(f"[MyCustomMiddleware] Before action: {action_endpoint.name}")
            async def wrapped_handler(ctx: Context):
                # Modify context before action execution
                ctx.meta['my_middleware_was_here'] = True
                print(f"[MyCustomMiddleware] Context meta updated for {action_endpoint.name}")

                result = await next_handler(ctx) # Call the next handler in the chain

                # Modify result after action execution
                if isinstance(result, dict):
                    result['processed_by_my_middleware'] = True
                print(f"[MyCustomMiddleware] After action: {action_endpoint.name}, Result: {result}")
                return result
            return wrapped_handler

        def broker_created(self, broker): # This is a synchronous hook
            print(f"[MyCustomMiddleware] Broker '{broker.id}' has been created.")
"""

DIRECTLY = """
    from pylecular.broker import Broker
    # Assuming MyMiddleware1 and MyMiddleware2 are defined
    mw1 = MyMiddleware1()
    mw2 = MyMiddleware2()
    broker = Broker(id="my-node", middlewares=[mw1, mw2])
"""

BY_SETTINGS = """
    from pylecular.broker import Broker
    from pylecular.settings import Settings
    # Assuming MyMiddleware1 and MyMiddleware2 are defined
    mw1 = MyMiddleware1()
    mw2 = MyMiddleware2()
    settings = Settings(middlewares=[mw1, mw2])
    broker = Broker(id="my-node", settings=settings)
"""

BOTH = BY_SETTINGS.replace("settings=settings", "settings=settings, middlewares=[mw2]")

TWO_MIDDLEWARES = """
    from pylecular.middleware import Middleware

    def around(name):
        class Around(Middleware):
            def local_action(self, next_handler, action_endpoint):
                if action_endpoint.name != "echo.say":
                    return next_handler
                async def wrapped(ctx):
                    print(f"{name}_before")
                    result = await next_handler(ctx)
                    print(f"{name}_after")
                    return result
                return wrapped
        return Around

    MyMiddleware1, MyMiddleware2 = around("mw1"), around("mw2")
"""

ECHO = """
    from tautomer.broker import Broker
    from tautomer.decorators import action
    from tautomer.service import Service

    class EchoService(Service):
        name = "echo"

        @action
        async def say(self, ctx):
            print("original_action")
            return {"meta": dict(ctx.meta)}

    if "broker" not in globals():
        broker = Broker("my-node", middlewares=[MyCustomMiddleware()])
    await broker.register(EchoService())
    await broker.start()
    print(await broker.call("echo.say"))
    await broker.stop()
"""


def test_the_custom_middleware_changes_context_and_result(tmp_path: Path) -> None:
    with run_sample(tmp_path, MIDDLEWARE, more=ECHO) as program:
        assert 0 == program.wait()

    result = "{'meta': {'my_middleware_was_here': True}, 'processed_by_my_middleware': True}"
    about_echo = [line for line in program.lines if "$node" not in line]
    assert [
        "[MyCustomMiddleware] Broker 'my-node' has been created.",
        "[MyCustomMiddleware] Before action: echo.say",
        "[MyCustomMiddleware] Context meta updated for echo.say",
        "original_action",
        f"[MyCustomMiddleware] After action: echo.say, Result: {result}",
        result,
    ] == about_echo


@pytest.mark.parametrize("registration", [DIRECTLY, BY_SETTINGS], ids=["directly", "by settings"])
def test_the_first_middleware_is_the_outermost(tmp_path: Path, registration: str) -> None:
    with run_sample(tmp_path, TWO_MIDDLEWARES + registration, more=ECHO) as program:
        assert 0 == program.wait()

    assert ["mw1_before", "mw2_before", "original_action", "mw2_after", "mw1_after"] == program.lines[:-1]


def test_middlewares_given_directly_win_over_those_in_the_settings(tmp_path: Path) -> None:
    with run_sample(tmp_path, TWO_MIDDLEWARES + BOTH, more=ECHO) as program:
        assert 0 == program.wait()

    assert ["mw2_before", "original_action", "mw2_after"] == program.lines[:-1]


# --- "Command line" ---

LINES = [
    "pylecular services",
    "pylecular services -b my-broker -t nats://nats-server:4222",
    "pylecular services -l DEBUG",
]


@pytest.mark.server
@pytest.mark.parametrize("line", LINES)
def test_the_lines_of_the_command_line_start_the_services_of_a_folder(tmp_path: Path, line: str) -> None:
    (tmp_path / "services").mkdir()
    greeter = dedent(GREETER).partition("async def main()")[0].replace("pylecular.", "tautomer.")
    (tmp_path / "services" / "greeter.py").write_text(greeter)

    with NatsServer() as server:
        words = line.replace("nats://nats-server:4222", server.url).split()
        with Program(sys.executable, "-m", "tautomer", *words[1:], cwd=tmp_path) as node:
            node.wait_for("service started service=greeter")
            if "-b" in words:
                node.wait_for("node started node=my-broker")
            else:
                node.wait_for("node started")

            assert 0 == node.end()
