"""Forecasts when an operation will end: its estimate and poll hint, from the queue's counters and the measured service times.

Decides how old a counter may be, and what to forecast while nothing can be read. Never fails and never waits: a forecast is a hint.

Accepting takes microseconds, so one calculation serves all operations of a kind that come between two reads of the counters.
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

#: Seconds between two reads of a counter. Each read is a billed request, and SQS's counters lag by up to a minute anyway.
MAX_AGE = 5.0

#: Counters get older while nobody asks, or nothing answers. Ages beyond this, seconds, change no forecast.
OLDEST = 60.0

#: The rate counts the completions of the last 30 s, or of twice as long, and so on, until there are a hundred: a deviation of 10 %.
WINDOWS = (30.0, 60.0, 120.0, 240.0, 480.0)
ENOUGH = 100.0

#: What finished within this many seconds is taken for what comes in. A depth counts for up to OLDEST, and reports come late.
THROUGHPUT_WINDOW = 120.0

#: No estimate is further away than this, seconds: SQS keeps no message longer (14 days).
FARTHEST = 1_209_600.0


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """One read of the service times: by kind and for all kinds, how many were measured, and the spans for the rate."""

    by_kind: Mapping[str, Histogram]
    mixed: Histogram
    total: float
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class _Accepted:
    """The forecast for operations of one kind that are accepted between two reads: what it follows from, and distances from now."""

    depth: Depth
    measured: _Measured
    lateness_weight: Weight
    age_steps: int
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
        concurrency: how many operations run at once, at least.
        kinds: whose operations are in the queue. A forecast for another kind adds it.
        clock: the wall clock.
    """

    queue: Queue
    service_times: ServiceTimes
    expected_service_time: float
    concurrency: int
    kinds: Collection[str] = ()
    clock: Callable[[], datetime] = utc_now
    _accepted: dict[str, _Accepted] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._kinds = set(self.kinds)
        self._capacity = Capacity(configured=self.concurrency)
        self._depth = Cached(Depth(), self._read_depth, max_age=MAX_AGE, clock=self.clock)
        self._guess = exponential(self.expected_service_time)
        nothing = _Measured(by_kind={}, mixed=self._guess, total=0.0, spans=())
        self._measured = Cached(nothing, self._read_measured, max_age=MAX_AGE, clock=self.clock)

    @classmethod
    def of(
        cls, settings: Settings, *, queue: Queue, service_times: ServiceTimes, kinds: Collection[str], clock: Callable[[], datetime]
    ) -> Forecast:
        """Make a forecast from the settings."""
        return cls(
            queue=queue,
            service_times=service_times,
            expected_service_time=settings.expected_service_time,
            concurrency=settings.concurrency,
            kinds=kinds,
            clock=clock,
        )

    def accepted(self, kind: str, *, now: datetime, lateness_weight: Weight, loop: asyncio.AbstractEventLoop) -> tuple[Estimate, PollHint]:
        """Forecast an operation enqueued now, to the millisecond. `loop` is the running one."""
        self._kinds.add(kind)
        depth, measured = self._depth.get(loop, now), self._measured.get(loop, now)
        age_steps = int(min(OLDEST, self._depth.age(loop.time(), now)) / (2 * MAX_AGE))
        known = self._accepted.get(kind)
        if (
            known is None
            or known.depth is not depth
            or known.measured is not measured
            or known.age_steps != age_steps
            or (known.lateness_weight is not lateness_weight and known.lateness_weight != lateness_weight)
        ):
            known = self._accepted[kind] = self._calculated(kind, depth, measured, age_steps=age_steps, lateness_weight=lateness_weight)
        estimate = Estimate(earliest=now + known.earliest, mean=now + known.mean, latest=now + known.latest)
        return estimate, PollHint(not_before=now + known.first, interval=known.interval)

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
        """Forecast a running operation. The hint counts from `due`, when readers look at this document.

        Args:
            kind: the operation's.
            now, due: when this is written, and read.
            created_at: when the operation was accepted.
            elapsed, fraction, since: how far its handler is; see `of_running`.
            lateness_weight: for the poll hint.
        """
        self._kinds.add(kind)
        now, due = to_milliseconds(now), to_milliseconds(due)
        times = self._histogram(kind, self._measured.get(asyncio.get_running_loop(), now))
        rest = _bounded(of_running(times, elapsed=elapsed, fraction=fraction, since=since))
        passed = (due - now).total_seconds()
        after = plan(
            earliest=max(0.0, rest.earliest - passed),
            mean=max(0.0, rest.mean - passed),
            lateness_weight=lateness_weight,
            age=max(0.0, (due - created_at).total_seconds()),
        )
        estimate = Estimate(earliest=later(now, rest.earliest), mean=later(now, rest.mean), latest=later(now, rest.latest))
        return estimate, PollHint(not_before=later(due, after.first), interval=round(after.interval, 3))

    def _calculated(self, kind: str, depth: Depth, measured: _Measured, *, age_steps: int, lateness_weight: Weight) -> _Accepted:
        rest = _bounded(of_queued(self._wait(depth, measured, age_steps), self._histogram(kind, measured)))
        polls = plan(earliest=rest.earliest, mean=rest.mean, lateness_weight=lateness_weight)
        return _Accepted(
            depth=depth,
            measured=measured,
            lateness_weight=lateness_weight,
            age_steps=age_steps,
            earliest=_milliseconds(rest.earliest),
            mean=_milliseconds(rest.mean),
            latest=_milliseconds(rest.latest),
            first=_milliseconds(polls.first),
            interval=round(polls.interval, 3),
        )

    def _wait(self, depth: Depth, measured: _Measured, age_steps: int) -> QueueWait:
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
                age=MAX_AGE / 2 + age_steps * 2 * MAX_AGE,
            )
        )

    def _rate(self, measured: _Measured) -> tuple[float | None, float]:
        """Return completions per second, None if too few operations finished while others waited, and how many were counted.

        The rate of completions shows what workers can do only while operations wait. Otherwise it shows how much there was to do.
        """
        for window in WINDOWS:
            if self._capacity.backlog < window + REPORT_INTERVAL:
                break
            counted = self._finished(measured, window=window)
            if counted >= ENOUGH:
                return counted / window, counted
        return None, max(1.0, measured.total)

    def _finished(self, measured: _Measured, *, window: float) -> float:
        """Return how many operations finished within `window` seconds, up to the last report that every process has made."""
        until = self.clock() - timedelta(seconds=REPORT_INTERVAL)
        return completions(measured.spans, since=until - timedelta(seconds=window), until=until)

    def _histogram(self, kind: str, measured: _Measured) -> Histogram:
        return measured.by_kind.get(kind, self._guess)

    async def _read_depth(self) -> Depth:
        depth = await self.queue.depth()
        now = asyncio.get_running_loop().time()
        self._capacity.see(waiting=depth.visible, in_flight=depth.in_flight, now=now)
        return depth

    async def _read_measured(self) -> _Measured:
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
