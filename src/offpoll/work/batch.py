"""A batch of deliveries, worked on in the time that there is: a worker where somebody else receives, and nothing runs in between.

Decides what follows from a known end. Must not know who delivers, nor what the queue does with what is not deleted.

    0 ──────────────────────────────────────────────────────── 30 s ──────── 10 s ────────── 2 s ─── end
    each delivery: visibility until 30 s after the end,        all timeouts  what waits for  what is left
    then a claim whose lease ends with the time                are over      a dependency    is abandoned
                                                                             gives up

So no lease has to be renewed. Where the process is killed, its messages come back soon after the end, and find the leases over.
"""

from __future__ import annotations

import asyncio
import logging
import math
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
from offpoll.work.job import Ambient, Job
from offpoll.work.outage import Outage, give_back
from offpoll.work.publish import Publisher
from offpoll.work.timing import ServiceTimesBuffer

__all__ = ["RESERVE", "BatchWorker", "DeadLetterBatchWorker", "TimeLeft"]

log = logging.getLogger(__name__)

#: A message comes back so long after the time is over, seconds: nobody should meet a lease that is about to end.
AFTER_THE_END = 30.0

#: Every timeout has to end so long before the time does, seconds: an outcome is to be recorded and published even in a short outage.
RESERVE = 30.0

#: With less than its timeout and so much more an attempt is not begun, seconds. Less than RESERVE: what comes first has used up a little.
BEGIN_WITHIN = 15.0

#: So long before the end steps that wait for a dependency give up, seconds; their operations are given back.
STOP_BEFORE = 10.0

#: How long service times may take to be handed on, seconds: they are a hint.
FLUSH_WITHIN = 2.0


#: So long before the end nothing is waited for any more, seconds: the answer still has to be given.
LEAVE_BEFORE = 2.0

#: Tells the seconds until this process is killed.
TimeLeft = Callable[[], float]


class BatchWorker:
    """Works on batches, one after the other.

    Args:
        kinds: by name.
        settings: limits and concurrency. Their lease is not used: the time that is left is the lease.
        dependencies: for the loop it runs on.
        runner: where handlers run.
        ambient: clocks and randomness.
    """

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
        self._dependencies = dependencies
        self._flushed_at: datetime | None = None

    async def work(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Work on a batch of operations. What is not deleted from the queue then comes back.

        Args:
            deliveries: what was received.
            queue: where they are deleted from, or hidden in.
            time_left: seconds until this process is killed.

        Raises:
            ConfigurationError: a kind's timeout is too long for the time that there is. Nothing was begun.
        """
        _check_timeouts(self.kinds, time_left())
        await _Batch(self, replace(self._dependencies, queue=queue), time_left).work(deliveries)
        await self._flush(time_left)

    async def _flush(self, time_left: TimeLeft) -> None:
        """Hand on what was measured. Not after every batch: a hint is not worth a request for each short operation."""
        now = self.ambient.clock()
        if self._flushed_at is not None and now - self._flushed_at < timedelta(seconds=REPORT_INTERVAL):
            return
        self._flushed_at = now
        try:
            async with asyncio.timeout(max(0.0, min(FLUSH_WITHIN, time_left() - LEAVE_BEFORE))):
                await self.timing.flush()
        except TimeoutError:
            log.warning("service times were not written within %g s, and are lost: a hint is a little worse", FLUSH_WITHIN)


class _Batch:
    """One batch in work."""

    def __init__(self, batches: BatchWorker, dependencies: Dependencies, time_left: TimeLeft) -> None:
        self._batches, self._dependencies, self._time_left = batches, dependencies, time_left
        self._jobs: dict[str, Job] = {}
        self._outages: set[Outage] = set()

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        slots = self._batches.settings.concurrency
        async with HeartbeatTask().running(self._heartbeat):
            rest = await _within(self._time_left() - STOP_BEFORE, _begin(deliveries, self._one, slots=slots))
            if rest:
                log.warning("%d deliveries are not done %g s before the time is over", len(rest), STOP_BEFORE)
                for outage in self._outages:
                    outage.stop()
                rest = await _within(self._time_left() - LEAVE_BEFORE, rest)
            if rest:
                log.error("%d deliveries are left behind: their leases end with the time that there was", len(rest))

    async def _one(self, delivery: Delivery) -> None:
        kind = self._batches.kinds.get(delivery.envelope.attributes.get("kind", ""))
        needed = BEGIN_WITHIN + (0.0 if kind is None else kind.timeout)
        if self._time_left() < needed:
            log.info("given back: what is left of the time is too short for another attempt")
            return await self._hide(delivery, 0.0)
        await self._hide(delivery, self._time_left() + AFTER_THE_END)
        outage = Outage(random=self._batches.ambient.random)
        too_late = asyncio.get_running_loop().call_later(self._time_left() - needed, self._stop_unless_claimed, delivery, outage)
        self._outages.add(outage)
        try:
            await self._processor(outage, lease=self._time_left()).process(delivery)
        finally:
            self._outages.discard(outage)
            too_late.cancel()

    def _stop_unless_claimed(self, delivery: Delivery, outage: Outage) -> None:
        """Let go of what an outage has kept from being claimed until it is too late for an attempt: none is spent then."""
        if not any(job.delivery is delivery and job.record is not None for job in self._jobs.values()):
            outage.stop()

    async def _hide(self, delivery: Delivery, seconds: float) -> None:
        await give_back(self._dependencies.queue, delivery, seconds=seconds)

    def _processor(self, outage: Outage, *, lease: float) -> DeliveryProcessor:
        """Return what takes one delivery through the protocol, claiming it for so long."""
        batches = self._batches
        return DeliveryProcessor.of(
            self._dependencies,
            settings=batches.settings,
            kinds=batches.kinds,
            runner=batches.runner,
            outage=outage,
            timing=batches.timing,
            jobs=self._jobs,
            ambient=batches.ambient,
            lease=lease,
        )

    @asynccontextmanager
    async def _heartbeat(self) -> AsyncIterator[Heartbeat]:
        yield Heartbeat(
            jobs=self._jobs,
            records=self._dependencies.records,
            queue=self._dependencies.queue,
            publisher=self._batches.publisher,
            lease=self._batches.settings.lease,
            monotonic=self._batches.ambient.monotonic,
            renews=False,
        )


def _check_timeouts(kinds: Mapping[str, Kind], time_left: float) -> None:
    """Refuse kinds whose attempts could outlive the process. A batch begins with all the time that there is, but for part of a second.

    Raises:
        ConfigurationError: it names them.
    """
    longest = max(0.0, math.ceil(time_left) - RESERVE)
    over = [f"{kind.name!r} ({kind.timeout:g} s)" for kind in kinds.values() if kind.timeout > longest]
    if over:
        raise ConfigurationError(
            f"the function has {time_left:.0f} s and needs {RESERVE:g} s beside an attempt, so a timeout may be at most {longest:g} s. "
            f"Over it: {', '.join(over)}. Set OFFPOLL_TIMEOUT or the kind's timeout, or give the function more time"
        )


class DeadLetterBatchWorker:
    """Settles batches of dead letters.

    Args:
        kinds: by name.
        settings: the message window.
        dependencies: for the loop it runs on.
        clock: the wall clock.
    """

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

    async def settle(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Settle a batch. What is not deleted from the queue then comes back; see `BatchWorker.work`."""
        dependencies = replace(self._dependencies, dead_letters=queue)
        one = DeadLetters(dependencies=dependencies, kinds=self._kinds, claimer=self._claimer)
        await _within(time_left() - LEAVE_BEFORE, _begin(deliveries, one.settle, slots=SLOTS))


def _begin(
    deliveries: Collection[Delivery], work: Callable[[Delivery], Coroutine[Any, Any, None]], *, slots: int
) -> set[asyncio.Future[None]]:
    """Begin work on each delivery, on so many at once. Every line of the log names the operation that it is about."""
    free = asyncio.Semaphore(slots)

    async def one(delivery: Delivery) -> None:
        async with free:
            await work(delivery)

    return {asyncio.ensure_future(one(each)) for each in deliveries}


async def _within(seconds: float, tasks: Collection[asyncio.Future[None]]) -> set[asyncio.Future[None]]:
    """Wait at most so long for tasks, and return those that are not done. Raises what one of them raised."""
    if not tasks:
        return set()
    done, rest = await asyncio.wait(tasks, timeout=max(0.0, seconds))
    for each in done:
        each.result()
    return rest
