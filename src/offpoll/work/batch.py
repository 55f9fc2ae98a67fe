"""Processes one Lambda SQS batch before the invocation deadline.

The caller receives the messages and nothing runs between two batches, so each claim takes a lease that lasts until the deadline:

    0 ──────────────────────────────────────────────── 30 s ──────── 10 s ─────────── 2 s ─── deadline
    each message: hidden until 30 s after the          all handler   steps that wait  unfinished
    deadline, then claimed under a lease that          timeouts      for a dependency deliveries
    ends with it                                       are over      give up          are abandoned

No lease is ever renewed. If the process is killed, its messages come back soon after the deadline and find that the leases have ended.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from offpoll.dependencies import Dependencies
from offpoll.errors import ConfigurationError
from offpoll.instant import utc_now
from offpoll.kind import Kind
from offpoll.queue import Delivery, Queue
from offpoll.service_times import REPORT_INTERVAL
from offpoll.settings import Settings
from offpoll.work.claim import Claimer
from offpoll.work.dead_letters import SLOTS, DeadLetters
from offpoll.work.delivery import DeliveryProcessor
from offpoll.work.handle import HandlerRunner
from offpoll.work.heartbeat import Heartbeat, HeartbeatTask
from offpoll.work.job import Ambient, Jobs
from offpoll.work.operation_log import Seldom
from offpoll.work.outage import Outage, give_back
from offpoll.work.publish import Publisher
from offpoll.work.timing import ServiceTimesBuffer

__all__ = ["RESERVE", "BatchWorker", "DeadLetterBatchWorker", "TimeLeft"]

log = logging.getLogger(__name__)

#: How long after the deadline a message comes back, seconds: its next delivery should not meet a lease that is about to end.
AFTER_DEADLINE = 30.0

#: How long before the deadline every handler timeout must end, seconds: even a short outage leaves time to record and publish an outcome.
RESERVE = 30.0

#: An attempt begins only with its timeout and this much time left, seconds. Less than RESERVE, because earlier steps have used some.
BEGIN_MARGIN = 15.0

#: How long before the deadline steps stop waiting for a dependency, seconds; their messages are given back.
STOP_BEFORE = 10.0

#: How long before the deadline the worker stops waiting for anything, seconds: the function still has to return.
LEAVE_BEFORE = 2.0

#: How long writing service times may take, seconds: they are a hint.
FLUSH_WITHIN = 2.0

#: Returns the seconds until this process is killed.
TimeLeft = Callable[[], float]


class BatchWorker:
    """Works on batches, one after the other. The time left to a batch replaces the settings' lease."""

    def __init__(
        self,
        *,
        kinds: Mapping[str, Kind],
        settings: Settings,
        dependencies: Dependencies,
        runner: HandlerRunner,
        ambient: Ambient | None = None,
    ) -> None:
        self.kinds, self.settings, self.runner = kinds, settings, runner
        self.ambient = ambient or Ambient()
        self.timing = ServiceTimesBuffer(dependencies.service_times, clock=self.ambient.clock, metrics=dependencies.metrics)
        self.publisher = Publisher.of(dependencies, settings=settings, kinds=kinds, clock=self.ambient.clock)
        self.unsupported = Seldom(self.ambient.monotonic)
        self._dependencies = dependencies
        self._flushed_at: datetime | None = None

    async def work(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Work on a batch of operations. Messages that this does not delete from the queue come back.

        Raises:
            ConfigurationError: a kind's timeout is too long for the time left. Nothing has begun.
        """
        _check_timeouts(self.kinds, time_left())
        await _Batch(self, replace(self._dependencies, queue=queue), time_left).work(deliveries)
        await self._flush(time_left)

    async def _flush(self, time_left: TimeLeft) -> None:
        """Write service times, but not after every batch: a hint is not worth a request for each short operation."""
        now = self.ambient.clock()
        if self._flushed_at is not None and now - self._flushed_at < timedelta(seconds=REPORT_INTERVAL):
            return
        self._flushed_at = now
        try:
            async with asyncio.timeout(max(0.0, min(FLUSH_WITHIN, time_left() - LEAVE_BEFORE))):
                await self.timing.flush()
        except TimeoutError:
            log.warning("service times were not written within %g s and are lost; estimates get a little worse", FLUSH_WITHIN)


class DeadLetterBatchWorker:
    """Settles batches of dead letters."""

    def __init__(
        self,
        *,
        kinds: Mapping[str, Kind],
        settings: Settings,
        dependencies: Dependencies,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._kinds, self._dependencies = kinds, dependencies
        self._claimer = Claimer.of(dependencies.records, settings=settings, kinds=kinds, clock=clock)
        self._unsupported = Seldom(time.monotonic)

    async def settle(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Settle a batch. Messages that this does not delete from the queue come back; see `BatchWorker.work`."""
        dependencies = replace(self._dependencies, dead_letters=queue)
        dead_letters = DeadLetters(dependencies=dependencies, kinds=self._kinds, claimer=self._claimer, unsupported=self._unsupported)
        await _wait(_begin(deliveries, dead_letters.settle, slots=SLOTS), seconds=time_left() - LEAVE_BEFORE)


class _Batch:
    """One batch of operations in work."""

    def __init__(self, worker: BatchWorker, dependencies: Dependencies, time_left: TimeLeft) -> None:
        self._worker, self._dependencies, self._time_left = worker, dependencies, time_left
        self._jobs = Jobs()
        self._outages: set[Outage] = set()

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        async with HeartbeatTask().running(self._heartbeat):
            tasks = _begin(deliveries, self._process, slots=self._worker.settings.concurrency)
            rest = await _wait(tasks, seconds=self._time_left() - STOP_BEFORE)
            if rest:
                log.warning("%d deliveries are not done %g s before the deadline", len(rest), STOP_BEFORE)
                for outage in self._outages:
                    outage.stop()
                rest = await _wait(rest, seconds=self._time_left() - LEAVE_BEFORE)
            if rest:
                log.error("%d deliveries are abandoned: their leases end at the deadline", len(rest))

    async def _process(self, delivery: Delivery) -> None:
        kind = self._worker.kinds.get(delivery.envelope.attributes.get("kind", ""))
        needed = BEGIN_MARGIN + (0.0 if kind is None else kind.timeout)
        if self._time_left() < needed:
            log.info("message given back: the time left is too short for another attempt")
            return await self._hide(delivery, 0.0)
        await self._hide(delivery, self._time_left() + AFTER_DEADLINE)
        outage = Outage(random=self._worker.ambient.random)
        too_late = asyncio.get_running_loop().call_later(self._time_left() - needed, self._stop_unless_claimed, delivery, outage)
        self._outages.add(outage)
        try:
            await self._processor(outage, lease=self._time_left()).process(delivery)
        finally:
            self._outages.discard(outage)
            too_late.cancel()

    def _stop_unless_claimed(self, delivery: Delivery, outage: Outage) -> None:
        """Stop waiting to claim a delivery once an outage has left too little time for an attempt: this spends none."""
        if not any(job.delivery is delivery and job.record is not None for job in self._jobs):
            outage.stop()

    async def _hide(self, delivery: Delivery, seconds: float) -> None:
        await give_back(self._dependencies.queue, delivery, seconds=seconds)

    def _processor(self, outage: Outage, *, lease: float) -> DeliveryProcessor:
        worker = self._worker
        return DeliveryProcessor.of(
            self._dependencies,
            settings=worker.settings,
            kinds=worker.kinds,
            runner=worker.runner,
            outage=outage,
            timing=worker.timing,
            jobs=self._jobs,
            ambient=worker.ambient,
            unsupported=worker.unsupported,
            lease=lease,
        )

    @asynccontextmanager
    async def _heartbeat(self) -> AsyncIterator[Heartbeat]:
        yield Heartbeat(
            jobs=self._jobs,
            records=self._dependencies.records,
            queue=self._dependencies.queue,
            publisher=self._worker.publisher,
            lease=self._worker.settings.lease,
            monotonic=self._worker.ambient.monotonic,
            renews=False,
        )


def _check_timeouts(kinds: Mapping[str, Kind], time_left: float) -> None:
    """Refuse kinds whose attempts could outlive the process. A batch begins with all of the function's time but a fraction of a second.

    Raises:
        ConfigurationError: names those kinds.
    """
    longest = max(0.0, math.ceil(time_left) - RESERVE)
    over = [f"{kind.name!r} ({kind.timeout:g} s)" for kind in kinds.values() if kind.timeout > longest]
    if over:
        raise ConfigurationError(
            f"the function has {time_left:.0f} s and keeps {RESERVE:g} s of them for itself, so a timeout may be at most {longest:g} s. "
            f"Over it: {', '.join(over)}. Set OFFPOLL_TIMEOUT or the kind's timeout, or give the function more time"
        )


def _begin(
    deliveries: Collection[Delivery], work: Callable[[Delivery], Coroutine[Any, Any, None]], *, slots: int
) -> set[asyncio.Future[None]]:
    """Start work on each delivery, on at most `slots` at once."""
    free = asyncio.Semaphore(slots)

    async def one(delivery: Delivery) -> None:
        async with free:
            await work(delivery)

    return {asyncio.ensure_future(one(each)) for each in deliveries}


async def _wait(tasks: Collection[asyncio.Future[None]], *, seconds: float) -> set[asyncio.Future[None]]:
    """Wait at most `seconds` for tasks and return the unfinished ones. Raises the error of a task that failed."""
    if not tasks:
        return set()
    done, rest = await asyncio.wait(tasks, timeout=max(0.0, seconds))
    for each in done:
        each.result()
    return rest
