"""Buffers a worker's service times and writes them in batches: a hint is not worth a request for every operation."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from offpoll.document import Estimate
from offpoll.errors import OffpollError
from offpoll.estimate.histogram import bucket_of
from offpoll.estimate.history import Span
from offpoll.metrics import ENDED_EARLY, ENDED_INSIDE, ENDED_LATE, Metrics, NoMetrics
from offpoll.service_times import ServiceTimes

__all__ = ["ServiceTimesBuffer"]

log = logging.getLogger(__name__)


class _Observed(NamedTuple):
    """One operation's end: when, after how many seconds, and whether inside, before or after its estimate (0 or 1 each)."""

    at: datetime
    seconds: float
    inside: int
    early: int
    late: int


class ServiceTimesBuffer:
    """Keeps the ends of operations since the last flush, and sums them up only then: one flush covers many ends."""

    def __init__(self, service_times: ServiceTimes, *, clock: Callable[[], datetime], metrics: Metrics | None = None) -> None:
        self._service_times = service_times
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._flushed_at = clock()
        self._observed: dict[str, list[_Observed]] = {}
        self._unwritten: dict[str, Span] = {}

    def observe(self, kind: str, seconds: float, *, promised: Estimate | None = None, finished_at: datetime | None = None) -> None:
        """Note how long an operation took from claim to decision.

        `promised` is the estimate that its submitter got; None if a later one has replaced it.
        """
        self._observed.setdefault(kind, []).append(_Observed(self._clock(), seconds, *_judged(promised, finished_at)))

    async def flush(self) -> None:
        """Write the observations. If that fails for any reason, keep them for the next flush."""
        spans, self._unwritten = self._unwritten, {}
        for kind, observed in self._observed.items():
            span = _span(observed, began_at=self._flushed_at)
            spans[kind] = spans[kind].merged(span) if kind in spans else span
        self._observed, self._flushed_at = {}, self._clock()
        for kind, span in spans.items():
            try:
                await self._service_times.add(kind, span)
            except Exception as error:
                fault = not isinstance(error, OffpollError)
                level = logging.ERROR if fault else logging.WARNING
                log.log(level, "service times not written, kept for the next time: %s", error, exc_info=fault)
                self._unwritten[kind] = span
            else:
                self._count(kind, span)

    def _count(self, kind: str, span: Span) -> None:
        for name, count in ((ENDED_INSIDE, span.inside), (ENDED_EARLY, span.early), (ENDED_LATE, span.late)):
            if count:
                self._metrics.count(name, count, kind=kind)


def _span(observed: Sequence[_Observed], *, began_at: datetime) -> Span:
    return Span(
        began_at=began_at,
        ended_at=max(each.at for each in observed),
        buckets=Counter(bucket_of(each.seconds) for each in observed),
        seconds=sum(each.seconds for each in observed),
        inside=sum(each.inside for each in observed),
        early=sum(each.early for each in observed),
        late=sum(each.late for each in observed),
    )


def _judged(promised: Estimate | None, finished_at: datetime | None) -> tuple[int, int, int]:
    """Tell whether an operation ended inside, before or after the promised span; all 0 if that is unknown."""
    if promised is None or promised.earliest is None or promised.latest is None or finished_at is None:
        return 0, 0, 0
    if finished_at < promised.earliest:
        return 0, 1, 0
    return (1, 0, 0) if finished_at <= promised.latest else (0, 0, 1)
