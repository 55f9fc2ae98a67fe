"""What one worker measured, gathered and handed on now and then: a hint is not worth a request for every operation."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from offpoll.document import Estimate
from offpoll.errors import OffpollError
from offpoll.estimate.histogram import bucket_of
from offpoll.estimate.history import Span
from offpoll.metrics import ENDED_EARLY, ENDED_INSIDE, ENDED_LATE, Metrics, NoMetrics
from offpoll.service_times import ServiceTimes

__all__ = ["FLUSH_INTERVAL", "ServiceTimesBuffer"]

log = logging.getLogger(__name__)

#: Seconds between two flushes of one process (one small update for each kind).
FLUSH_INTERVAL = 10.0


class ServiceTimesBuffer:
    """Sums up what was observed since the last flush.

    Args:
        service_times: where it goes.
        clock: the wall clock.
        metrics: counts how right the estimates were.
    """

    def __init__(self, service_times: ServiceTimes, *, clock: Callable[[], datetime], metrics: Metrics | None = None) -> None:
        self._service_times = service_times
        self._clock = clock
        self._metrics = metrics or NoMetrics()
        self._flushed_at = clock()
        self._spans: dict[str, Span] = {}

    def observe(self, kind: str, seconds: float, *, promised: Estimate | None = None, finished_at: datetime | None = None) -> None:
        """Note that an operation of a kind took so long.

        Args:
            kind: the operation's.
            seconds: from claim to decision.
            promised: the estimate that its submitter was given, None where that is not known any more.
            finished_at: when it ended.
        """
        inside, early, late = _judged(promised, finished_at)
        self._gather(
            kind,
            Span(
                began_at=self._flushed_at,
                ended_at=self._clock(),
                buckets={bucket_of(seconds): 1},
                seconds=seconds,
                inside=inside,
                early=early,
                late=late,
            ),
        )

    async def flush(self) -> None:
        """Hand on what was observed; keep it where that fails, whatever the reason."""
        spans, self._spans = self._spans, {}
        self._flushed_at = self._clock()
        for kind, span in spans.items():
            try:
                await self._service_times.add(kind, span)
            except Exception as error:
                # A hint may be late: what could not be written is added to what comes next.
                unexpected = not isinstance(error, OffpollError)
                log.warning("service times not written, kept for the next time: %s", error, exc_info=unexpected)
                self._gather(kind, span)
            else:
                self._count(kind, span)

    def _gather(self, kind: str, span: Span) -> None:
        before = self._spans.get(kind)
        self._spans[kind] = span if before is None else before.merged(span)

    def _count(self, kind: str, span: Span) -> None:
        for name, count in ((ENDED_INSIDE, span.inside), (ENDED_EARLY, span.early), (ENDED_LATE, span.late)):
            if count:
                self._metrics.count(name, count, kind=kind)


def _judged(promised: Estimate | None, finished_at: datetime | None) -> tuple[int, int, int]:
    """Tell whether an operation ended inside, before or after what was promised."""
    if promised is None or promised.earliest is None or promised.latest is None or finished_at is None:
        return 0, 0, 0
    if finished_at < promised.earliest:
        return 0, 1, 0
    return (1, 0, 0) if finished_at <= promised.latest else (0, 0, 1)
