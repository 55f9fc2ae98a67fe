"""Log lines never wait for their reader, and nothing is lost silently."""

from __future__ import annotations

import asyncio
import fcntl
import io
import logging
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from unittest.mock import Mock

import pytest
from tests.support.servers import free_port

from offpoll.cli.access_log import DELAY, Lines
from offpoll.cli.unblocked import HELD, Unblocked, unblocked, unblocked_text
from offpoll.log_lines import handler as log_handler

LINE = b"x" * 99 + b"\n"

#: Lines that a pipe of PIPE bytes does not take.
PIPE = 65_536
MANY = 2 * PIPE // len(LINE)

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe: the end to read, which does not wait either, and the end to write."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE)
    os.set_blocking(reading, False)
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            pass  # the test has closed it


def drained(reading: int) -> bytes:
    """Return what a pipe or terminal holds now."""
    data = b""
    try:
        while part := os.read(reading, 1 << 20):
            data += part
    except BlockingIOError:
        pass
    return data


def test_a_reader_who_stalls(pipe: tuple[int, int]) -> None:
    """Lines are held meanwhile; when the reader is back, all of them arrive, whole and in order."""
    reading, writing = pipe
    lines = Unblocked(writing)
    for number in range(MANY):
        lines.write(b"%099d\n" % number)
    assert lines.is_behind
    got = b""
    while lines.is_behind:
        got += drained(reading)
        lines.flush()
    assert [int(each) for each in (got + drained(reading)).split()] == list(range(MANY))


def test_lines_beyond_the_limit(pipe: tuple[int, int]) -> None:
    """They are dropped whole, and their number is said where they are missing."""
    reading, writing = pipe
    lines = Unblocked(writing)
    sent = (HELD + 2 * PIPE) // len(LINE)
    for _ in range(sent):
        lines.write(LINE)
    got = b""
    for _ in range(2):
        while lines.is_behind:
            got += drained(reading)
            lines.flush()
        got += drained(reading)
        lines.write(LINE)
    got += drained(reading)
    note = next(each for each in got.splitlines() if each.startswith(b"offpoll: "))
    assert got.count(LINE) + int(note.split()[1]) == sent + 2
    assert got.replace(LINE, b"") == note + b"\n"


def test_a_reader_who_has_left(pipe: tuple[int, int]) -> None:
    """Nothing happens, and nothing is held."""
    reading, writing = pipe
    os.close(reading)
    lines = Unblocked(writing)
    lines.write(LINE)
    os.close(writing)
    lines.write(LINE)
    assert not lines.is_behind


def test_a_terminal_that_is_stopped() -> None:
    """Ctrl-S in a terminal is a reader who stalls."""
    master, slave = pty.openpty()
    try:
        termios.tcflow(slave, termios.TCOOFF)
        lines = Unblocked(slave)
        lines.write(LINE)
        assert lines.is_behind
        termios.tcflow(slave, termios.TCOON)
        lines.flush()
        assert not lines.is_behind
        assert os.read(master, 1000).strip() == LINE.strip()
    finally:
        os.close(master)
        os.close(slave)


def test_streams_without_a_descriptor() -> None:
    """They are used as they are, such as those of a test."""
    for stream in (io.BytesIO(), io.StringIO()):
        assert (unblocked if isinstance(stream, io.BytesIO) else unblocked_text)(stream) is stream  # type: ignore[operator]


def test_log_and_access_log(pipe: tuple[int, int]) -> None:
    """Both go on while nobody reads, and the access log arrives without another request once somebody does."""
    reading, writing = pipe

    async def main(lines: Lines, handler: logging.Handler) -> None:
        for _ in range(MANY):
            lines.write("GET /order")
            handler.handle(logging.makeLogRecord({"msg": "x" * 99}))
        lines.write("the last")
        while b"the last" not in drained(reading):  # noqa: ASYNC110 - a pipe sets no event
            await asyncio.sleep(DELAY / 10)

    with open(writing, "wb", closefd=False) as binary, open(writing, "w", closefd=False) as text:
        handler = log_handler(unblocked_text(text), form="text")
        asyncio.run(asyncio.wait_for(main(Lines(binary), handler), 20))


@pytest.mark.ministack
def test_the_api_goes_on(start: Start, resources: dict[str, str]) -> None:
    """`offpoll serve | less`: nobody reads, and the API answers more requests than the pipe takes lines; it ends cleanly."""
    port = free_port()
    process = start("serve", "shop:app", "--port", str(port), **resources)
    assert process.stdout is not None
    fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    url = f"http://127.0.0.1:{port}/{'x' * 500}"
    until = time.monotonic() + 60
    answered = 0
    while answered < 50:
        try:
            urllib.request.urlopen(url, timeout=5)
        except urllib.error.HTTPError:
            answered += 1
        except OSError:
            assert time.monotonic() < until, "it does not answer"
            time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 0


def test_another_process_was_faster(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several processes write to one pipe, room that one of them saw may be gone when it writes: it does not wait then."""
    reading, writing = pipe
    lines, other = Unblocked(writing), Unblocked(writing)
    monkeypatch.setattr(lines, "_poll", Mock(poll=lambda _: [(writing, select.POLLOUT)]))
    for _ in range(2 * PIPE // len(LINE)):
        other.write(LINE)
    thread = threading.Thread(target=lines.write, args=(b"y" * 4095 + b"\n",), daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert b"y" not in drained(reading)
    lines.flush()
    assert len(drained(reading)) == 4096


def test_no_descriptor_is_left(pipe: tuple[int, int]) -> None:
    """A reader learns of the end when the writer is gone and the pipe is closed."""
    reading, writing = pipe
    lines = Unblocked(writing)
    lines.write(LINE)
    del lines
    os.close(writing)
    assert (drained(reading), os.read(reading, 1)) == (LINE, b"")
