"""Infers how many operations run at once, and since when work waits, from the queue's counts over time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["Capacity"]

#: The peak of operations in flight within this time is how many run at once, seconds. So a stopped worker still counts for that long,
#: which makes estimates err low.
PEAK_WINDOW = 600.0

#: Longest time between two looks at the counts that still shows that work waited between them, seconds: SQS's counters lag by up to 60 s.
LONGEST_GAP = 60.0

#: Work must have waited this long before the operations in flight count as all that can run at once, and before completions tell the
#: rate, seconds: two looks and SQS's usual lag.
SETTLED = 30.0


@dataclass(kw_only=True)
class Capacity:
    """How many operations run at once.

    Args:
        configured: how many operations one worker runs at once; used until a long backlog shows fewer.
    """

    configured: int
    _looks: deque[tuple[float, int]] = field(default_factory=deque)
    _backlog_since: float | None = None
    _looked_at: float = 0.0

    def see(self, *, waiting: int, in_flight: int, now: float) -> None:
        """Record one look at the queue's counts.

        Args:
            waiting: messages that no worker has received.
            in_flight: messages that a worker holds.
            now: when they were read, seconds of any steady clock.
        """
        if not waiting:
            self._backlog_since = None
        elif self._backlog_since is None or now - self._looked_at > LONGEST_GAP:
            self._backlog_since = now
        self._looked_at = now
        while self._looks and self._looks[0][0] < now - PEAK_WINDOW:
            self._looks.popleft()
        self._looks.append((now, in_flight))

    @property
    def backlog(self) -> float:
        """How long work has been waiting without a break, as far as the looks show, seconds."""
        return 0.0 if self._backlog_since is None else self._looked_at - self._backlog_since

    @property
    def slots(self) -> int:
        """How many operations run at once, at least 1.

        After a long backlog, no worker has a free slot: the most that were in flight meanwhile are all, even if fewer than configured.
        Otherwise it is at least the configured number.
        """
        since = self._backlog_since
        if since is not None and self.backlog >= SETTLED:
            return max(1, max((count for at, count in self._looks if at >= since), default=0))
        return max(1, self.configured, max((count for _, count in self._looks), default=0))
