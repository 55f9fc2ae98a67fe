"""Shows a wait on standard error: a bar on a terminal, else a line for each change. Never shows a link.

It computes an operation's remaining time from the document's instants alone, so that the clocks of this machine and the service may differ.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn
from rich.table import Column
from rich.text import Text

from offpoll.client.request_guard import without_query
from offpoll.document import Document
from offpoll.exchange import Trouble
from offpoll.ticket import Ticket

__all__ = ["Watch", "printable"]

#: Seconds after which a terminal shows that a request is under way.
PATIENCE = 1.0

#: Columns of the bar on a terminal that is at least WIDE, and on a narrower one.
BAR, SHORT_BAR, WIDE = 30, 12, 100

#: Columns of `100%`, of the spaces between the five parts, and those that a message gets before the times do.
PERCENT, GAPS, SHORT_MESSAGE = 4, 5, 8


class Watch:
    """Watches one wait.

    Args:
        quiet: show nothing if standard error is no terminal.
        now: returns seconds that never go back.
        console: where to show the wait; standard error by default.

    Attributes:
        document: the newest; None until there is one.
        maybe_sent: False while every request so far certainly did not reach the API.
    """

    def __init__(self, *, quiet: bool = False, now: Callable[[], float] = monotonic, console: Console | None = None) -> None:
        self.document: Document | None = None
        self._asked: Counter[str] = Counter()
        self._now, self._began, self._began_asking = now, now(), now()
        self._console = console or Console(file=sys.stderr, highlight=False, markup=False, soft_wrap=True)
        self._lines = not self._console.is_terminal and not quiet
        self._progress: Progress | None = None
        self._store = self._whom = ""
        self._end_at: float | None = None
        self._poll_at: float | None = None
        self._news = False
        self._troubles: set[str] = set()
        self.maybe_sent = True

    @property
    def seconds(self) -> float:
        """How long it has been watching."""
        return self._now() - self._began

    @property
    def polls(self) -> int:
        """Requests to the object store so far."""
        return self._asked[self._store]

    @property
    def api_requests(self) -> int:
        """Requests to the API so far."""
        return self._asked.total() - self.polls

    @contextmanager
    def following(self, ticket: Ticket) -> Iterator[None]:
        """Show the wait for this ticket while it lasts. The last state stays on the terminal."""
        self._store = without_query(ticket.link.href)
        if self._console.is_terminal:
            bar = BAR if self._console.width >= WIDE else SHORT_BAR
            texts = [_TextColumn(each) for each in (self._fitting_what, lambda: self._fitting_message(bar), self._fitting_when)]
            columns = (texts[0], BarColumn(bar_width=bar), TaskProgressColumn(), *texts[1:])
            with Progress(*columns, console=self._console, refresh_per_second=4) as self._progress:
                self._progress.add_task("", total=None)
                self.updated(ticket.document)
                yield
        else:
            self.updated(ticket.document)
            yield

    def requested(self, method: str, url: str, status: int) -> None:
        """Count a request."""
        self._asked[url] += 1

    def trouble(self, trouble: Trouble) -> None:
        """Show why a request got no response, once for each reason, even if quiet: a user who waits should not have to guess."""
        self.maybe_sent = trouble.sent or (self.maybe_sent and bool(self._troubles))
        if trouble.text not in self._troubles:
            self._troubles.add(trouble.text)
            self._console.print(Text(printable(f"offpoll: {trouble.text}. Trying again")))

    @contextmanager
    def asking(self, whom: str) -> Iterator[None]:
        """Show on a terminal that a request is under way, once it has taken a second."""
        if not self._console.is_terminal:
            yield
            return
        self._whom, self._began_asking = whom, self._now()
        progress = Progress(_TextColumn(self.asked), console=self._console, transient=True, refresh_per_second=4)
        progress.add_task("", total=None)
        timer = Timer(PATIENCE, progress.start)  # a quick response shows nothing
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            if progress.live.is_started:
                progress.stop()

    def asked(self) -> str:
        """Return what `asking` shows: nothing in the first second."""
        seconds = self._now() - self._began_asking
        return f"waiting for {printable(self._whom)} … {_duration(seconds)}" if seconds >= PATIENCE else ""

    def updated(self, document: Document) -> None:
        """Note a new document."""
        self.document, self._news = document, document != self.document
        mean = document.estimate.mean if document.estimate is not None else None
        self._end_at = None if mean is None else self._now() + (mean - document.updated_at).total_seconds()
        if self._progress is not None:
            fraction = 1.0 if document.status == "succeeded" else document.progress.fraction if document.progress is not None else None
            self._progress.update(self._progress.task_ids[0], total=None if fraction is None else 1.0, completed=fraction or 0.0)
        if document.done:
            self._poll_at = self._end_at = None
            self._write()

    def waiting(self, seconds: float) -> None:
        """Note when the next poll is due."""
        self._poll_at = self._now() + seconds
        self._write()

    def _write(self) -> None:
        if self._news and self._lines and self.document is not None:
            done = self.document.progress.fraction if self.document.progress is not None else None
            share = "" if done is None else f"{done:.0%}"
            parts = (f"{self.seconds:6.1f} s", self._what(), share, self._message(), self._when())
            self._console.print(Text("  ".join(part for part in parts if part)))
        self._news = False

    def _what(self) -> str:
        return "" if self.document is None else printable(f"{self.document.kind} {self.document.status}")

    def _fitting_what(self) -> str:
        return _cut(self._what(), self._console.width // 3)

    def _fitting_when(self) -> str:
        """Return as much of it as a line of the terminal has room for."""
        room = self._console.width - len(self._fitting_what()) - PERCENT - GAPS
        parts = self._when_parts()
        texts = (", ".join(parts), ", ".join(each for each in parts if not each.startswith("next poll")), parts[-1])
        bars = (BAR if self._console.width >= WIDE else SHORT_BAR, SHORT_BAR, SHORT_BAR)
        return next((text for text, bar in zip(texts, bars, strict=True) if len(text) <= room - bar - SHORT_MESSAGE), "")

    def _fitting_message(self, bar: int) -> str:
        """Return the message, cut to what the rest of the line leaves: a second line would move the whole screen."""
        room = self._console.width - len(self._fitting_what()) - bar - PERCENT - len(self._fitting_when()) - GAPS
        return _cut(self._message(), room)

    def _message(self) -> str:
        progress = None if self.document is None else self.document.progress
        return printable((progress.message if progress is not None else None) or "")

    def _when(self) -> str:
        return ", ".join(self._when_parts())

    def _when_parts(self) -> list[str]:
        parts = []
        if self._end_at is not None:
            left = self._end_at - self._now()
            parts.append(f"ends in about {_duration(left)}" if left >= 1 else "ends any moment")
        if self._poll_at is not None:
            parts.append(f"next poll in {_duration(max(0.0, self._poll_at - self._now()))}")
        parts.append(f"{self.polls} poll{'' if self.polls == 1 else 's'}")
        return parts


class _TextColumn(ProgressColumn):
    """A column whose text is computed anew each time."""

    max_refresh = None

    def __init__(self, text: Callable[[], str]) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._text = text

    def render(self, task: Task) -> Text:
        """Render the current text."""
        return Text(self._text())


def _cut(text: str, width: int) -> str:
    """Return a text in at most this many columns of a terminal."""
    cut = Text(text)
    cut.truncate(max(0, width), overflow="ellipsis")
    return cut.plain if width > 1 else ""


def printable(text: Any) -> str:
    """Return a text from the service without the characters that control a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in str(text))


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
