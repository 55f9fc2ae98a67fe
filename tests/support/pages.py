"""Reads the documentation's pages, blocks and tables.

A comment on the line before a block says how to run it:

    <!-- file: x.py -->     as a module, which later blocks of any page can import; a test_x.py runs by pytest's rules
    <!-- run -->            by itself, with `Client` and `AsyncClient` leading to an in-memory system of docs/service.md's orders
    <!-- submit -->         with `service` from such a system
    <!-- blocking -->       with a `connect` that returns a service in memory, on real time
    <!-- board -->          after the page's other ones, with `board` in memory
    <!-- celery -->         with a stand-in for `celery`
    <!-- shell: why -->     not at all, because tests lack what it needs; its syntax is checked

A Python block without such a comment is an error. test_readme.py plays the README's blocks, as a reader would type them.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "PYTHON", "ROOT", "SOURCE", "Block", "blocks", "named", "page", "rows"]

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "src").rglob("*.py")))

_BLOCK = re.compile(r"(?:<!-- (?P<how>[^>]*?) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    how: str
    language: str
    code: str
    line: int

    @property
    def file(self) -> str:
        """The module's file name; empty if the block is no module."""
        return self.how.removeprefix("file: ") if self.how.startswith("file: ") else ""

    def run(self, names: dict[str, Any], *, loop: Callable[[Any], Any] = asyncio.run) -> None:
        """Execute the block, which may `await` outside of functions."""
        code = compile("\n" * self.line + self.code, str(self.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.iscoroutine(result):
            loop(result)


def blocks(*languages: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            if match["language"] in languages:
                line = text.count("\n", 0, match.start("code"))
                found.append(Block(page, match["how"] or "", match["language"], match["code"], line))
    return found


def named(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


def page(name: str) -> str:
    return (ROOT / name).read_text()


def rows(text: str, after: str, *, skip: int = 0) -> list[list[str]]:
    """Return the cells of the first table after a mark, without its heading and `skip` more rows."""
    lines = text.partition(after)[2].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    cells = []
    for line in lines[start + 2 + skip :]:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return cells


PYTHON = [block for block in blocks("python") if block.page != ROOT / "README.md"]
