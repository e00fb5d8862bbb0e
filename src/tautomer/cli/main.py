"""The command `tautomer` and its subcommands. Without one, `run` is meant, as in Pylecular."""

from __future__ import annotations

import platform

import rich_click as click

from tautomer._version import __version__
from tautomer.cli.call import call_command, call_raw_command
from tautomer.cli.proxy import proxy_command
from tautomer.cli.run import run_command

OWN_OPTIONS = ("--help", "-h", "--version")


class RunByDefault(click.RichGroup):
    """A group that takes ``tautomer DIR …`` for ``tautomer run DIR …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in OWN_OPTIONS:
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group(
    "tautomer",
    cls=RunByDefault,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`tautomer services` alone means `tautomer run services`.",
)
@click.version_option(
    __version__, message=f"tautomer %(version)s ({platform.python_implementation()} {platform.python_version()})"
)
def main() -> None:
    """Python microservices in one mesh with Node.js."""


for _command in (run_command, proxy_command, call_command, call_raw_command):
    main.add_command(_command)
