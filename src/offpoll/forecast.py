"""What to tell a reader about the future: estimate and poll hint, from the queue's counters and the measured service times.

Decides how old a counter may be and what is said while nothing can be read. Never fails and never waits: a forecast is a hint.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from offpoll.cached import Cached
from offpoll.document import Estimate, PollHint
from offpoll.estimate import ending, expected_duration, remaining
from offpoll.instant import later, to_milliseconds
from offpoll.lateness import Weight
from offpoll.poll_plan import plan
from offpoll.queue import Depth, Queue
from offpoll.service_times import ServiceTimes

__all__ = ["Forecast"]

#: Each look at a counter is a billed request, and SQS's counters lag by up to a minute anyway; seconds.
MAX_AGE = 5.0


@dataclass(kw_only=True)
class Forecast:
    """Estimates for one process.

    Args:
        queue: whose depth is the wait.
        service_times: what workers measured.
        expected_service_time: the mean while nothing is measured, seconds.
        concurrency: how many operations are worked on at once, at least.
    """

    queue: Queue
    service_times: ServiceTimes
    expected_service_time: float
    concurrency: int
    _means: dict[str, Cached[float | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._depth = Cached(Depth(), self.queue.depth, max_age=MAX_AGE)

    def accepted(self, kind: str, *, now: datetime, lateness_weight: Weight) -> tuple[Estimate, PollHint]:
        """Forecast an operation that is enqueued now, to the millisecond. Needs a running loop."""
        depth = self._depth.get()
        rest = expected_duration(
            waiting=depth.visible + depth.delayed, in_flight=depth.in_flight, mean=self.mean(kind), concurrency=self.concurrency
        )
        return ending(now, rest=rest), _hint(now, rest=rest, lateness_weight=lateness_weight)

    def running(
        self, kind: str, *, now: datetime, due: datetime, elapsed: float, fraction: float | None, since: float, lateness_weight: Weight
    ) -> tuple[Estimate, PollHint]:
        """Forecast an operation that runs. The hint counts from `due`, when the readers of this document look at it."""
        now, due = to_milliseconds(now), to_milliseconds(due)
        rest = remaining(mean=self.mean(kind), elapsed=elapsed, fraction=fraction, since=since)
        after_due = max(0.0, rest - (due - now).total_seconds())
        return ending(now, rest=rest), _hint(due, rest=after_due, lateness_weight=lateness_weight, age=elapsed + rest - after_due)

    def mean(self, kind: str) -> float:
        """Return the mean service time of a kind in seconds, the configured guess where nothing is measured."""
        cached = self._means.get(kind)
        if cached is None:
            cached = self._means[kind] = Cached(None, lambda: self.service_times.mean(kind), max_age=MAX_AGE)
        measured = cached.get()
        return self.expected_service_time if measured is None else measured


def _hint(start: datetime, *, rest: float, lateness_weight: Weight, age: float = 0.0) -> PollHint:
    """Plan the polls from the mean alone, as though the p10 were half of it."""
    planned = plan(earliest=0.5 * rest, mean=rest, lateness_weight=lateness_weight, age=age)
    return PollHint(not_before=later(start, planned.first), interval=round(planned.interval, 3))
