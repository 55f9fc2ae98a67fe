"""Writes the table of settings into configuration.md, from the descriptions in `Settings`. `make docs` runs it; a test compares."""

from __future__ import annotations

from pathlib import Path

from offpoll.settings import Settings

PAGE = Path(__file__).with_name("configuration.md")
BEGIN, END = "<!-- settings: begin (make docs) -->\n", "<!-- settings: end -->\n"


def table() -> str:
    """Return the table as Markdown."""
    heading = "| variable | default | what it does |\n|---|---|---|\n"
    return heading + "".join(
        f"| `{each.variable}` | {f'`{each.value}`' if each.value else ''} | {each.doc.replace('|', '&#124;')} |\n"
        for each in Settings().describe(environ={})
    )


def with_table(page: str) -> str:
    """Return the page with the current table."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
