"""Estimates how long an operation that is enqueued now waits before it starts.

    ahead = messages visible, delayed and in flight        slots = how many operations run at once
    m     = ahead + 1 - slots                              completions until a slot is free for this one
    wait  = max(0, X), X normal with mean m / rate         rate: completions per second

While all slots are busy, each one is a renewal process with the service time's mean E and variance σ². The completions of c slots within t
have the mean t c / E and, for long t, the variance t c σ² / E³ (Cox: Renewal Theory, 1962, 4.1). So the time until the m-th completion has
about the mean m E / c and the variance m σ² / c². Two uncertainties add to that:

    the counts are old         meanwhile `throughput` messages a second arrived and up to `rate` left, while more were there than run on
                               average (throughput x E: Little's law); arrivals and departures in `age` seconds add 2 rate age to the
                               variance of m
    the rate is measured       from few completions: its relative error, times the wait

An idle system has m <= 0 and waits 0. If more operations arrive than finish, m grows without end, and the wait rightly grows with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

__all__ = ["Ahead", "QueueWait", "normal_quantile", "queue_wait"]

#: Number of equally likely values that represent the wait's distribution: its quantiles (k + 1/2) / n. The p10 and p90 lie between two of
#: them; the error is a hundredth of the deviation.
POINTS = 15

#: Largest quantile that is needed, in deviations: beyond it is a share of 1e-15.
FARTHEST = 8.0

#: Bisections that make the interval as small as a double can state.
BISECTIONS = 60


@cache
def normal_quantile(share: float) -> float:
    """Return the standard normal distribution's quantile for a share from 0 to 1. Cached: callers need the same few shares."""
    low, high = -FARTHEST, FARTHEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


#: The values of a standard normal distribution.
_STANDARD_POINTS = tuple(normal_quantile((k + 0.5) / POINTS) for k in range(POINTS))


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """The work ahead of an operation, and how fast workers finish it.

    Attributes:
        messages: messages visible, delayed and in flight.
        slots: how many operations run at once.
        mean, variance: the service time's, over all kinds in the queue, seconds and seconds².
        rate: completions per second while all slots are busy; None if nothing has finished lately: then slots / mean.
        throughput: recent completions per second, with free slots or not: how fast work arrives.
        counted: the number of completions behind rate and mean.
        age: the counts' age, seconds.
    """

    messages: int
    slots: int
    mean: float
    variance: float
    rate: float | None = None
    throughput: float = 0.0
    counted: float = 100.0
    age: float = 0.0


@dataclass(frozen=True, kw_only=True)
class QueueWait:
    """The distribution of a wait, as equally likely values: seconds, ascending."""

    points: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean, seconds."""
        return math.fsum(self.points) / len(self.points)


def queue_wait(ahead: Ahead) -> QueueWait:
    """Return the wait behind the work ahead."""
    rate = ahead.rate or ahead.slots / ahead.mean
    drained = max(0.0, rate - ahead.throughput) * ahead.age
    messages = max(ahead.messages - drained, min(ahead.messages, ahead.throughput * ahead.mean))
    missing = messages + 1 - ahead.slots
    mean = missing / rate
    squared_deviation = ahead.variance / ahead.mean**2  # σ² / E²: 1 for an exponential distribution
    renewal = max(0.0, missing) * squared_deviation / rate**2
    moved = 2 * min(rate, messages / ahead.mean) * ahead.age / rate**2
    measured = mean**2 * squared_deviation / max(1.0, ahead.counted)
    deviation = math.sqrt(renewal + moved + measured) if mean > 0 else math.sqrt(moved)
    points = tuple(max(0.0, mean + deviation * each) for each in _STANDARD_POINTS)
    return QueueWait(points=points if points[-1] > points[0] else points[:1])
