"""Bounds the store's own time by the `Date` headers of its responses.

A `Date` D is cut to the second, and the store wrote it between the sending of the request and the arrival of the response:

    sent ──────────── Date: D written ─────────────── received            store's time now is
      │                (it was D … D + 1 s)               │               at least  D     + (now - received)
      └───────────────────────────────────────────────────┘               at most   D + 1 + (now - sent)

The bounds of several responses are intersected (after Marzullo), so after some traffic they are far less than a second apart.
Judge another worker's lease by `earliest`, and write a lease from `latest`: both err late, never early.

The monotonic clock may miss the time for which the machine was frozen, and the wall clock shows that. So look at it before each request. A
freeze between that and the response was before the `Date` was written or after it: `earliest` takes it for before, `latest` for after.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from offpoll.freezes import FreezeCounter
from offpoll.instant import EPOCH, utc_now

__all__ = ["StoreClock"]

#: How much faster one clock may run than the other: 200 ppm. RFC 5905 lets NTP correct up to 500 ppm; quartz drifts by about 50.
DRIFT = 2e-4


class StoreClock:
    """The earliest and the latest time that the store's clock may show now.

    Args:
        monotonic: seconds, from the clock that also timed the responses.
        clock: the wall clock.
    """

    __slots__ = ("_freezes", "_high", "_learned", "_low")

    def __init__(self, monotonic: Callable[[], float], *, clock: Callable[[], datetime] = utc_now) -> None:
        self._freezes = FreezeCounter(monotonic=monotonic, clock=clock)
        self._learned: float | None = None
        self._low = self._high = 0.0

    @property
    def known(self) -> bool:
        """Whether any response has told the time yet."""
        return self._learned is not None

    def look(self) -> None:
        """Notice a freeze. Every reading of the time does so too."""
        self._freezes.time()

    def learn(self, date: datetime, *, sent: float, received: float) -> None:
        """Learn from a response's `Date`, and from when its request was sent and it was received, in monotonic seconds."""
        seconds, missed = date.timestamp(), self._freezes.missed_so_far
        sent, received = sent + missed, received + self._freezes.missed()
        low, high = seconds - received, seconds + 1.0 - sent
        if self._learned is not None:
            drifted = DRIFT * max(0.0, received - self._learned)
            # Bounds that contradict the older ones mean that somebody set a clock: then only the newer ones hold.
            if low <= self._high + drifted and high >= self._low - drifted:
                low, high = max(low, self._low - drifted), min(high, self._high + drifted)
        self._low, self._high, self._learned = low, high, received

    def earliest(self) -> datetime:
        """Return a time that the store's clock has reached, to the millisecond."""
        now = self._freezes.time()
        return _instant(self._low + now - self._drift(now), up=False)

    def latest(self) -> datetime:
        """Return a time that the store's clock has not passed, to the millisecond."""
        now = self._freezes.time()
        return _instant(self._high + now + self._drift(now), up=True)

    def _drift(self, now: float) -> float:
        return 0.0 if self._learned is None else DRIFT * max(0.0, now - self._learned)


def _instant(seconds: float, *, up: bool) -> datetime:
    return EPOCH + timedelta(milliseconds=int(seconds * 1000) + up)
