"""Replaces the standard streams by ones that every command can rely on, however it was started.

Standard output carries what a command is for: if it cannot be written, the command ends with an exit code of its own. Standard error
carries what people may read: if it cannot be written, nothing happens. A stream that is closed (`>&-`) gets its descriptor back, because
the next file or socket would take its number,and a line of output would end up there.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO

from offpoll.cli.exit_codes import READER_GONE, UNWRITABLE
from offpoll.errors import OffpollError

__all__ = ["Unwritable", "prepare", "unwritten"]


class Unwritable(OffpollError):  # noqa: N818 - named by what happened
    """Standard output cannot be written.

    Attributes:
        code: the command's exit code.
    """

    def __init__(self, error: OSError) -> None:
        closed = error.errno == errno.EBADF
        super().__init__(f"standard output cannot be written: {'it is closed' if closed else error.strerror}")
        self.code = READER_GONE if error.errno == errno.EPIPE else UNWRITABLE


class _Output(io.FileIO):
    """Standard output. Raises once; what comes later is dropped, so that an ending command does not fail again."""

    failure: Unwritable | None = None

    def write(self, data: object) -> int:
        """Write as a file does.

        Raises:
            Unwritable: it cannot be written, for the first time.
        """
        if self.failure is None:
            try:
                return super().write(data) or 0  # type: ignore[arg-type]
            except OSError as error:
                self.failure = Unwritable(error)
                raise self.failure from error
        return memoryview(data).nbytes  # type: ignore[arg-type]


class _Errors(io.FileIO):
    """Standard error. What cannot be written is dropped."""

    def write(self, data: object) -> int:
        """Write as a file does, or drop it."""
        try:
            return super().write(data) or 0  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


def prepare() -> None:
    """Replace Python's streams by these. Call it once, before a command runs."""
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:  # lower numbers are open: it gets this one. In the wrong mode, so that its use still fails
            os.set_inheritable(os.open(os.devnull, mode), True)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), encoding="utf-8")
    sys.stdout = _stream(_Output(1, "w", closefd=False), sys.stdout, errors="strict")
    sys.stderr = _stream(_Errors(2, "w", closefd=False), sys.stderr, errors="backslashreplace")


def unwritten() -> Unwritable | None:
    """Write what standard output still holds. Return why that failed, now or before."""
    try:
        sys.stdout.flush()
    except Unwritable as error:
        return error
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, _Output) else None


def _stream(raw: io.FileIO, before: TextIO | None, *, errors: str) -> TextIO:
    """Return a text stream over a file, with the encoding and the buffering of the one before."""
    if before is not None:
        before.flush()
    lines = raw.isatty() or isinstance(raw, _Errors) or bool(getattr(before, "line_buffering", False))
    through = bool(getattr(before, "write_through", False))  # python -u
    encoding = getattr(before, "encoding", None) or "utf-8"
    how = getattr(before, "errors", None) or errors
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors=how, line_buffering=lines, write_through=through)
