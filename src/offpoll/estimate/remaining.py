"""Estimates an operation's remaining time, queued or running: its 10 % quantile, its mean and its 90 % quantile.

Decides how much to believe of the history, the reported progress, and a guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from offpoll.estimate.histogram import Histogram, bucket_of, exponential
from offpoll.estimate.wait import QueueWait, normal_quantile

__all__ = ["Remaining", "of_queued", "of_running", "service_times"]

#: The quantiles for the earliest and the latest end.
EARLY, LATE = 0.1, 0.9

#: How many measured completions the guess counts as: a single measurement gives a mean, but no spread.
GUESS_WEIGHT = 2.0

#: Bisections that find a quantile to a thousandth of the range.
BISECTIONS = 12

#: Smallest progress to extrapolate from.
USEFUL_FRACTION = 0.1

#: Relative deviation of a whole time that is extrapolated from progress: half of the work still to do (handlers are not linear), and at
#: least a tenth (they report in steps). With a twentieth, a linear handler's readers would learn of its end 2 % of its duration sooner,
#: for 0.5 to 0.9 more polls and 0.2 to 0.8 more writes (the table in docs/client.md).
PROGRESS_DEVIATION, LEAST_DEVIATION = 0.5, 0.1

#: Weight of the extrapolation against the whole history. It decides if nothing in the history agrees with it.
PROGRESS_WEIGHT = 0.1

#: Least remaining mean of an operation that runs longer than nine in ten, as a share of the time already spent. It is small because
#: estimates must err low (design: doubled estimates cost 3.9 times the optimum, halved ones 1.5).
OVERRUN_MEAN = 0.2

#: Its least time to the latest end, as the same share. Polls do not follow the latest end, but whenever it passes a document is written,
#: which costs 12.5 polls. Doubling needs only a handful of writes, however long an operation runs.
OVERRUN_LATEST = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """Seconds until the end: 10 % quantile, mean, 90 % quantile."""

    earliest: float
    mean: float
    latest: float


def service_times(measured: Histogram, *, guess: float) -> Histogram:
    """Return the distribution of service times to use: the measured one, widened by a guess that matters only if little was measured.

    Args:
        measured: a kind's service times, faded.
        guess: the mean if nothing was measured, seconds.
    """
    if not measured.total:
        return exponential(guess)
    return measured + exponential(measured.mean).scaled(GUESS_WEIGHT)


def of_queued(wait: QueueWait, service: Histogram) -> Remaining:
    """Return the remaining time of an operation that is enqueued now: its wait plus its service time, which are independent.

    The sum's distribution is the average of the service time's distribution shifted by each value of the wait. Bisection finds its
    quantiles.
    """
    return Remaining(
        earliest=_quantile(wait, service, EARLY),
        mean=wait.mean + service.mean,
        latest=_quantile(wait, service, LATE),
    )


def of_running(service: Histogram, *, elapsed: float, fraction: float | None, since: float = 0.0) -> Remaining:
    """Return the remaining time of a running operation.

    Its whole time is distributed like that of the operations that took longer than it has taken so far (the truncated distribution).
    Progress adds evidence: with a share f done after t seconds, the whole time is about t / f, and each bucket counts as far as it agrees
    with that (Bayes' rule, log-normal likelihood). If nothing in the history agrees, only the extrapolation counts.

    Args:
        service: the service times of its kind.
        elapsed: seconds since the handler started.
        fraction: the progress that it last reported, 0 to 1, or None.
        since: seconds since that report. Handlers report in steps, and between two of them the fraction stands still.
    """
    spent = elapsed - since
    if fraction is not None and fraction >= USEFUL_FRACTION and spent > 0:
        whole, deviation = spent / fraction, max(LEAST_DEVIATION, PROGRESS_DEVIATION * (1 - fraction))
        left = _agreeing(service.beyond(elapsed).scaled(1.0), whole=whole, deviation=deviation).beyond(elapsed)
        latest = whole * math.exp(deviation * normal_quantile(LATE))
    else:
        left, latest = service.beyond(elapsed), service.quantile(LATE)
    rest = _rest(left, after=elapsed) if left.total else _rest(exponential(OVERRUN_MEAN * elapsed), after=0.0)
    if elapsed <= latest:
        return rest
    return replace(rest, mean=max(rest.mean, OVERRUN_MEAN * elapsed), latest=max(rest.latest, OVERRUN_LATEST * elapsed))


def _rest(whole: Histogram, *, after: float) -> Remaining:
    """Return the remaining times, given the whole times and the seconds already spent."""
    return Remaining(
        earliest=max(0.0, whole.quantile(EARLY) - after),
        mean=max(0.0, whole.mean - after),
        latest=max(0.0, whole.quantile(LATE) - after),
    )


def _agreeing(left: Histogram, *, whole: float, deviation: float) -> Histogram:
    """Weight each bucket by its agreement with an extrapolated whole time, and add the extrapolation itself."""
    agreeing = {
        bucket_of(middle): weight * math.exp(-0.5 * (math.log(middle / whole) / deviation) ** 2) for middle, weight in left.middles()
    }
    alone: dict[int, float] = {}
    for share in range(5, 100, 10):
        bucket = bucket_of(whole * math.exp(deviation * normal_quantile(share / 100)))
        alone[bucket] = alone.get(bucket, 0.0) + PROGRESS_WEIGHT / 10
    return Histogram(agreeing) + Histogram(alone)


def _quantile(wait: QueueWait, service: Histogram, share: float) -> float:
    """Return a quantile of the sum of wait and service time, seconds."""
    points, own = wait.points, service.quantile(share)
    low, high = points[0] + own, points[-1] + own  # the sum's quantile if the wait were always its shortest, or its longest
    if low == high:  # an idle system
        return low
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if sum(service.share_below(middle - each) for each in points) < share * len(points):
            low = middle
        else:
            high = middle
    return (low + high) / 2
