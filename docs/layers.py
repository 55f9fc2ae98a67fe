"""Draws the layers of `.importlinter` into architecture.md. `make docs` runs it; a test compares."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path
from textwrap import wrap

PAGE = Path(__file__).with_name("architecture.md")
RULES = Path(__file__).parent.parent / ".importlinter"

#: Columns inside the frame.
WIDTH = 96


def floors(contract: str) -> list[list[str]]:
    """Return the rooms of each floor, the top one first, without what all their names begin with."""
    rules = ConfigParser()
    rules.read(RULES)
    names = [line.split("|") for line in rules[f"importlinter:contract:{contract}"]["layers"].split("\n") if line.strip()]
    prefix = "offpoll." if contract == "layers" else f"offpoll.{contract}."
    return [[name.strip().removeprefix(prefix) for name in floor] for floor in names]


def picture(contract: str) -> str:
    """Return a tower, one floor in each frame."""
    rows = [wrap("   ".join(floor), WIDTH) for floor in floors(contract)]
    between = f"    ├{'─' * (WIDTH + 2)}┤\n"
    drawn = between.join("".join(f"    │ {line:<{WIDTH}} │\n" for line in row) for row in rows)
    return f"    ┌{'─' * (WIDTH + 2)}┐\n{drawn}    └{'─' * (WIDTH + 2)}┘\n"


def with_pictures(page: str) -> str:
    """Return the page with the pictures of today."""
    for contract in ("layers", "aws"):
        begin, end = f"<!-- {contract}: begin (make docs) -->\n", f"<!-- {contract}: end -->\n"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n{picture(contract)}\n{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(with_pictures(PAGE.read_text()))
