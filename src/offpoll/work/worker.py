"""One worker: puts its parts together, and decides how it ends. Knows protocols, no adapters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from offpoll.dependencies import Dependencies
from offpoll.kind import Kind
from offpoll.service_times import REPORT_INTERVAL
from offpoll.settings import Settings
from offpoll.work.dead_letters import SLOTS, DeadLetters
from offpoll.work.delivery import DeliveryProcessor
from offpoll.work.handle import HandlerRunner
from offpoll.work.health import Health, State
from offpoll.work.heartbeat import Heartbeat, HeartbeatRunner
from offpoll.work.job import Ambient, Jobs, Stop
from offpoll.work.loop import LONG_POLL, Loop
from offpoll.work.operation_log import Seldom
from offpoll.work.outage import Outage
from offpoll.work.publish import Publisher
from offpoll.work.timing import ServiceTimesBuffer

__all__ = ["Ambient", "Worker"]

log = logging.getLogger(__name__)

#: How long a worker that ends tries to write its last service times, seconds: in an outage that would hold it up, and they are a hint.
LAST_FLUSH = 2.0


class Worker:
    """Works on the operations of some kinds until it is told to end.

    Args:
        dependencies: for the loop it runs on.
        heartbeat_dependencies: opens those of the loop that the heartbeat runs on.
        dead_letters: whether it settles dead letters too.
        long_poll: seconds of one receive.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, Kind],
        settings: Settings,
        dependencies: Dependencies,
        heartbeat_dependencies: Callable[[], AbstractAsyncContextManager[Dependencies]],
        heartbeat: HeartbeatRunner,
        runner: HandlerRunner,
        dead_letters: bool = True,
        long_poll: float = LONG_POLL,
        ambient: Ambient | None = None,
    ) -> None:
        self._settings = settings
        self._ambient = ambient or Ambient()
        self._heartbeat, self._heartbeat_dependencies = heartbeat, heartbeat_dependencies
        self._kinds = kinds
        self._jobs = Jobs()
        self._outage = Outage(random=self._ambient.random)
        self._timing = ServiceTimesBuffer(dependencies.service_times, clock=self._ambient.clock, metrics=dependencies.metrics)
        processor = DeliveryProcessor.of(
            dependencies,
            settings=settings,
            kinds=kinds,
            runner=runner,
            outage=self._outage,
            timing=self._timing,
            jobs=self._jobs,
            ambient=self._ambient,
        )
        self._loops = [
            Loop(
                name="operations",
                queue=dependencies.queue,
                work=processor.process,
                slots=settings.concurrency,
                outage=self._outage,
                wait=long_poll,
            )
        ]
        if dead_letters:
            unsupported = Seldom(self._ambient.monotonic)
            settle = DeadLetters(dependencies=dependencies, kinds=kinds, claimer=processor.claimer, unsupported=unsupported).settle
            self._loops.append(
                Loop(
                    name="dead letters",
                    queue=dependencies.dead_letters,
                    work=settle,
                    slots=SLOTS,
                    outage=self._outage,
                    wait=long_poll,
                )
            )

    @property
    def held(self) -> int:
        """How many operations it holds."""
        return len(self._jobs)

    @property
    def health(self) -> Health:
        """What it does now. Ask on its own loop."""
        if any(loop.stuck for loop in self._loops):
            state = State.STUCK
        elif all(loop.draining for loop in self._loops):
            state = State.DRAINING
        elif self._outage.failing or any(loop.failing for loop in self._loops):
            state = State.FAILING
        else:
            state = State.WORKING
        return Health(state=state, held=self.held)

    async def run(self) -> None:
        """Work until `drain`.

        Raises:
            ConfigurationError: by a queue. What was held has been given back.
            RuntimeError: the heartbeat died: no lease would be kept. What was held has been given back.
        """
        async with self._heartbeat.running(self._make_heartbeat) as heartbeat:
            running = asyncio.get_running_loop().create_task
            flushing, loops = running(self._flush()), [running(loop.run()) for loop in self._loops]
            try:
                await self._until_ended(loops, heartbeat)
            finally:
                for task in (flushing, *loops):
                    task.cancel()
                await self._flush_last()

    async def _until_ended(self, loops: Sequence[asyncio.Task[None]], heartbeat: asyncio.Future[None]) -> None:
        """Wait for the loops. Where one of them or the heartbeat breaks, the others end too, and what is held is given back."""
        rest: set[asyncio.Future[None]] = set(loops)
        while rest:
            done, _ = await asyncio.wait({*rest, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
            rest -= done
            if heartbeat in done or any(task.cancelled() or task.exception() for task in done):
                self.stop()
                await asyncio.gather(*rest, *(loop.emptied() for loop in self._loops), return_exceptions=True)
        for task in loops:
            task.result()
        if heartbeat.done():
            error = None if heartbeat.cancelled() else heartbeat.exception()
            raise RuntimeError("the heartbeat has died, and no lease would be kept: the worker has stopped; start another one") from error

    def drain(self) -> None:
        """Receive nothing more; `run` returns when what is held has ended."""
        for loop in self._loops:
            loop.drain()

    def stop(self) -> None:
        """Drain, and stop the handlers that run: their operations go to another worker at once, with one attempt spent."""
        self.drain()
        self._outage.stop()
        for job in self._jobs:
            job.stop(Stop.SHUTDOWN)

    @asynccontextmanager
    async def _make_heartbeat(self) -> AsyncIterator[Heartbeat]:
        settings = self._settings
        async with self._heartbeat_dependencies() as dependencies:
            yield Heartbeat(
                jobs=self._jobs,
                records=dependencies.records,
                queue=dependencies.queue,
                publisher=Publisher.of(dependencies, settings=settings, kinds=self._kinds, clock=self._ambient.clock),
                lease=settings.lease,
                monotonic=self._ambient.monotonic,
            )

    async def _flush_last(self) -> None:
        try:
            async with asyncio.timeout(LAST_FLUSH):
                await self._timing.flush()
        except TimeoutError:
            log.warning("the last service times were not written within %g s, and are lost: a hint is a little worse", LAST_FLUSH)

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(REPORT_INTERVAL)
            await self._timing.flush()
