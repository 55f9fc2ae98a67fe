"""How long an operation that is enqueued now waits before it is begun. Decides the formula; must not know where its numbers come from.

    ahead = messages visible, delayed and in flight        slots = how many are worked on at once
    m     = ahead + 1 - slots                              completions until there is room for this one
    wait  = max(0, X), X normal with mean m / rate         rate: completions per second

While completions only come from full slots, each slot is a renewal process of mean E and variance σ² of the service time. The completions
of c of them within t have the mean t c / E and, for long t, the variance t c σ² / E³ (Cox: Renewal Theory, 1962, 4.1); so the time until
the m-th has about the mean m E / c and the variance m σ² / c². On top comes what is not known exactly:

    the counts are old         meanwhile `throughput` came per second and `rate` could go, as long as more was there than what is in work
                               on average (throughput x E: Little's law); and in `age` seconds so many came and went that m varies by
                               2 rate age
    the rate is measured       from a limited number of completions: its relative error, times the wait

An idle system has m <= 0 and waits 0. Where more comes than is finished, m only grows, and with it the wait: that is no nonsense.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

__all__ = ["Ahead", "QueueWait", "normal_quantile", "queue_wait"]

#: How many values stand for the wait's distribution, equally likely: the quantiles (k + 1/2) / n. Its p10 and p90 are then between two of
#: them; the error is a hundredth of the deviation.
POINTS = 15


#: Beyond so many deviations nothing is asked for: a share of 1e-15.
FARTHEST = 8.0

#: Each halves the interval: after so many it is as small as a double can say.
BISECTIONS = 60


@cache
def normal_quantile(share: float) -> float:
    """Return below which value so much of the distribution lies, 0 to 1. A few shares are asked for again and again."""
    low, high = -FARTHEST, FARTHEST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if 0.5 * math.erfc(-middle / math.sqrt(2)) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


_STANDARD = tuple(normal_quantile((k + 0.5) / POINTS) for k in range(POINTS))


@dataclass(frozen=True, kw_only=True)
class Ahead:
    """What stands before an operation, and how fast it goes away.

    Attributes:
        messages: visible, delayed and in flight.
        slots: how many operations are worked on at once.
        mean, variance: of the service time over all kinds in the queue, seconds and seconds².
        rate: completions per second while all slots are taken; None where nothing has finished lately: then slots / mean.
        throughput: completions per second lately, whether slots were free or not: what comes in.
        counted: from how many completions rate and mean are known.
        age: of the counts, seconds.
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
    """The distribution of a wait: equally likely values, seconds, ascending."""

    points: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean, seconds."""
        return math.fsum(self.points) / len(self.points)


def queue_wait(ahead: Ahead) -> QueueWait:
    """Return the wait behind what stands ahead."""
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
    points = tuple(max(0.0, mean + deviation * each) for each in _STANDARD)
    return QueueWait(points=points if points[-1] > points[0] else points[:1])
