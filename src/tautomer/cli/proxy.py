"""`tautomer proxy`: a gateway of the proxies that a file names."""

from __future__ import annotations

import sys

import rich_click as click

from tautomer import errors
from tautomer.cli.run import EXIT_USAGE, fail, log_options
from tautomer.runner import run
from tautomer.settings import Settings

PORT = 9654
"""Blackgate's."""


@click.command("proxy")
@click.option("-c", "--config", required=True, metavar="FILE", help="Proxies: a .json, .toml, .yml or .yaml file.")
@click.option("-p", "--port", type=click.IntRange(0, 65535), metavar="PORT", help=f"[default: the file's, else {PORT}]")
@click.option("--host", metavar="ADDRESS", help="Address to listen on. [default: the file's, else 0.0.0.0]")
@log_options
def proxy_command(config: str, port: int | None, host: str | None, log_level: str, log_format: str) -> None:
    """Pass HTTP requests on to the upstream servers that a file names, until SIGINT or SIGTERM."""
    from tautomer.commands.configured import read_proxy_file
    from tautomer.web.proxying.patterns import configured_mount
    from tautomer.web.service import ApiGatewayService

    debug = log_level.upper() in ("TRACE", "DEBUG")
    try:
        proxies, told = read_proxy_file(config)
    except errors.BrokerOptionsError as error:
        fail(str(error), error, debug, EXIT_USAGE)
    gateway = ApiGatewayService(
        "proxy",
        settings={
            "port": told.get("port", PORT) if port is None else port,
            "ip": told.get("host", "0.0.0.0") if host is None else host,
            "openapi": False,
            "routes": [{"path": "", "proxy": configured_mount(proxies)}],
        },
    )
    settings = Settings(log_level=log_level.upper(), log_format="JSON" if log_format.upper() == "JSON" else "PLAIN")
    try:
        code = run(gateway, settings=settings)
    except (errors.TautomerError, OSError) as error:
        fail(f"start failed: {error}", error, debug)
    sys.exit(code)
