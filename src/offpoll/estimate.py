"""When an operation will probably end. Pure: counts and times in, seconds out.

This is the mean-only form: one average service time, one queue. It knows no quantiles, so `earliest` and `latest` stay unknown.
"""

from __future__ import annotations

from datetime import datetime

from offpoll.document import Estimate
from offpoll.instant import later

__all__ = ["ending", "expected_duration", "remaining"]

#: An operation that is nearly done, or over its mean, is expected to need at least this share of the time already spent. Estimates must err
#: low (design: doubled estimates cost 3.9 times the optimum, halved ones 1.5), so it is small.
OVERRUN_SHARE = 0.2

#: Progress below this says too little to extrapolate from.
USEFUL_FRACTION = 0.1


def expected_duration(*, waiting: int, in_flight: int, mean: float, concurrency: int) -> float:
    """Return the expected time from now to the end of an operation that is enqueued now, in seconds.

    The wait is the time that the operations ahead need: those that find no free slot, each taking `mean` / `slots`. Source: the article's
    estimate (messages visible + in flight, times the average time of one), divided by what works in parallel.

    Args:
        waiting: messages that the queue reports as visible or delayed.
        in_flight: messages that it reports as in flight.
        mean: service time of one operation, seconds.
        concurrency: how many operations the workers run at once, as configured. More in flight than that means there are more workers.
    """
    slots = max(concurrency, in_flight, 1)
    ahead = max(0, waiting + in_flight + 1 - slots)
    return mean + ahead * mean / slots


def remaining(*, mean: float, elapsed: float, fraction: float | None, since: float = 0.0) -> float:
    """Return the expected rest of a running operation, in seconds.

    Args:
        mean: service time of one operation, seconds.
        elapsed: seconds since the handler started.
        fraction: the progress it reported last, 0 to 1, or None.
        since: seconds since it reported that. Handlers report in steps; between two of them time passes and the fraction stands still.
    """
    spent = elapsed - since
    if fraction is not None and fraction >= USEFUL_FRACTION and spent > 0:
        rest = spent * (1 - fraction) / fraction - since
    else:
        rest = mean - elapsed
    return max(rest, OVERRUN_SHARE * elapsed)


def ending(now: datetime, *, rest: float) -> Estimate:
    """Return the estimate of a document for an operation that is expected to end in `rest` seconds."""
    return Estimate(mean=later(now, rest))
