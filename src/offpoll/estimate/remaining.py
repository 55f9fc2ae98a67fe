"""When an operation ends: the 10 % quantile, the mean and the 90 % quantile of what is left of it, queued or running.

Decides what is believed: history, progress, or a guess. Must not know clocks, documents or queues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from offpoll.estimate.histogram import Histogram, bucket_of, exponential
from offpoll.estimate.wait import QueueWait, normal_quantile

__all__ = ["Remaining", "of_queued", "of_running", "service_times"]

#: The quantiles that are told as earliest and latest.
EARLY, LATE = 0.1, 0.9

#: How many completions the guess is worth beside measured ones: one measurement alone tells a mean, and nothing of the spread.
GUESS_WEIGHT = 2.0

#: Bisections until a quantile is known to a thousandth of the range.
BISECTIONS = 12

#: Progress below this says too little to extrapolate from.
USEFUL_FRACTION = 0.1

#: Relative deviation of a whole time that is extrapolated from progress: half of what is still to do (handlers are not linear), and never
#: less than a tenth (they report in steps). With a twentieth, a linear handler's readers would learn of its end 2 % of its duration sooner,
#: for 0.5 to 0.9 more polls and 0.2 to 0.8 more writes (the table in docs/client.md).
PROGRESS_DEVIATION, LEAST_DEVIATION = 0.5, 0.1

#: How much the extrapolation is believed against the history, where nothing in the history agrees with it.
PROGRESS_WEIGHT = 0.1

#: What runs longer than nine in ten is expected to need at least this share of the time already spent. Estimates must err low (design:
#: doubled estimates cost 3.9 times the optimum, halved ones 1.5), so it is small.
OVERRUN_MEAN = 0.2

#: And at the latest as long again: polls do not follow the latest end, and each time it is overrun a document is written, which costs
#: 12.5 of them. Doubling makes that a handful, however long an operation runs.
OVERRUN_LATEST = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """Seconds until the end: 10 % quantile, mean, 90 % quantile."""

    earliest: float
    mean: float
    latest: float


def service_times(measured: Histogram, *, guess: float) -> Histogram:
    """Return the distribution of service times to go by: what was measured, with a wide guess as far as that is little.

    Args:
        measured: of a kind, faded.
        guess: the mean where nothing was measured, seconds.
    """
    if not measured.total:
        return exponential(guess)
    return measured + exponential(measured.mean).scaled(GUESS_WEIGHT)


def of_queued(wait: QueueWait, service: Histogram) -> Remaining:
    """Return what is left of an operation that is enqueued now: its wait and its service time, which do not depend on each other.

    The distribution of the sum is the mean of the service time's, shifted by each of the wait's values; its quantiles are found by
    bisection.
    """
    return Remaining(
        earliest=_quantile(wait, service, EARLY),
        mean=wait.mean + service.mean,
        latest=_quantile(wait, service, LATE),
    )


def of_running(service: Histogram, *, elapsed: float, fraction: float | None, since: float = 0.0) -> Remaining:
    """Return what is left of an operation that runs.

    Its whole time is distributed as that of the operations which took longer than it has taken (the truncated distribution). Progress
    adds evidence: with a share f done after t seconds, t / f is the whole time, give or take; each bucket counts as far as it agrees with
    that (Bayes' rule, log-normal likelihood). Where the history has nothing that agrees, the extrapolation stands alone.

    Args:
        service: of its kind.
        elapsed: seconds since the handler started.
        fraction: the progress it reported last, 0 to 1, or None.
        since: seconds since it reported that. Handlers report in steps; between two of them time passes and the fraction stands still.
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
    """Return what is left of whole times of which so much has passed."""
    return Remaining(
        earliest=max(0.0, whole.quantile(EARLY) - after),
        mean=max(0.0, whole.mean - after),
        latest=max(0.0, whole.quantile(LATE) - after),
    )


def _agreeing(left: Histogram, *, whole: float, deviation: float) -> Histogram:
    """Weigh what is left by how well it agrees with an extrapolated whole, and add the extrapolation itself."""
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
    low, high = points[0] + own, points[-1] + own  # where the wait always, or never, is as long as it ever is
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if sum(service.share_below(middle - each) for each in points) < share * len(points):
            low = middle
        else:
            high = middle
    return (low + high) / 2
