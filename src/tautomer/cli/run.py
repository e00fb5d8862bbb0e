"""`tautomer run`: services from folders, files and modules, until a signal comes."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import rich_click as click

from tautomer import errors, logs
from tautomer.cli.workers import Supervisor, Workers, be_a_worker, default_base
from tautomer.config_files import read_config_file
from tautomer.loader import ServiceLike, ServiceLoadError, load_file, load_folder, load_target
from tautomer.runner import run
from tautomer.service import Service
from tautomer.settings import Settings
from tautomer.web.probes import Probes

C = TypeVar("C", bound=Callable[..., Any])

EXIT_FAILED = 1
EXIT_USAGE = 2
LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL")


def log_options(command: C) -> C:
    """Give a command ``--log-level`` and ``--log-format``."""
    level = click.option(
        "-l",
        "--log-level",
        type=click.Choice(LOG_LEVELS, case_sensitive=False),
        metavar="LEVEL",
        default="INFO",
        help="How much is logged. [default: INFO]",
    )
    form = click.option(
        "-f",
        "--log-format",
        type=click.Choice(("PLAIN", "JSON"), case_sensitive=False),
        default="PLAIN",
        help="Form of the log lines. [default: PLAIN]",
    )
    return level(form(command))


@click.command("run")
@click.argument("targets", nargs=-1, required=True, metavar="DIR|FILE|MODULE:CLASS…")
@click.option("-b", "--broker-id", metavar="ID", help="Id of this node. [default: host name and process id]")
@click.option(
    "-t",
    "--transporter",
    metavar="URL",
    help="Message broker, such as nats://localhost:4222. [default: $TRANSPORTER, else $NATS_URL, else none]",
)
@log_options
@click.option("-n", "--namespace", metavar="NAME", default="", help="Only nodes of one namespace see each other.")
@click.option(
    "-w",
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    default=1,
    help="Run N nodes in processes of their own, one mesh on this machine unless -t says otherwise. [default: 1]",
)
@click.option(
    "--probe-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Answer /livez, /readyz and /startupz on this port (a gateway does so on its own).",
)
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="nameko's configuration: YAML, JSON or TOML with WEB_SERVER_ADDRESS, max_workers and others.",
)
@click.option(
    "--http",
    metavar="[ADDRESS:]PORT",
    help="Where methods with @http and @websocket_rpc are asked. [default: $WEB_SERVER_ADDRESS, else 0.0.0.0:8000]",
)
def run_command(
    targets: Sequence[str],
    broker_id: str | None,
    transporter: str | None,
    log_level: str,
    log_format: str,
    namespace: str,
    workers: int,
    probe_port: int | None,
    config: str | None,
    http: str | None,
) -> None:
    """Run the services of folders, files and modules until SIGINT or SIGTERM."""
    debug = log_level.upper() in ("TRACE", "DEBUG")
    try:
        by_config = _logs_by_config(config)
        services = [service for target in targets for service in load(target)]
    except (ServiceLoadError, errors.BrokerOptionsError) as error:
        fail(str(error), error, debug)
    if not services:
        fail(f"no service found in {', '.join(targets)}: no public Service subclass with a name", code=EXIT_USAGE)
    if workers > 1:
        if probe_port is not None:
            fail("--probe-port is for one node: with --workers all of them would want that port", code=EXIT_USAGE)
        options = ["-l", log_level, "-f", log_format, "-n", namespace]
        options += [] if config is None else ["--config", os.path.abspath(config)]
        options += [] if http is None else ["--http", http]
        sys.exit(supervise(workers, broker_id, targets, transporter, options, debug, by_config))
    be_a_worker(os.environ)
    try:
        settings = Settings(
            transporter=transporter_url(transporter),
            log_level=None if by_config else log_level.upper(),
            log_format="JSON" if log_format.upper() == "JSON" else "PLAIN",
            namespace=namespace,
        )
        middlewares = [] if probe_port is None else [Probes(probe_port)]
        code = run(*services, settings=settings, id=broker_id, middlewares=middlewares, config=config, http=http)
    except Exception as error:
        fail(start_failure(error, services), error, debug)
    sys.exit(code)


def _logs_by_config(config: str | None) -> bool:
    """Whether the configuration says how to log, and nobody said otherwise on the command line."""
    context = click.get_current_context()
    assert context is not None
    sources = [context.get_parameter_source(one) for one in ("log_level", "log_format")]
    if config is None or any(source is not None and source.name == "COMMANDLINE" for source in sources):
        return False
    found = read_config_file(config, os.environ)
    return isinstance(found, Mapping) and found.get("LOGGING") is not None


def supervise(
    count: int,
    base: str | None,
    targets: Sequence[str],
    transporter: str | None,
    options: Sequence[str],
    debug: bool,
    logs_by_config: bool = False,
) -> int:
    """Run that many workers until a signal comes. Returns the exit code.

    Args:
        options: Of each worker. Level and form of the logs come first, and are told to none where `logs_by_config`.
    """
    try:
        logs.configure(options[1].upper(), options[3].upper())
        chosen = transporter_url(transporter)
        # An empty text was asked for: nodes that are alone.
        workers = Workers(base or default_base(), count, "" if transporter == "" else chosen)
        told = options[4:] if logs_by_config else options
        commands = {node_id: workers.command(node_id, targets, told) for node_id in workers.ids}
    except Exception as error:
        fail(f"start failed: {error}", error, debug)
    try:
        return asyncio.run(Supervisor(commands).run())
    finally:
        workers.close()


def load(target: str) -> list[ServiceLike]:
    """The services of one argument. What is neither a path nor ``module:Class`` is a wrong use."""
    path = Path(target)
    if path.is_dir():
        return load_folder(path)
    if path.exists():
        return load_file(path)
    if ":" not in target:
        fail(f"there is no folder, file or command '{target}' (see tautomer --help)", code=EXIT_USAGE)
    # An installed command has its own folder on the import path, not the one it is called from.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    return load_target(target)


def transporter_url(option: str | None) -> str | None:
    """What was asked for, else what the environment says; an empty text means none."""
    if option is not None:
        return option or None
    return os.environ.get("TRANSPORTER") or os.environ.get("NATS_URL") or None


def start_failure(error: Exception, services: Sequence[ServiceLike]) -> str:
    """One line for a start that failed. One that is neither ours nor the system's gets its place in a service file."""
    if isinstance(error, errors.TautomerError | OSError):
        return f"start failed: {error}"
    classes = [type(one) if isinstance(one, Service) else one for one in services]
    files = {getattr(sys.modules.get(cls.__module__), "__file__", None) for cls in classes}
    frames = traceback.extract_tb(error.__traceback__)
    place = next((frame for frame in reversed(frames) if frame.filename in files), frames[-1])
    return f"start failed: {type(error).__name__}: {error} ({place.filename}, line {place.lineno}; -l DEBUG shows more)"


def fail(message: str, error: Exception | None = None, debug: bool = False, code: int = EXIT_FAILED) -> NoReturn:
    """Say what went wrong, on standard error, and end. The traceback is for those who asked for DEBUG."""
    if debug and error is not None:
        traceback.print_exception(error)
    click.echo(f"tautomer: {message}", err=True)
    sys.exit(code)
