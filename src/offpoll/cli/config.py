"""`offpoll config`: shows every setting, its value, its source and its meaning."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["config"]


def config(json_: Annotated[bool, typer.Option("--json", help="Print a JSON array: name, variable, value, source, doc.")] = False) -> None:
    """Show each setting: its value (secrets masked), where the value came from, and what the setting does.

    Settings are `OFFPOLL_*` variables in the environment. An unknown variable, or an unusable value, ends the command with exit code 2.

    Example: `OFFPOLL_LEASE=30 offpoll config --json | jq '.[] | select(.source != "default")'`
    """
    from offpoll.settings import Settings

    described = Settings.load(environ=os.environ).describe(environ=os.environ)
    if json_:
        print(json.dumps([asdict(each) for each in described], indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("variable", "value", "from", "what it does"):
        table.add_column(heading, overflow="fold")
    for each in described:
        table.add_row(each.variable, each.value or "-", each.source, each.doc)
    Console(highlight=False, markup=False).print(table)
