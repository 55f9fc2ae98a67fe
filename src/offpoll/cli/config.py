"""`offpoll config`: shows every setting, its value, its source and its meaning."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
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
    rows = [
        ("variable", "value", "from", "what it does"),
        *((each.variable, each.value or "-", each.source, each.doc) for each in described),
    ]
    if sys.stdout.isatty():
        _show(rows)
    else:
        _print(rows)


def _show(rows: Sequence[Sequence[str]]) -> None:
    """Show a table that fits the terminal."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows[1:]:
        table.add_row(*row)
    Console(highlight=False, markup=False).print(table)


def _print(rows: Sequence[Sequence[str]]) -> None:
    """Print a line for each setting, however long, for `grep` and the like."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])))
