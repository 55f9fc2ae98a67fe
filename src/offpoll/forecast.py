"""What to tell a reader about the future: estimate and poll hint, from the queue's counters and the measured service times.

Decides how old a counter may be and what is said while nothing can be read. Never fails and never waits: a forecast is a hint.

An operation is accepted in microseconds, so what is said of one is worked out once for all that come between two looks at the counters.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from offpoll.cached import Cached
from offpoll.document import Estimate, PollHint
from offpoll.estimate.capacity import Capacity
from offpoll.estimate.histogram import Histogram, exponential
from offpoll.estimate.history import Span, completions, faded
from offpoll.estimate.remaining import Remaining, of_queued, of_running, service_times
from offpoll.estimate.wait import Ahead, QueueWait, queue_wait
from offpoll.instant import later, to_milliseconds, utc_now
from offpoll.lateness import Weight
from offpoll.poll_plan import plan
from offpoll.queue import Depth, Queue
from offpoll.service_times import REPORT_INTERVAL, ServiceTimes
from offpoll.settings import Settings

__all__ = ["MAX_AGE", "Forecast"]

#: Each look at a counter is a billed request, and SQS's counters lag by up to a minute anyway; seconds.
MAX_AGE = 5.0

#: Where nobody asked for long, or nothing answered, counts get older. Behind so many seconds they tell nothing more of that.
OLDEST = 60.0

#: The rate counts completions of the last 30 s, or of twice as long, and so on, until there are a hundred: their deviation is then 10 %.
WINDOWS = (30.0, 60.0, 120.0, 240.0, 480.0)
ENOUGH = 100.0

#: What comes in is what was finished within so many seconds: as long as depth is believed in at all, and reports are late.
THROUGHPUT_WINDOW = 120.0

#: No estimate is further away than this, seconds: no message lives longer in SQS (14 days).
FARTHEST = 1_209_600.0


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What is known as of one read: service times by kind and of all kinds, how many were measured, and the spans for the rate."""

    by_kind: Mapping[str, Histogram]
    mixed: Histogram
    total: float
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class _Said:
    """What is said of each operation of a kind that is accepted between two looks: what it follows from, and distances from now."""

    depth: Depth
    measured: _Measured
    lateness_weight: Weight
    older: int
    earliest: timedelta
    mean: timedelta
    latest: timedelta
    first: timedelta
    interval: float


@dataclass(kw_only=True)
class Forecast:
    """Estimates for one process.

    Args:
        queue: whose depth is the wait.
        service_times: what workers measured.
        expected_service_time: the mean while nothing is measured, seconds.
        concurrency: how many operations are worked on at once, at least.
        kinds: whose operations are in the queue. One that is asked for is added.
        clock: the wall clock.
    """

    queue: Queue
    service_times: ServiceTimes
    expected_service_time: float
    concurrency: int
    kinds: Collection[str] = ()
    clock: Callable[[], datetime] = utc_now
    _said: dict[str, _Said] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kinds = set(self.kinds)
        self._capacity = Capacity(configured=self.concurrency)
        self._depth = Cached(Depth(), self._look, max_age=MAX_AGE)
        self._guess = exponential(self.expected_service_time)
        self._measured = Cached(_Measured(by_kind={}, mixed=self._guess, total=0.0, spans=()), self._read, max_age=MAX_AGE)

    @classmethod
    def of(
        cls, settings: Settings, *, queue: Queue, service_times: ServiceTimes, kinds: Collection[str], clock: Callable[[], datetime]
    ) -> Forecast:
        """Return a forecast that guesses as the settings say."""
        return cls(
            queue=queue,
            service_times=service_times,
            expected_service_time=settings.expected_service_time,
            concurrency=settings.concurrency,
            kinds=kinds,
            clock=clock,
        )

    def accepted(
        self, kind: str, *, now: datetime, lateness_weight: Weight, loop: asyncio.AbstractEventLoop
    ) -> tuple[Estimate, PollHint]:
        """Forecast an operation that is enqueued now, to the millisecond. `loop` is the one that runs."""
        self._kinds.add(kind)
        depth, measured = self._depth.get(loop), self._measured.get(loop)
        older = int(min(OLDEST, self._depth.age(loop.time())) / (2 * MAX_AGE))
        said = self._said.get(kind)
        if (
            said is None
            or said.depth is not depth
            or said.measured is not measured
            or said.older != older
            or (said.lateness_weight is not lateness_weight and said.lateness_weight != lateness_weight)
        ):
            said = self._said[kind] = self._say(kind, depth, measured, older=older, lateness_weight=lateness_weight)
        estimate = Estimate(earliest=now + said.earliest, mean=now + said.mean, latest=now + said.latest)
        return estimate, PollHint(not_before=now + said.first, interval=said.interval)

    def running(
        self,
        kind: str,
        *,
        now: datetime,
        due: datetime,
        created_at: datetime,
        elapsed: float,
        fraction: float | None,
        since: float,
        lateness_weight: Weight,
    ) -> tuple[Estimate, PollHint]:
        """Forecast an operation that runs. The hint counts from `due`, when the readers of this document look at it.

        Args:
            kind: the operation's.
            now, due: when this is said, and read.
            created_at: when the operation was accepted.
            elapsed, fraction, since: what its handler does; see `of_running`.
            lateness_weight: for the poll hint.
        """
        self._kinds.add(kind)
        now, due = to_milliseconds(now), to_milliseconds(due)
        rest = _bounded(of_running(self._service_times(kind, self._measured.get(asyncio.get_running_loop())), elapsed=elapsed, fraction=fraction, since=since))
        passed = (due - now).total_seconds()
        after = plan(
            earliest=max(0.0, rest.earliest - passed),
            mean=max(0.0, rest.mean - passed),
            lateness_weight=lateness_weight,
            age=max(0.0, (due - created_at).total_seconds()),
        )
        estimate = Estimate(earliest=later(now, rest.earliest), mean=later(now, rest.mean), latest=later(now, rest.latest))
        return estimate, PollHint(not_before=later(due, after.first), interval=round(after.interval, 3))

    # --- what it follows from ----------------------------------------------------------------------

    def _say(self, kind: str, depth: Depth, measured: _Measured, *, older: int, lateness_weight: Weight) -> _Said:
        rest = _bounded(of_queued(self._wait(depth, measured, older), self._service_times(kind, measured)))
        first = plan(earliest=rest.earliest, mean=rest.mean, lateness_weight=lateness_weight)
        return _Said(
            depth=depth,
            measured=measured,
            lateness_weight=lateness_weight,
            older=older,
            earliest=_milliseconds(rest.earliest),
            mean=_milliseconds(rest.mean),
            latest=_milliseconds(rest.latest),
            first=_milliseconds(first.first),
            interval=round(first.interval, 3),
        )

    def _wait(self, depth: Depth, measured: _Measured, older: int) -> QueueWait:
        rate, counted = self._rate(measured)
        return queue_wait(
            Ahead(
                messages=depth.visible + depth.delayed + depth.in_flight,
                slots=self._capacity.slots,
                mean=measured.mixed.mean,
                variance=measured.mixed.variance,
                rate=rate,
                throughput=self._finished(measured, window=THROUGHPUT_WINDOW) / THROUGHPUT_WINDOW,
                counted=counted,
                age=MAX_AGE / 2 + older * 2 * MAX_AGE,
            )
        )

    def _rate(self, measured: _Measured) -> tuple[float | None, float]:
        """Return completions per second and how many were counted; None where too few have finished while work was waiting.

        Only while work waits does the rate of completions tell what workers can do. Otherwise it tells how much there was to do.
        """
        for window in WINDOWS:
            if self._capacity.backlog < window + REPORT_INTERVAL:
                break
            counted = self._finished(measured, window=window)
            if counted >= ENOUGH:
                return counted / window, counted
        return None, max(1.0, measured.total)

    def _finished(self, measured: _Measured, *, window: float) -> float:
        """Return how many operations finished within so many seconds, up to the last report that everybody has made."""
        until = self.clock() - timedelta(seconds=REPORT_INTERVAL)
        return completions(measured.spans, since=until - timedelta(seconds=window), until=until)

    def _service_times(self, kind: str, measured: _Measured) -> Histogram:
        return measured.by_kind.get(kind, self._guess)

    async def _look(self) -> Depth:
        depth = await self.queue.depth()
        now = asyncio.get_running_loop().time()
        self._capacity.see(waiting=depth.visible, in_flight=depth.in_flight, now=now)
        return depth

    async def _read(self) -> _Measured:
        kinds = sorted(self._kinds)
        spans = dict(zip(kinds, await asyncio.gather(*(self.service_times.spans(kind) for kind in kinds)), strict=True))
        now, everything = self.clock(), [span for each in spans.values() for span in each]
        guess, mixed = self.expected_service_time, faded(everything, now)
        by_kind = {kind: service_times(faded(each, now), guess=guess) for kind, each in spans.items()}
        return _Measured(by_kind=by_kind, mixed=service_times(mixed, guess=guess), total=mixed.total, spans=everything)


def _milliseconds(seconds: float) -> timedelta:
    return timedelta(milliseconds=int(seconds * 1000))


def _bounded(rest: Remaining) -> Remaining:
    return Remaining(earliest=min(FARTHEST, rest.earliest), mean=min(FARTHEST, rest.mean), latest=min(FARTHEST, rest.latest))
