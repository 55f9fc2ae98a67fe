"""What a wait shows: a bar on a terminal, lines elsewhere, and never a link."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from offpoll.cli.watch import Watch, printable
from offpoll.document import Document, Estimate
from offpoll.link import StatusLink
from offpoll.operation import Progress
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LINK = "https://store.test/status/1?signature=5ecre7"


class Shown:
    """A watch, its time, and its output."""

    def __init__(self, *, terminal: bool, quiet: bool = False) -> None:
        self.time = 0.0
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=terminal, width=160, highlight=False, markup=False, soft_wrap=True)
        self.watch = Watch(quiet=quiet, now=lambda: self.time, console=console)

    @property
    def text(self) -> str:
        """The output without cursor movements and colours."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.file.getvalue())


def document(status: str = "queued", **fields: Any) -> Document:
    made = Document(id="0" * 32, kind="order", status=status, created_at=NOW, updated_at=NOW)
    return replace(made, **fields)


def ticket(**fields: Any) -> Ticket:
    return Ticket(document=document(**fields), link=StatusLink(href=LINK, expires_at=NOW), location="", retry_after=0)


def wait(shown: Shown) -> None:
    """Show the watch a wait of three polls."""
    watch = shown.watch
    with watch.following(ticket(estimate=Estimate(mean=NOW + timedelta(seconds=20)))):
        watch.waiting(12.0)
        shown.time = 12.0
        watch.requested("GET", "https://store.test/status/1", 200)
        running = document("running", updated_at=NOW + timedelta(seconds=11.5), progress=Progress(fraction=0.4, message="packing"))
        watch.updated(replace(running, estimate=Estimate(mean=NOW + timedelta(seconds=211.5))))
        watch.waiting(2.5)
        watch.requested("GET", "https://store.test/status/1", 304)
        watch.waiting(2.5)
        watch.requested("GET", "https://store.test/status/1", 200)
        watch.updated(document("succeeded"))
        watch.requested("GET", "https://api.test/order/1", 200)


def test_lines() -> None:
    """Each change is one line that says what comes next; a poll without news prints nothing."""
    shown = Shown(terminal=False)
    wait(shown)
    assert [line.strip() for line in shown.text.splitlines()] == [
        "0.0 s  order queued  ends in about 20 s, next poll in 12 s, 0 polls",
        "12.0 s  order running  40%  packing  ends in about 3 min, next poll in 2.5 s, 1 poll",
        "12.0 s  order succeeded  3 polls",
    ]
    assert (shown.watch.polls, shown.watch.api_requests) == (3, 1)


def test_quiet() -> None:
    """If nobody looks, and a script reads the result, nothing is shown."""
    shown = Shown(terminal=False, quiet=True)
    wait(shown)
    assert shown.text == ""


@pytest.mark.parametrize("quiet", [False, True])
def test_bar(quiet: bool) -> None:
    """A terminal shows a bar with the same content. At the end the bar is full and the cursor visible again."""
    shown = Shown(terminal=True, quiet=quiet)
    wait(shown)
    assert "order succeeded" in shown.text
    assert "100%" in shown.text
    assert "3 polls" in shown.text
    assert shown.file.getvalue().count("\x1b[?25l") == shown.file.getvalue().count("\x1b[?25h") == 1
    assert "5ecre7" not in shown.file.getvalue()


def test_bar_during_the_wait() -> None:
    """The bar's columns show progress, message, expected end, next poll and number of polls."""
    shown = Shown(terminal=True)
    with shown.watch.following(ticket(estimate=Estimate(mean=NOW + timedelta(seconds=20)))):
        shown.watch.updated(
            document("running", progress=Progress(fraction=0.4, message="packing"), estimate=Estimate(mean=NOW + timedelta(seconds=9)))
        )
        shown.watch.waiting(2.5)
        assert shown.watch._progress is not None
        shown.watch._progress.refresh()
    for text in ("order running", " 40%", "packing", "ends in about 9.0 s, next poll in 2.5 s, 0 polls"):
        assert text in shown.text


def test_an_error_restores_the_terminal() -> None:
    """The cursor is visible again even if the wait ends in an error."""
    shown = Shown(terminal=True)
    with pytest.raises(KeyboardInterrupt), shown.watch.following(ticket()):
        raise KeyboardInterrupt
    assert "\x1b[?25h" in shown.file.getvalue()


def test_an_overrun_estimate() -> None:
    """An overdue operation is shown to end any moment; no number is invented."""
    shown = Shown(terminal=False)
    with shown.watch.following(ticket(estimate=Estimate(mean=NOW - timedelta(seconds=5)))):
        shown.watch.waiting(7200.0)
    assert "ends any moment, next poll in 2.0 h" in shown.text


def test_control_characters() -> None:
    """A handler's message cannot move the cursor or name the window."""
    shown = Shown(terminal=False)
    with shown.watch.following(ticket(progress=Progress(message="\x1b]0;owned\x07 [bold]x"))):
        shown.watch.waiting(1.0)
    assert "\x1b" not in shown.file.getvalue()
    assert "[bold]x" in shown.text
    assert printable("a\nb\x1b") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
