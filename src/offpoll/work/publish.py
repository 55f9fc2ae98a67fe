"""Publishes progress shortly before the readers look.

A document says when its readers poll next. The worker rewrites it shortly before that instant, and only with something new: a status,
progress, or an end that is overdue. So an operation that ends before its first planned poll costs two PUTs, not three. A PUT costs 12.5
GETs.

    readers look    │          ▼ not_before      ▼ + interval      ▼
    we write        │ queued  ▲ running 40 %    (nothing new)     ▲ running 80 %
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.document import Document
from offpoll.forecast import Forecast
from offpoll.operation import Progress, Record, Status
from offpoll.poll_plan import MAX_PAUSE, MIN_INTERVAL
from offpoll.settings import Settings
from offpoll.work.job import Job

__all__ = ["Publisher", "next_due"]

#: How long before the next poll to write, seconds: covers a few S3 PUTs (p99 about 0.1 s within the Region) and the clients' jitter.
LEAD = 0.5


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Writes the documents of running operations.

    Args:
        max_updates: most publishes of one operation, over all its attempts; the document's revision counts them.
    """

    board: AsyncStatusBoard
    forecast: Forecast
    max_updates: int
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, dependencies: Dependencies, *, settings: Settings, kinds: Collection[str], clock: Callable[[], datetime]) -> Publisher:
        """Return the publisher of a worker of these kinds."""
        forecast = Forecast.of(settings, queue=dependencies.queue, service_times=dependencies.service_times, kinds=kinds, clock=clock)
        return cls(board=dependencies.board, forecast=forecast, max_updates=settings.max_updates, clock=clock)

    def wants(self, job: Job) -> bool:
        """Tell whether a job needs `update` now: its document was never read, or has news and is about to be polled."""
        record, shown = job.record, job.shown
        if record is None or not job.running or job.stop_reason is not None or not self.max_updates:
            return False
        if shown is None:
            return True
        if shown.document.done or shown.document.revision > self.max_updates:
            return False
        wall = self.clock() + job.ahead
        if not self._new(shown.document, record, job.progress) and not _overrun(shown.document, wall):
            return False
        due = next_due(shown.document, wall)
        return due is not None and (due - wall).total_seconds() <= LEAD

    async def update(self, job: Job, *, now: float) -> None:
        """Read a job's document the first time, and publish its progress from then on. Never creates a document.

        Args:
            job: one for which `wants` is true.
            now: seconds on the monotonic clock.

        Raises:
            DependencyError, DigestMismatch, MalformedDocument: from the board. The terminal publish meets the cause again.
        """
        record, shown = job.record, job.shown
        if record is None:
            return
        if shown is None:
            await self._first_look(job, record)
            return
        wall = self.clock() + job.ahead
        estimate, poll = self.forecast.running(
            record.submission.kind,
            now=wall,
            due=next_due(shown.document, wall) or wall,
            created_at=_created_at(job, record, wall, ran=now - job.run_began),
            elapsed=now - job.run_began,
            fraction=None if job.progress is None else job.progress.fraction,
            since=now - job.progress_seen,
            lateness_weight=job.kind.lateness_weight,
        )
        job.shown = await self.board.show(record, held=shown, progress=job.progress, estimate=estimate, poll=poll, at=wall) or shown

    async def _first_look(self, job: Job, record: Record) -> None:
        """Read a job's document. If its writer's clock is ahead of ours, keep its time from now on: readers judge hints by one clock."""
        shown = await self.board.read(record.submission.status_key)
        if shown is not None:
            job.ahead = max(timedelta(0), shown.document.updated_at - self.clock())
            if shown.document.status == Status.QUEUED:
                job.promised = shown.document.estimate
        job.shown = shown

    @staticmethod
    def _new(document: Document, record: Record, progress: Progress | None) -> bool:
        if document.status != Status.RUNNING or document.attempt != record.attempt:
            return True
        return progress is not None and progress.fitted() != document.progress


def _created_at(job: Job, record: Record, wall: datetime, *, ran: float) -> datetime:
    """Return when the operation was created: before its handler began, but no longer before than its submitter was told to expect.

    `created_at` is by the API's clock, the promise a difference on that clock. So an API whose clock is hours behind does not make every
    operation hours old, and its polls rare.
    """
    created_at, promised, began_at = record.submission.created_at, job.promised, wall - timedelta(seconds=ran)
    if promised is not None and promised.latest is not None:
        created_at = max(created_at, began_at - (promised.latest - created_at))
    return min(created_at, began_at)


def _overrun(document: Document, now: datetime) -> bool:
    """Tell whether the operation is overdue by the estimate that its readers know."""
    estimate = document.estimate
    return estimate is not None and estimate.latest is not None and estimate.latest <= now


def next_due(document: Document, now: datetime) -> datetime | None:
    """Return when a document's readers poll next: at `not_before`, then every `interval`. None if it does not say."""
    poll = document.poll
    if poll is None:
        return None
    late = (now - poll.not_before).total_seconds()
    if late <= 0 or not MIN_INTERVAL <= poll.interval <= MAX_PAUSE:  # an absurd interval: our next document corrects it
        return max(poll.not_before, now)
    return poll.not_before + timedelta(seconds=math.ceil(late / poll.interval) * poll.interval)
