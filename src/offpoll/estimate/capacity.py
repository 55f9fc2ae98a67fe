"""How many operations are worked on at once, and since when work waits: what looks at the queue's depth tell over time.

Decides for how long a look counts. Must not know the queue: it is shown counts, with the time at which they were read.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["Capacity"]

#: Most operations in flight at once within so many seconds is how many are worked on at once: a worker that was stopped is believed in
#: for so long, which makes estimates err low.
PEAK_WINDOW = 600.0

#: Looks further apart than this, seconds, do not tell whether work waited between them: SQS's own counters lag by up to a minute.
LONGEST_GAP = 60.0

#: Work has to wait for so long, seconds, before what is in flight is all that is worked on at once, and before completions tell the rate.
#: It is two looks and SQS's usual lag.
SETTLED = 30.0


@dataclass(kw_only=True)
class Capacity:
    """What is worked on at once.

    Args:
        configured: how many one worker runs at once; believed until a long backlog shows fewer.
    """

    configured: int
    _looks: deque[tuple[float, int]] = field(default_factory=deque)
    _backlog_since: float | None = None
    _looked_at: float = 0.0

    def see(self, *, waiting: int, in_flight: int, now: float) -> None:
        """Take a look's counts.

        Args:
            waiting: messages that nobody works on.
            in_flight: messages that somebody holds.
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
        """For how many seconds work has been waiting without a pause, as far as looks tell."""
        return 0.0 if self._backlog_since is None else self._looked_at - self._backlog_since

    @property
    def slots(self) -> int:
        """How many operations are worked on at once, at least 1.

        Where work has waited for long, no worker has a free slot, and the most that was in flight meanwhile is all there is: also where
        it is less than what is configured. Else it is at least that.
        """
        since = self._backlog_since
        if since is not None and self.backlog >= SETTLED:
            return max(1, max((count for at, count in self._looks if at >= since), default=0))
        return max(1, self.configured, max((count for _, count in self._looks), default=0))
