"""Draws the layers of `.importlinter` into architecture.md. `make docs` runs it; a test compares."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path
from textwrap import wrap

PAGE = Path(__file__).with_name("architecture.md")
RULES = Path(__file__).parent.parent / ".importlinter"

#: Columns of the frame.
WIDTH = 90

#: Storeys: what the floors from the one with this room down have in common.
STOREYS = {
    "layers": {
        "cli": "what people run",
        "wiring": "puts an app and its adapters together",
        "http.asgi": "HTTP",
        "blocking": "a connected app",
        "operators": "the use cases",
        "aws": "adapters",
        "board": "protocols, each with its in-memory twin",
        "ticket": "what clients and servers exchange",
        "kind": "rules: no I/O, no clock of their own",
        "errors": "every error",
    },
    "aws": {
        "chain": "credentials",
        "s3": "adapters, one verb a call",
        "wire": "one signed call",
        "connections": "bytes",
    },
}


def floors(contract: str) -> list[list[str]]:
    """Return the rooms of each floor, the top one first, without the beginning that all their names share."""
    rules = ConfigParser()
    rules.read(RULES)
    lines = rules[f"importlinter:contract:{contract}"]["layers"].split()
    prefix = "offpoll." if contract == "layers" else f"offpoll.{contract}."
    text = " ".join(lines).replace(" | ", "|")
    return [[name.removeprefix(prefix) for name in floor.split("|")] for floor in text.split()]


def picture(contract: str) -> str:
    """Return a tower with a frame around each storey.

    Raises:
        KeyError: a storey begins at a room that is not there.
    """
    storeys = dict(STOREYS[contract])
    drawn = []
    for floor in floors(contract):
        for room in storeys.keys() & set(floor):
            title = f"─ {storeys.pop(room)} "
            left, right = ("├", "┤") if drawn else ("┌", "┐")
            drawn.append(f"{left}{title:─<{WIDTH}}{right}")
        drawn += [f"│  {line:<{WIDTH - 2}}│" for line in wrap("   ".join(floor), WIDTH - 4)]
    if storeys:
        raise KeyError(f"no floor has the room {', '.join(storeys)}")
    return "".join(f"    {line}\n" for line in [*drawn, f"└{'─' * WIDTH}┘"])


def with_pictures(page: str) -> str:
    """Return the page with the pictures of today."""
    for contract in STOREYS:
        begin, end = f"<!-- {contract}: begin (make docs) -->\n", f"<!-- {contract}: end -->\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{picture(contract)}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_pictures(PAGE.read_text()))
