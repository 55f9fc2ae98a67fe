"""Time that counts freezes: of a suspended laptop, a paused machine, or a function between two invocations.

The monotonic clock may stand still meanwhile, and no operating system promises otherwise. The wall clock shows the time that passed:

    monotonic    ├──────────┤ frozen ├─────────          counted: the monotonic time, and what only the wall clock counted
    wall         ├──────────────────────────────

A wall clock that somebody sets forward looks the same. Then a lease or a wait seems older than it is, and its holder asks the store again:
that errs on the safe side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime

from offpoll.instant import utc_now

__all__ = ["NAP", "THIS_PROCESS", "FreezeCounter", "sleep"]

#: A wall clock that gains less than this on the monotonic one was adjusted, or read a little later, seconds.
LEAST = 1.0

#: A wall clock that loses more than this was set back, seconds; two readings may be so far apart.
JITTER = 0.05

#: Longest sleep in one piece, seconds: after a suspended machine wakes, a sleeper notices at most this much later that its time is over.
NAP = 5.0


class FreezeCounter:
    """Counts the seconds that the monotonic clock misses.

    Args:
        monotonic: seconds; may stand still while the machine does.
        clock: the wall clock.

    Attributes:
        missed_so_far: seconds that it had missed when `time` was last called.
    """

    __slots__ = ("_lock", "_monotonic", "_offset", "_wall", "missed_so_far")

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic, clock: Callable[[], datetime] = utc_now) -> None:
        self._monotonic = monotonic
        # Every call to AWS reads this twice: a `datetime` would cost five times as much.
        self._wall = time.time if clock is utc_now else lambda: clock().timestamp()
        self.missed_so_far = 0.0
        self._lock = threading.Lock()
        now = monotonic()
        self._offset = self._wall() - now

    def time(self) -> float:
        """Return the monotonic time, with all freezes since this counter was made."""
        now = self._monotonic()
        gained = self._wall() - now - self._offset
        if gained >= LEAST or gained < -JITTER:
            self._note(gained)
        return now + self.missed_so_far

    def missed(self) -> float:
        """Return the seconds that the monotonic clock has missed."""
        self.time()
        return self.missed_so_far

    def _note(self, gained: float) -> None:
        """Count what the wall clock gained, once. If it was set back, count from there."""
        with self._lock:
            before = self._offset
            gained = self._wall() - self._monotonic() - before if gained >= LEAST else gained
            if gained >= LEAST:
                self.missed_so_far += gained
            if gained >= LEAST or gained < -JITTER:
                self._offset = before + gained


#: Counts for the clients of this process. A freeze is the machine's, so they share one counter, as they share the wall clock.
THIS_PROCESS = FreezeCounter()


def sleep(seconds: float) -> None:
    """Sleep, in parts, so that the time for which the machine is suspended counts too."""
    until = THIS_PROCESS.time() + seconds
    while seconds > 0:
        time.sleep(min(NAP, seconds))
        seconds = until - THIS_PROCESS.time()
