"""When to poll: the plan that a server publishes, and the wait that a client makes of it.

The server's time and the randomness are arguments. The client's clock plays no part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import sqrt

from offpoll.document import PollHint
from offpoll.lateness import Weight, per_second

__all__ = ["DEFAULT_INTERVAL", "MAX_INTERVAL", "MAX_PAUSE", "MIN_INTERVAL", "PollPlan", "pause", "plan"]

#: Polls are never closer than this, seconds. It is about a round trip with TLS: a client that polls more often has two requests on the
#: wire. It is not longer, because operations of a second are common, and their readers would spend most of the time waiting for it.
MIN_INTERVAL = 0.2

#: A plan's polls are never further apart than this, seconds, so that a bad estimate costs a minute and not an afternoon.
MAX_INTERVAL = 60.0

#: A plan's polls are also never further apart than this many times (mean - p10): by then nearly every operation has ended. It counts only
#: if λ (mean - p10) is below 0.1; there the formula alone costs up to 1.10 times the optimum, with this limit 1.08 (bench/polling).
MAX_SPREADS = 4.0

#: A longer estimate counts as this, seconds, 31 years: instants end with the year 9999.
MAX_ESTIMATE = 1e9

#: No single wait is longer than this, seconds, whatever a document says. A server may ask for slower polls than our plans do; this only
#: guards against nonsense, such as an interval of 1e9.
MAX_PAUSE = 3600.0

#: The interval if no document ever gave one (another program's may not), seconds.
DEFAULT_INTERVAL = 2.0

#: Share of an interval by which polls are spread, so that clients that started together drift apart.
JITTER = 0.1

#: Clocks that differ by less count as the same: dates are cut to the second, and any clock is off by a fraction of one.
AGREEING = timedelta(seconds=2)

_NOTHING, _SECOND = timedelta(0), timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PollPlan:
    """When to poll: `first` seconds from now, then every `interval` seconds."""

    first: float
    interval: float


@lru_cache(maxsize=256)  # between two reads of the counters every operation of a kind has the same plan
def plan(*, earliest: float, mean: float, lateness_weight: Weight, age: float = 0.0) -> PollPlan:
    """Plan the polls of an operation from the distribution of its remaining time.

    Δ = sqrt(1.6 (mean - p10) / λ), first poll at p10 + Δ, then every Δ. The end is most uncertain between p10 and the mean, and about
    equally likely all along, so evenly spaced polls are nearly the best ones (docs/protocol.md, "The poll plan"; bench/polling compares
    them with the best).

    Args:
        earliest: seconds until the 10th percentile of the end. A value above the mean counts as the mean.
        mean: seconds until the mean of the end. Negative values and NaN count as 0.
        lateness_weight: λ, or μ; more than 0.
        age: seconds since the submit. Age and `mean` together are the whole duration to which a relative weight relates.

    Raises:
        ValueError: the weight is not positive.
    """
    mean, age = _estimate(mean), _estimate(age)
    earliest = min(_estimate(earliest), mean)
    weight = per_second(lateness_weight, expected=age + mean)
    if not weight > 0:
        raise ValueError(f"lateness_weight is more than 0, not {lateness_weight}")
    spread = mean - earliest
    interval = min(MAX_INTERVAL, max(MIN_INTERVAL, min(sqrt(1.6 * spread / weight), MAX_SPREADS * spread)))
    return PollPlan(first=earliest + interval, interval=interval)


def pause(
    hint: PollHint | None,
    *,
    date: datetime | None,
    updated_at: datetime,
    written_at: datetime | None = None,
    random: Callable[[], float],
) -> float:
    """Return the seconds from an answer to the next poll, with jitter, between `MIN_INTERVAL` and `MAX_PAUSE`.

    The pause lasts until `not_before` if that is ahead, else one interval. The worker writes shortly before `not_before`, so there jitter
    only delays, by a tenth of an interval at most. It spreads later polls to both sides.

    `Date` is cut to a whole second. A `not_before` within that second counts as reached: otherwise the answer to a poll made right then
    would seem to come from before it, and one more poll would follow in the same second.

    The hint's writer may have a clock that is ahead. A document that is newer than the answer, or than its own writing, shows by how
    much at least, and the hint counts from there.

    Args:
        hint: the newest that a document gave, or None.
        date: the answer's `Date`, whole seconds of the server's time; None if it had none.
        updated_at: of the newest document: more exact than `date` if both fall into the same second.
        written_at: when the store wrote the document, whole seconds of its time (`Last-Modified`); None if that is unknown.
        random: returns numbers from 0 to 1.
    """
    interval = _bounded(DEFAULT_INTERVAL if hint is None else hint.interval)
    if hint is not None and date is not None:
        ahead = updated_at - (date if written_at is None else min(date, written_at))
        if ahead < AGREEING:
            ahead = _NOTHING
        exact = _NOTHING < updated_at - ahead - date < _SECOND
        due = (hint.not_before - ahead - (updated_at if exact else date)).total_seconds()
        if due > 0 if exact else due >= 1:
            return _bounded(due + JITTER * random() * min(due, interval))
    return _bounded(interval * (1 + JITTER * (2 * random() - 1)))


def _bounded(seconds: float) -> float:
    """Keep a wait between the floor and the cap. NaN, which JSON readers accept, becomes the cap."""
    return max(MIN_INTERVAL, min(MAX_PAUSE, seconds))


def _estimate(seconds: float) -> float:
    """Keep an estimate between 0 and `MAX_ESTIMATE`. NaN becomes 0: estimates err low."""
    return min(MAX_ESTIMATE, max(0.0, seconds))
