"""The exit codes of every command. Each means one thing, whatever the command.

    0    done; also a worker that drained, and a server that was stopped
    1    failed: the operation, or what the command was to do; the message says which, and why
    2    usage or configuration: an option, a setting, a module, a bucket, a permission
    3    the operation was canceled
    4    the time is up; the operation goes on
    5    the API refused, or is no offpoll API
    6    the API or a dependency does not respond
    70   a fault in offpoll, with its traceback
    74   standard output cannot be written: the disk is full, or it is closed. What the command has changed stays changed
    128 + n   ended by signal n: 129 SIGHUP, 130 SIGINT (Ctrl-C), 141 the reader of standard output is gone, 143 SIGTERM

70 and 74 are those of BSD's sysexits.h (EX_SOFTWARE, EX_IOERR), 128 + n is what shells report.
"""

from __future__ import annotations

import signal

__all__ = ["BY_OUTCOME", "FAILED", "FAULT", "INTERRUPTED", "MISUSED", "READER_GONE", "UNAVAILABLE", "UNWRITABLE", "by_signal"]

FAILED = 1
MISUSED = 2
UNAVAILABLE = 6
FAULT = 70
UNWRITABLE = 74


def by_signal(number: int) -> int:
    """Return the exit code of a command that this signal ended."""
    return 128 + number


INTERRUPTED = by_signal(signal.SIGINT)
READER_GONE = by_signal(signal.SIGPIPE)

#: The exit codes of `submit` and `wait`, by the `outcome` that `--json` prints.
BY_OUTCOME = {"succeeded": 0, "failed": FAILED, "canceled": 3, "timed_out": 4, "refused": 5, "unavailable": UNAVAILABLE}
