"""What a user sees while nobody responds: why, within a second or two, and never more than is known."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from tests.support.stub_api import ID, StubApi

from offpoll.cli.watch import Watch
from offpoll.exchange import Trouble

Run = Callable[..., Any]

#: Seconds in which a command, which takes part of one to start, has to say why nobody responds.
SOON = 15.0


def dead() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.mark.parametrize("command", ["submit", "wait", "cancel"])
def test_a_refused_connection_is_said_at_once(command: str) -> None:
    """Before the retries have ended, a line says that the connection is refused. Interrupted then, it claims nothing: nothing was sent."""
    base = dead()
    arguments = {"submit": (base, "order", "-d", "1")}.get(command, (f"{base}/order/{ID}",))
    process = subprocess.Popen(
        [sys.executable, "-m", "offpoll.cli.main", command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    began = time.monotonic()
    line = process.stderr.readline()
    assert time.monotonic() - began < SOON
    assert line == f"offpoll: {base}: connection refused. Trying again\n"
    process.send_signal(2)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert "No request reached the API" in err
    assert "may have been" not in err


def test_https_to_an_http_port(offpoll: Run, api: StubApi) -> None:
    """https against http is said at once, with what to write instead, and is not tried again."""
    base = api.base.replace("http:", "https:")
    ended = offpoll("submit", base, "order", "-d", "1")
    assert (ended.code, api.seen) == (6, [])
    assert "does not speak TLS on this port: use http:// instead of https://" in ended.err
    assert "Nothing was sent" in ended.err
    assert "may have been accepted" not in ended.err


def shown(*, terminal: bool) -> tuple[Watch, Callable[[], str], list[float]]:
    now = [0.0]
    file = io.StringIO()
    watch = Watch(now=lambda: now[0], console=Console(file=file, force_terminal=terminal, width=100, highlight=False, markup=False))
    return watch, lambda: re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", file.getvalue()), now


class TestAsking:
    def test_a_terminal_shows_it_after_a_second(self) -> None:
        """On a terminal, a request that takes longer than a second becomes visible."""
        watch, _, now = shown(terminal=True)
        with watch.asking("http://api.test"):
            assert "waiting" not in watch.asked()
            now[0] = 1.5
            assert watch.asked() == "waiting for http://api.test … 1.5 s"

    def test_elsewhere_nothing_is_drawn(self) -> None:
        """Logs get no moving text."""
        watch, text, _ = shown(terminal=False)
        with watch.asking("http://api.test"):
            pass
        assert text() == ""

    def test_a_trouble_is_said_once(self) -> None:
        """Each reason is one line, however often it comes, and without what would control the terminal."""
        watch, text, _ = shown(terminal=False)
        for _ in range(3):
            watch.trouble(Trouble(text="http://api.test: connection refused\x1b[2J", sent=False))
        assert text().count("connection refused") == 1
        assert "\x1b" not in text()

    @pytest.mark.parametrize(
        ("sent", "maybe"),
        [([], True), ([False], False), ([False, False], False), ([False, True], True), ([True, False], True), ([True], True)],
    )
    def test_what_may_have_been_sent(self, sent: list[bool], maybe: bool) -> None:
        """Only while no request can have reached the API does a command say so."""
        watch, _, _ = shown(terminal=False)
        for number, each in enumerate(sent):
            watch.trouble(Trouble(text=f"reason {number}", sent=each))
        assert watch.maybe_sent is maybe


def test_on_a_real_terminal(api: StubApi) -> None:
    """A pseudo-terminal shows whom the command waits for while the API has not responded, and the result is not mixed with that."""
    master, slave = pty.openpty()
    api.hold.clear()
    command = [sys.executable, "-m", "offpoll.cli.main", "submit", api.base, "order", "-d", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=slave, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    os.close(slave)
    seen = b""
    try:
        until = time.monotonic() + SOON
        while b"waiting for" not in seen and time.monotonic() < until:
            if select.select([master], [], [], 0.1)[0]:
                seen += os.read(master, 4096)
    finally:
        api.hold.set()
    out, _ = process.communicate(timeout=20)
    os.close(master)
    assert f"waiting for {api.base}" in seen.decode()
    assert out.decode() == f"{api.base}/order/{ID}\n"
