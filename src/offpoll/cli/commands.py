"""Assembles the command line from its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from offpoll import __version__
from offpoll.cli.cancel import cancel
from offpoll.cli.config import config
from offpoll.cli.deploy import deploy
from offpoll.cli.destroy import destroy
from offpoll.cli.dev.command import dev
from offpoll.cli.inspect import inspect
from offpoll.cli.new import new
from offpoll.cli.resubmit import resubmit
from offpoll.cli.serve import serve
from offpoll.cli.stats import stats
from offpoll.cli.submit import submit
from offpoll.cli.wait import wait
from offpoll.cli.work import work

__all__ = ["app"]

app = typer.Typer(
    name="offpoll",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Moves status polling from asynchronous HTTP APIs to object storage.\n\n"
        "Start with `offpoll dev orders:app`: everything runs on this machine, AWS included.\n\n"
        "Exit codes: 0 done, 1 failed, 2 usage or configuration, 6 no response. docs/operations.md has all of them."
    ),
)


def _show(version: bool) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@app.callback()
def _offpoll(version: Annotated[bool, typer.Option("--version", callback=_show, is_eager=True, help="Show the version.")] = False) -> None:
    """Read the options that stand before a command."""


for command in (new, dev, submit, wait, cancel, serve, work, inspect, resubmit, stats, config, deploy, destroy):
    app.command()(command)
