"""A batch of deliveries, worked on in the time that there is: a worker where somebody else receives, and nothing runs in between.

Decides what follows from a known end. Must not know who delivers, nor what the queue does with what is not deleted.

    0 ─────────────────────────────────────────────────────────── 30 s ──────── 10 s ───── 2 s ─── end
    each delivery: visibility until 30 s after the end,           all timeouts  handlers   what is left
    then a claim whose lease ends with the time                   are over      are told   is abandoned
                                                                                to stop

So no lease has to be renewed. Where the process is killed, its messages come back soon after the end, and find the leases over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from offpoll.dependencies import Dependencies
from offpoll.errors import ConfigurationError, DependencyError
from offpoll.forecast import Forecast
from offpoll.kind import Kind
from offpoll.log_lines import about
from offpoll.queue import Delivery, Queue
from offpoll.settings import Settings
from offpoll.work.claim import Claimer
from offpoll.work.dead_letters import DeadLetters
from offpoll.work.handle import HandlerRunner
from offpoll.work.heartbeat import Heartbeat, HeartbeatTask
from offpoll.work.job import Job, Stop
from offpoll.work.outage import Outage
from offpoll.work.parking import Parking
from offpoll.work.process import Processor
from offpoll.work.publish import Publisher
from offpoll.work.timing import FLUSH_INTERVAL, ServiceTimesBuffer
from offpoll.work.worker import DEAD_LETTER_SLOTS, LAST_FLUSH, Ambient

__all__ = ["RESERVE", "Batches"]

log = logging.getLogger(__name__)

#: A message comes back so long after the time is over, seconds: nobody should meet a lease that is about to end.
AFTER_THE_END = 30.0

#: Every timeout has to end so long before the time does, seconds: an outcome is to be recorded and published even in a short outage.
RESERVE = 30.0

#: With less than its timeout and so much more an attempt is not begun, seconds. Less than RESERVE: what comes first has used up a little.
BEGIN_WITHIN = 15.0

#: So long before the end handlers are told to stop, seconds, and steps to give up; their operations are given back.
STOP_BEFORE = 10.0

#: So long before the end nothing is waited for any more, seconds: the answer still has to be given.
LEAVE_BEFORE = 2.0

TimeLeft = Callable[[], float]


@dataclass(kw_only=True)
class Batches:
    """Works on batches, one after the other.

    Args:
        kinds: by name.
        settings: limits and concurrency. Their lease is not used: the time that is left is the lease.
        lifetime: seconds after which a record counts as absent.
        dependencies: for the loop it runs on.
        runner: where handlers run.
        ambient: clocks and randomness.
    """

    kinds: Mapping[str, Kind]
    settings: Settings
    lifetime: float
    dependencies: Dependencies
    runner: HandlerRunner
    ambient: Ambient = field(default_factory=Ambient)

    def __post_init__(self) -> None:
        settings, dependencies = self.settings, self.dependencies
        forecast = Forecast(
            queue=dependencies.queue,
            service_times=dependencies.service_times,
            expected_service_time=settings.expected_service_time,
            concurrency=settings.concurrency,
        )
        self._publisher = Publisher(board=dependencies.board, forecast=forecast, max_updates=settings.max_updates, clock=self.ambient.clock)
        self._timing = ServiceTimesBuffer(dependencies.service_times)
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
        check_timeouts(self.kinds, time_left())
        shift = _Shift(batches=self, dependencies=replace(self.dependencies, queue=queue), time_left=time_left)
        await shift.work(deliveries)
        await self._flush(time_left)

    async def settle(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Settle a batch of dead letters. What is not deleted from the queue then comes back."""
        dependencies = replace(self.dependencies, dead_letters=queue)
        claimer = self.claimer(self.settings.lease)
        parking = Parking.of(dependencies, claimer.lifetime, queue=queue)
        settle = DeadLetters(dependencies=dependencies, kinds=self.kinds, claimer=claimer, parking=parking).settle
        slots = asyncio.Semaphore(DEAD_LETTER_SLOTS)

        async def one(delivery: Delivery) -> None:
            async with slots:
                with _about(delivery):
                    await settle(delivery)

        await _within(max(0.0, time_left() - LEAVE_BEFORE), [asyncio.ensure_future(one(each)) for each in deliveries])

    def claimer(self, lease: float) -> Claimer:
        """Return what claims for so long."""
        return Claimer(
            records=self.dependencies.records,
            lease=lease,
            window=self.settings.message_window,
            lifetime=self.lifetime,
            clock=self.ambient.clock,
        )

    def heartbeat(self, jobs: dict[str, Job], dependencies: Dependencies) -> Heartbeat:
        """Return what publishes the progress of these jobs."""
        return Heartbeat(
            jobs=jobs,
            records=dependencies.records,
            queue=dependencies.queue,
            publisher=self._publisher,
            lease=self.settings.lease,
            monotonic=self.ambient.monotonic,
            renews=False,
        )

    def processor(self, shift: _Shift, *, lease: float) -> Processor:
        """Return what takes one delivery through the protocol, claiming it for so long."""
        claimer = self.claimer(lease)
        return Processor(
            dependencies=shift.dependencies,
            kinds=self.kinds,
            claimer=claimer,
            runner=self.runner,
            outage=shift.outage,
            parking=Parking.of(shift.dependencies, claimer.lifetime, queue=shift.dependencies.queue),
            timing=self._timing,
            jobs=shift.jobs,
            lease=lease,
            backoff=self.settings.backoff,
            token=self.ambient.token,
            random=self.ambient.random,
            monotonic=self.ambient.monotonic,
        )

    async def _flush(self, time_left: TimeLeft) -> None:
        """Hand on what was measured. Not after every batch: a hint is not worth a request for each short operation."""
        now = self.ambient.clock()
        if self._flushed_at is not None and now - self._flushed_at < timedelta(seconds=FLUSH_INTERVAL):
            return
        self._flushed_at = now
        try:
            async with asyncio.timeout(max(0.0, min(LAST_FLUSH, time_left() - LEAVE_BEFORE))):
                await self._timing.flush()
        except TimeoutError:
            log.warning("service times were not written within %g s, and are lost: a hint is a little worse", LAST_FLUSH)


@dataclass(kw_only=True)
class _Shift:
    """One batch in work."""

    batches: Batches
    dependencies: Dependencies
    time_left: TimeLeft

    def __post_init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.outage = Outage(random=self.batches.ambient.random)
        self._slots = asyncio.Semaphore(self.batches.settings.concurrency)

    async def work(self, deliveries: Sequence[Delivery]) -> None:
        async with HeartbeatTask().running(self._heartbeat):
            tasks = [asyncio.ensure_future(self._one(each)) for each in deliveries]
            rest = await _within(max(0.0, self.time_left() - STOP_BEFORE), tasks)
            if rest:
                log.warning("%d operations have not ended %g s before the function's time is over: stopping", len(rest), STOP_BEFORE)
                self.outage.stop()
                for job in list(self.jobs.values()):
                    job.stop(Stop.SHUTDOWN)
                rest = await _within(max(0.0, self.time_left() - LEAVE_BEFORE), rest)
            if rest:
                log.error("%d operations are left behind: their leases end with the function's time", len(rest))

    async def _one(self, delivery: Delivery) -> None:
        async with self._slots:
            with _about(delivery):
                if self.time_left() < self._needs(delivery):
                    log.info("given back: what is left of the function's time is too short for another attempt")
                    return await self._hide(delivery, 0.0)
                await self._hide(delivery, self.time_left() + AFTER_THE_END)
                await self.batches.processor(self, lease=self.time_left()).process(delivery)

    def _needs(self, delivery: Delivery) -> float:
        kind = self.batches.kinds.get(delivery.envelope.attributes.get("kind", ""))
        return BEGIN_WITHIN + (0.0 if kind is None else kind.timeout)

    async def _hide(self, delivery: Delivery, seconds: float) -> None:
        try:
            await self.dependencies.queue.hide(delivery, seconds=seconds)
        except (DependencyError, ConfigurationError) as error:
            # It stays hidden for as long as the queue's own setting says, and comes back later than it could.
            log.warning("a message's visibility could not be set: %s", error)

    @asynccontextmanager
    async def _heartbeat(self) -> AsyncIterator[Heartbeat]:
        yield self.batches.heartbeat(self.jobs, self.dependencies)


def check_timeouts(kinds: Mapping[str, Kind], time_left: float) -> None:
    """Refuse kinds whose attempts could outlive the process.

    Args:
        kinds: by name.
        time_left: seconds, at the beginning of a batch: all that there are, but for a fraction of the first.

    Raises:
        ConfigurationError: it names them.
    """
    longest = max(0.0, float(-(-time_left // 1)) - RESERVE)
    over = [f"{kind.name!r} ({kind.timeout:g} s)" for kind in kinds.values() if kind.timeout > longest]
    if over:
        raise ConfigurationError(
            f"the function has {time_left:.0f} s and needs {RESERVE:g} s beside an attempt, so a timeout may be at most {longest:g} s. "
            f"Over it: {', '.join(over)}. Set OFFPOLL_TIMEOUT or the kind's timeout, or give the function more time"
        )


def _about(delivery: Delivery) -> AbstractContextManager[None]:
    attributes = delivery.envelope.attributes
    return about(operation_id=attributes.get("operation_id", "-"), kind=attributes.get("kind", "-"))


async def _within(seconds: float, tasks: Collection[asyncio.Future[None]]) -> set[asyncio.Future[None]]:
    """Wait so long for tasks, and return those that are not done.

    Raises:
        Exception: one of them did.
    """
    if not tasks:
        return set()
    done, rest = await asyncio.wait(tasks, timeout=seconds)
    for each in done:
        each.result()
    return rest
