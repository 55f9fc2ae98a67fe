"""Runs handlers in children (`--processes`): the answer to handlers that hold the GIL, and to those that can only be stopped by force.

The parent receives, renews, decides and publishes; a child only handles. Decides what a child's silence or death means for the attempt,
and keeps as many children as it was told to. Must not know records, queues or leases.

    told to stop ───────── GRACE ───────► still no answer: the child is killed, another one started
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from offpoll.errors import ConfigurationError
from offpoll.work.children.messages import Application, Errand
from offpoll.work.children.process import ChildProcess
from offpoll.work.handle import GRACE, Ended, Errored, Stopped, conclusion
from offpoll.work.job import Job, Stop

__all__ = ["Processes"]

log = logging.getLogger(__name__)

#: Pauses between attempts to start a child where one does not start: its lifespan may need what is down just now. Seconds.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


class Processes:
    """Runs handlers in child processes, one at a time in each. An async context manager: inside, the children run.

    A worker that uses it should take as many operations at once as there are children: more would hold claims and wait.

    Args:
        reference: names the service, as `orders:app`.
        load: makes the service from that, in the child. A function at the top of a module.
        processes: how many children.
        result_limit: bytes.
        monotonic: the clock of leases.
    """

    def __init__(
        self,
        reference: str,
        *,
        load: Callable[[str], Application],
        processes: int,
        result_limit: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if processes < 1:
            raise ConfigurationError(f"{processes} processes cannot run anything: at least 1")
        self._errand = Errand(reference=reference, load=load, result_limit=result_limit, log_level=logging.getLogger().getEffectiveLevel())
        self._names = [f"offpoll-{number}" for number in range(1, processes + 1)]
        self._monotonic = monotonic
        self._children: dict[str, ChildProcess] = {}
        self._idle: list[ChildProcess] = []
        self._changed = asyncio.Event()  # a child is free, or somebody who waits for one is told to stop
        self._killed: dict[str, ChildProcess] = {}
        self._keeping: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Processes:
        """Start the children, and wait until all can be used.

        Raises:
            ConfigurationError: the service cannot be imported, or its lifespan not entered; with the child's own words.
        """
        try:
            for name in self._names:
                self._children[name] = await ChildProcess.start(self._errand, name=name)
            await asyncio.gather(*(child.ready() for child in self._children.values()))
        except BaseException:
            await self.close()
            raise
        self._idle.extend(self._children.values())
        self._keeping = [asyncio.get_running_loop().create_task(self._keep(name)) for name in self._names]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """End the children: each leaves its lifespan, and is killed where that takes too long."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
        await asyncio.gather(*(child.end() for child in self._children.values()))

    # --- the runner ------------------------------------------------------------------------------

    async def run(self, job: Job) -> Ended | Errored | Stopped:
        """Run a claimed job's handler in the next child that is free."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            stopping.set()
            self._changed.set()

        def on_stop() -> None:
            loop.call_soon_threadsafe(wake)

        job.begin(now=self._monotonic(), on_stop=on_stop)
        answer: asyncio.Future[Ended | Errored] = loop.create_future()
        try:
            child = await self._free_child(job)
            if child is not None:
                answer = await self._in_child(job, child, stopping)
        finally:
            job.end()
        return conclusion(job, answer)

    async def vacated(self, job: Job) -> None:
        """Wait until the child that was killed because of the job is dead; else nothing of it runs any more."""
        child = self._killed.pop(job.token, None)
        if child is not None:
            await asyncio.wait({child.gone})

    async def _free_child(self, job: Job) -> ChildProcess | None:
        while job.stop_reason is None:
            while self._idle:
                child = self._idle.pop()
                if child.usable:
                    return child
            self._changed.clear()
            await self._changed.wait()
        return None

    async def _in_child(self, job: Job, child: ChildProcess, stopping: asyncio.Event) -> asyncio.Future[Ended | Errored]:
        answer, began = child.begin(job), self._monotonic()
        told = asyncio.get_running_loop().create_task(stopping.wait())
        either: set[asyncio.Future[Any]] = {answer, told}
        try:
            await asyncio.wait(either, timeout=job.time_left, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                if job.stop_reason is None:
                    job.stop(Stop.TIMED_OUT)
                child.halt(job.stop_reason or Stop.TIMED_OUT)
                await asyncio.wait({answer}, timeout=GRACE)
        finally:
            job.spent += self._monotonic() - began
            told.cancel()
            if answer.done():
                self._free(child)
            else:
                log.warning("operation %s: its handler did not stop; its process is killed", job.message.submission.operation_id)
                self._killed[job.token] = child
                answer.cancel()
                child.kill()
        return answer

    # --- the children ----------------------------------------------------------------------------

    def _free(self, child: ChildProcess) -> None:
        self._idle.append(child)
        self._changed.set()

    async def _keep(self, name: str) -> None:
        """Start another child whenever one is gone."""
        while True:
            await asyncio.wait({self._children[name].gone})
            log.info("%s: starting another process", name)
            pause = FIRST_PAUSE
            while not await self._restarted(name):
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _restarted(self, name: str) -> bool:
        try:
            child = self._children[name] = await ChildProcess.start(self._errand, name=name)
            await child.ready()
        except (ConfigurationError, OSError) as error:
            log.error("%s: %s; trying again", name, error)
            await self._children[name].end()
            return False
        self._free(child)
        return True
