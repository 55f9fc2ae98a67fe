"""When to poll: the plan that a server publishes, and the wait that a client makes of it.

Pure: the server's time and the randomness are arguments, and the client's clock has no part in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from math import sqrt

from offpoll.document import PollHint

__all__ = ["DEFAULT_INTERVAL", "MAX_INTERVAL", "MAX_PAUSE", "MIN_INTERVAL", "PollPlan", "pause", "plan_from_mean"]

#: Polls are never closer than this, seconds. It is about a round trip with TLS: a client that asks oftener has two questions on the wire.
#: Not longer, because operations of a second are common and their reader would spend most of its time waiting for the floor.
MIN_INTERVAL = 0.2

#: A plan's polls are never further apart than this, seconds, so that a bad estimate costs a minute and not an afternoon.
MAX_INTERVAL = 60.0

#: No single wait is longer than this, seconds, whatever a document says. A server may ask for slower polls than our plans do; this only
#: guards against nonsense, as an interval of 1e9.
MAX_PAUSE = 3600.0

#: The interval where no document ever gave one (a writer that is not ours), seconds.
DEFAULT_INTERVAL = 2.0

#: Share of an interval by which polls are spread, so that clients who started together do not stay together.
JITTER = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class PollPlan:
    """When to ask: `first` seconds from now, then every `interval` seconds."""

    first: float
    interval: float


@lru_cache(maxsize=256)  # between two looks at the counters every operation of a kind has the same plan
def plan_from_mean(mean: float, *, lateness_weight: float = 1.0) -> PollPlan:
    """Plan the polls of an operation of which only the expected remaining time is known.

    Δ = sqrt(0.8 E / λ), first poll at 0.4 E + 1.25 Δ, then every Δ: the constant-hazard inspection plan where no quantile is known
    (docs/protocol.md, "The poll plan").

    Args:
        mean: expected remaining time E, seconds.
        lateness_weight: λ, how many polls it is worth to learn one second earlier; more than 0.

    Raises:
        ValueError: λ is not positive.
    """
    if not lateness_weight > 0:
        raise ValueError(f"lateness_weight is more than 0, not {lateness_weight}")
    expected = max(0.0, mean)
    interval = min(MAX_INTERVAL, max(MIN_INTERVAL, sqrt(0.8 * expected / lateness_weight)))
    return PollPlan(first=0.4 * expected + 1.25 * interval, interval=interval)


def pause(hint: PollHint | None, *, date: datetime | None, updated_at: datetime, random: Callable[[], float]) -> float:
    """Return the seconds from an answer to the next poll, with jitter, between `MIN_INTERVAL` and `MAX_PAUSE`.

    Until `not_before` where that is ahead, else one interval. The worker writes shortly before `not_before`, so there jitter only delays,
    by a tenth of an interval at most; the polls after it are spread to both sides.

    Args:
        hint: the newest that a document gave, or None.
        date: the answer's `Date`, whole seconds of the server's own time; None where it had none.
        updated_at: of the newest document: more exact than `date` where both name the same second.
        random: gives numbers from 0 to 1.
    """
    interval = _bounded(DEFAULT_INTERVAL if hint is None else hint.interval)
    if hint is not None and date is not None:
        now = updated_at if timedelta(0) < updated_at - date < timedelta(seconds=1) else date
        due = (hint.not_before - now).total_seconds()
        if due > 0:
            return _bounded(due + JITTER * random() * min(due, interval))
    return _bounded(interval * (1 + JITTER * (2 * random() - 1)))


def _bounded(seconds: float) -> float:
    """Keep a wait between the floor and the cap. NaN, which JSON readers let in, becomes the cap."""
    return max(MIN_INTERVAL, min(MAX_PAUSE, seconds))
