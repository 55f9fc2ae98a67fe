"""Shows the steps of a command, and the lines of its children with their name in front."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TextIO

from rich.console import Console
from rich.text import Text

__all__ = ["Display"]

_STYLES = {"api": "cyan", "work": "magenta"}


class Display:
    """Writes lines, in colour on a terminal. It neither cuts nor wraps them, so that you can copy them."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = Console(file=file or sys.stdout, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that a step is running, and then how long it took."""
        started = perf_counter()
        if self._console.is_terminal:
            with self._console.status(f"{what} …"):
                yield
        else:
            self.say(f"… {what}")
            yield
        self._console.print(Text.assemble(("✓ ", "green"), what, (f"  {perf_counter() - started:.1f} s", "dim")))

    def say(self, text: str = "", *, style: str = "") -> None:
        """Write a line."""
        self._console.print(Text(text, style=style))

    def say_parts(self, *parts: tuple[str, str]) -> None:
        """Write a line of parts, each with its style."""
        self._console.print(Text.assemble(*parts))

    def lines_of(self, name: str) -> Callable[[str], None]:
        """Return a function that writes a child's lines."""

        def write(line: str) -> None:
            self._console.print(Text.assemble((f"{name:>4} │ ", _STYLES.get(name, "")), (line, "dim")))

        return write
