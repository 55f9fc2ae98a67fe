"""The heartbeat: keeps leases and visibility alive while handlers run, learns of lost claims, publishes progress.

One coroutine tends all jobs of a worker. It runs in its own thread (`HeartbeatThread`), so that a handler which blocks the loop does
not lose its lease; a simulation runs the same coroutine on its one loop (`HeartbeatTask`).

    0 ────────── lease/3 ────────── 2 lease/3 ──────── lease - margin ── lease
    claim        renew              renew (if the last failed: every second)
                                                       still unanswered: stop the handler, ask whether the claim still stands

If a claim's lease covers all the time left, as in Lambda, nothing is renewed and only progress is published.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from offpoll.errors import DependencyError, DigestMismatch, MalformedDocument
from offpoll.queue import Queue
from offpoll.records import Records
from offpoll.work.job import MARGIN, Job, Jobs, Stop
from offpoll.work.publish import Publisher

__all__ = ["Heartbeat", "HeartbeatRunner", "HeartbeatTask", "HeartbeatThread"]

log = logging.getLogger(__name__)

#: How often jobs are looked at while there are any, seconds, or twice within the margin of a short lease. A look costs microseconds; a
#: publish aims at half a second before its readers, and what a handler reports is noticed by looking.
TICK = 0.25

#: After a failed beat the next one comes this soon, seconds.
RETRY = 1.0

#: A beat that has been under way for so long, or for a sixth of a short lease, may not be answered before the lease ends, seconds.
SLOW = 2.0

#: After a publish that failed, the next try comes this long later, seconds: readers hardly notice, and a store in trouble does.
PUBLISH_RETRY = 5.0


@dataclass(kw_only=True)
class Heartbeat:
    """Tends a worker's jobs, and sleeps while there are none.

    Args:
        records, queue, publisher: of this loop.
        lease: seconds; also the visibility that is asked for.
        monotonic: the clock of leases.
        renews: whether leases and visibility are extended, and lost claims learnt of.
    """

    jobs: Jobs
    records: Records
    queue: Queue
    publisher: Publisher
    lease: float
    monotonic: Callable[[], float]
    renews: bool = True
    _tending: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def margin(self) -> float:
        """How long before the lease's end its holder no longer relies on it, seconds."""
        return self.lease * MARGIN

    async def run(self) -> None:
        """Tend the jobs until cancelled."""
        try:
            while True:
                await self.jobs.some()
                self.look()
                await asyncio.sleep(min(TICK, self.margin / 2))
        finally:
            for task in self._tending:
                task.cancel()

    def look(self) -> None:
        """Look at every job once, and start what is due."""
        now = self.monotonic()
        for job in self.jobs:
            try:
                self._look_at(job, now)
            except Exception:  # a fault in offpoll: it must not let the leases of all other jobs lapse
                log.exception("operation %s: fault in the heartbeat", job.message.submission.operation_id)

    def _look_at(self, job: Job, now: float) -> None:
        """Start what is due. Renewing and publishing do not wait for each other: a store may be slow."""
        if job.closed:
            return
        job.notice(now)
        if self.renews:
            self._mind_the_lease(job, now)
            if not job.beating and self._due(job, now):
                job.beating, job.last_beat_try = True, now
                self._start(self._beat(job, now), job, "beating")
        if not job.publishing and now >= job.publish_after and self.publisher.wants(job):
            job.publishing = True
            self._start(self._publish(job, now), job, "publishing")

    def _start(self, work: Coroutine[Any, Any, None], job: Job, flag: Literal["beating", "publishing"]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tending.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            setattr(job, flag, False)  # here, as a task that is cancelled before its first step runs no `finally`
            self._tending.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                # A fault in offpoll. All other jobs still need their heartbeat, and this one its next beat.
                log.error("operation %s: fault in the heartbeat", job.message.submission.operation_id, exc_info=error)

        task.add_done_callback(ended)

    def _due(self, job: Job, now: float) -> bool:
        """Tell whether a third of the visibility is over, or of the lease: a claim that took long is older than the last beat."""
        third = self.lease / 3
        aged = now - job.last_beat >= third or (job.running and now >= job.lease_ends - 2 * third)
        return aged and now - job.last_beat_try >= min(RETRY, third)

    def _mind_the_lease(self, job: Job, now: float) -> None:
        """Stop a handler whose lease ends unrenewed. A process that was stopped itself first asks: nobody may have claimed meanwhile."""
        slow = job.beating and now - job.last_beat_try >= min(SLOW, self.lease / 6)
        if job.running and now >= job.lease_ends - self.margin and (job.failing or slow):
            job.stop(Stop.LAPSED)

    async def _beat(self, job: Job, now: float) -> None:
        results = await asyncio.gather(self._renew(job, now), self._hide(job), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        job.failing = bool(errors)
        if not errors:
            job.last_beat = now
        for error in errors:
            if not isinstance(error, DependencyError):
                raise error
            log.warning("operation %s: heartbeat: %s", job.message.submission.operation_id, error)

    async def _publish(self, job: Job, now: float) -> None:
        """Publish progress, best effort: if it fails, it is tried later, and the terminal publish handles lasting errors."""
        job.publish_after = now + PUBLISH_RETRY
        try:
            await self.publisher.update(job, now=now)
            job.publish_after = now if job.shown is not None else math.inf  # there is no document, and this never creates one
        except (DigestMismatch, MalformedDocument) as error:
            job.publish_after = math.inf
            log.warning("operation %s: its progress cannot be published: %s", job.message.submission.operation_id, error)
        except DependencyError as error:
            log.warning("operation %s: progress not published: %s", job.message.submission.operation_id, error)

    async def _renew(self, job: Job, begun: float) -> None:
        """Extend the lease; learn that the claim was lost, or that somebody decided."""
        held = job.claim
        if held is None:
            return
        update = await self.records.renew(job.message.submission.operation_id, held=held, lease=self.lease)
        if update.applied:
            job.lease_ends = max(job.lease_ends, begun + self.lease)
        elif job.running:
            job.stop(Stop.DECIDED if update.record is not None and update.record.done else Stop.LOST)

    async def _hide(self, job: Job) -> None:
        if not job.closed:
            await self.queue.hide(job.delivery, seconds=self.lease)


Make = Callable[[], AbstractAsyncContextManager[Heartbeat]]


class HeartbeatRunner(Protocol):
    """Runs a heartbeat beside a worker. `make` builds it from the dependencies of the loop that it will run on."""

    def running(self, make: Make) -> AbstractAsyncContextManager[asyncio.Future[None]]:
        """Run it while the context is open; what that gives is done only if the heartbeat died, and has its error."""


class HeartbeatTask:
    """Runs it as a task of the worker's own loop: under virtual time."""

    @asynccontextmanager
    async def running(self, make: Make) -> AsyncIterator[asyncio.Future[None]]:
        async with make() as heartbeat:
            task = asyncio.get_running_loop().create_task(heartbeat.run())
            try:
                yield task
            finally:
                task.cancel()
                await asyncio.wait({task})


class HeartbeatThread:
    """Runs it on a loop in a thread of its own."""

    @asynccontextmanager
    async def running(self, make: Make) -> AsyncIterator[asyncio.Future[None]]:
        own = _Thread(make, asyncio.get_running_loop())
        own.start()
        try:
            await own.ready
            yield own.died
        finally:
            own.stop()
            await asyncio.to_thread(own.join)


class _Thread(threading.Thread):
    """`ready` and `died` are futures of the loop that started it."""

    def __init__(self, make: Make, waiter: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="offpoll-heartbeat", daemon=True)
        self._make, self._waiter = make, waiter
        self.ready: asyncio.Future[None] = waiter.create_future()
        self.died: asyncio.Future[None] = waiter.create_future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if self._stopped:
                raise
            self._waiter.call_soon_threadsafe(self._fail, error)

    def stop(self) -> None:
        self._stopped = True
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)

    def _fail(self, error: BaseException) -> None:
        future = self.died if self.ready.done() else self.ready
        future.set_exception(error)
        future.exception()  # seen: a worker that is ending does not ask

    def _begun(self) -> None:
        self.ready.set_result(None)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        try:
            async with self._make() as heartbeat:
                if self._stopped:  # before there was a task to cancel
                    return
                self._waiter.call_soon_threadsafe(self._begun)
                await heartbeat.run()
        except asyncio.CancelledError:
            if not self._stopped:
                raise RuntimeError("the heartbeat was cancelled") from None
