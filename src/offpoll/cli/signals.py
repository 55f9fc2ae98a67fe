"""Ends a command by SIGTERM and SIGHUP as by Ctrl-C: it cleans up and says what goes on. Only the exit code differs.

`serve`, `work` and `dev` handle these signals themselves once they run.
"""

from __future__ import annotations

import signal
from types import FrameType

from offpoll.cli.exit_codes import INTERRUPTED, by_signal

__all__ = ["TakenAsInterrupt"]


class TakenAsInterrupt:
    """Turns these signals into an interruption, and remembers which one came first."""

    def __init__(self) -> None:
        self._first: int | None = None
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, and it stays ignored
                signal.signal(number, self._interrupt)

    def code(self, code: int) -> int:
        """Return a command's exit code, with the right signal in it if it was interrupted."""
        return by_signal(self._first) if code == INTERRUPTED and self._first is not None else code

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self._first = self._first or number
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's background job
            signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.raise_signal(signal.SIGINT)
