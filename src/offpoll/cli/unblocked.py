"""Writes lines to a descriptor without ever waiting for its reader.

An API that logs into a pipe (`offpoll serve … | less`) or a terminal (Ctrl-S) would otherwise stop as soon as nobody reads. What the reader
does not take is held, up to a limit; beyond that it is dropped, and counted.
"""

from __future__ import annotations

import io
import os
import select
import weakref
from stat import S_ISFIFO
from typing import BinaryIO, Protocol, TextIO

__all__ = ["HELD", "Unblocked", "Writes", "unblocked", "unblocked_text"]

#: Bytes that a pipe with any room takes at once, and whole (PIPE_BUF on Linux).
BLOCK = 4096

#: Most bytes to hold for a reader that does not read: some 10,000 lines.
HELD = 1 << 20


class Writes(Protocol):
    """What a log writes to."""

    def write(self, data: bytes, /) -> object:
        """Write whole lines."""

    def flush(self) -> None:
        """Write what is held."""


class Unblocked:
    """A descriptor. Says how many lines were lost, once its reader is back. Belongs to one thread, or to a lock."""

    def __init__(self, descriptor: int) -> None:
        own = _own(descriptor)
        self._descriptor = descriptor if own is None else own
        if own is not None:
            weakref.finalize(self, os.close, own)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        self._held = bytearray()
        self._lost = 0

    @property
    def is_behind(self) -> bool:
        """Whether the reader has not taken everything."""
        return bool(self._held)

    def write(self, data: bytes) -> None:
        """Write whole lines, or hold or drop them."""
        if len(self._held) + len(data) > HELD:
            self._lost += data.count(b"\n")
            return
        if self._lost:
            self._held += b"offpoll: %d lines were lost here, because nobody read them\n" % self._lost
            self._lost = 0
        self._held += data
        self.flush()

    def flush(self) -> None:
        """Write as much as the reader takes now."""
        while self._held and self._poll.poll(0):
            try:
                written = os.write(self._descriptor, self._held[:BLOCK])
            except BlockingIOError:
                return  # another process was faster
            except OSError:
                written = len(self._held)  # it is closed, or its reader is gone: nobody can be told
            del self._held[:written]


class _Text(io.TextIOBase):
    """The same for text, as logging's handlers write it."""

    def __init__(self, lines: Unblocked) -> None:
        self._lines = lines

    def write(self, text: str) -> int:
        """Write whole lines, or hold or drop them."""
        self._lines.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Write as much as the reader takes now."""
        self._lines.flush()


def unblocked(stream: BinaryIO) -> Writes:
    """Return such a writer for a file; the stream itself if it is only in memory."""
    descriptor = _descriptor(stream)
    return stream if descriptor is None else Unblocked(descriptor)


def unblocked_text(stream: TextIO) -> TextIO | io.TextIOBase:
    """Return such a writer for a text file; the stream itself if it is only in memory."""
    descriptor = _descriptor(stream)
    return stream if descriptor is None else _Text(Unblocked(descriptor))


def _own(descriptor: int) -> int | None:
    """Open a pipe once more, so that writes to it never wait; None for other files, and where that is impossible.

    Processes that share a pipe may all see that it has room for one of them. A flag on the descriptor as it is would be theirs too.
    """
    try:
        if S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        pass  # no /proc, or somebody else's pipe
    return None


def _descriptor(stream: BinaryIO | TextIO) -> int | None:
    try:
        descriptor = stream.fileno()
        stream.flush()
    except (OSError, AttributeError, ValueError):
        return None
    return descriptor
