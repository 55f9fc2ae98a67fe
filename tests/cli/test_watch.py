"""What a wait shows: a bar on a terminal, lines elsewhere, and never a link."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.cli.conftest import environment
from tests.support.stub_api import StubApi

from offpoll.cli.watch import Watch, printable
from offpoll.document import Document, Estimate
from offpoll.link import StatusLink
from offpoll.operation import Progress
from offpoll.ticket import Ticket

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LINK = "https://store.test/status/1?signature=5ecre7"


class Shown:
    """A watch, its time, and its output."""

    def __init__(self, *, terminal: bool, quiet: bool = False, width: int = 160) -> None:
        self.time = 0.0
        self.file = io.StringIO()
        console = Console(file=self.file, force_terminal=terminal, width=width, highlight=False, markup=False, soft_wrap=True)
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


@pytest.mark.parametrize("width", [40, 60, 80, 99, 100, 120])
@pytest.mark.parametrize(
    "message", ["", "packing", "reserving stock in every warehouse of the country, which takes a while", "梱包しています" * 10]
)
@pytest.mark.parametrize("kind", ["order", "k" * 64])
def test_the_bar_is_one_line(width: int, message: str, kind: str) -> None:
    """However narrow the terminal: a second line would scroll it at every refresh. Bar, share and polls stay; the rest is cut."""
    shown = Shown(terminal=True, width=width)
    with shown.watch.following(ticket(kind=kind)):
        progress = Progress(fraction=0.4, message=message) if message else Progress(fraction=0.4)
        shown.watch.updated(document("running", kind=kind, progress=progress, estimate=Estimate(mean=NOW + timedelta(seconds=3000))))
        shown.watch.waiting(2.5)
        assert shown.watch._progress is not None
        shown.file.truncate(0)
        shown.watch._progress.refresh()
        frame = shown.text.strip("\r\n\0 ")
    assert "\x1b[1A" not in shown.file.getvalue()
    assert max(cell_len(line) for line in shown.text.replace("\0", "").splitlines()) <= width
    for text in ("40%", "━", *(["0 polls"] if width >= 60 else []), *(["ends in about 50 min"] if width >= 80 and kind == "order" else [])):
        assert text in frame


@pytest.mark.parametrize("columns", [80, 132])
def test_a_real_terminal(api: StubApi, tmp_path: Path, columns: int) -> None:
    """On a pseudo-terminal, the bar of `offpoll submit --wait` never moves the cursor up."""
    shown: list[Document] = [
        api.document(
            "running", progress=Progress(fraction=share / 4, message="reserving stock in every warehouse we have"), revision=share + 1
        )
        for share in range(4)
    ]
    api.store_next = lambda: shown.pop(0) if shown else api.document("succeeded", revision=9)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "offpoll", "submit", api.base, "order", "-d", "{}", "--wait"]
    env = {**environment(TERM="xterm"), "COLUMNS": "", "LINES": ""}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdin=slave, stdout=subprocess.PIPE, stderr=slave) as process:
        os.close(slave)
        output = b""
        try:
            while part := os.read(master, 65_536):
                output += part
        except OSError:
            pass  # the other end is closed: Linux says so
        assert process.stdout is not None
        assert json.loads(process.stdout.read()) == {"total": 5}
    os.close(master)
    assert process.returncode == 0
    assert b"order succeeded" in output
    assert b"\x1b[1A" not in output[output.index(b"order running") :]  # before it, a slow submit may have shown whom it asks


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
