"""Runs handlers in child processes (`--processes`), for handlers that hold the GIL or can only be stopped by force.

The parent receives, renews, decides and publishes; a child only runs handlers. The pool decides what a silent or dead child means for the
attempt, and replaces it.

    told to stop ───────── GRACE ───────► still running: kill the child, start another
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from offpoll.errors import ConfigurationError
from offpoll.work.children.messages import Application, ChildSetup
from offpoll.work.children.process import ChildProcess
from offpoll.work.handle import GRACE, Ended, Errored, Stopped, conclusion
from offpoll.work.job import Job, Stop

__all__ = ["ChildPool"]

log = logging.getLogger(__name__)

#: The first and the longest pause before another try to start a child, seconds. Its lifespan may need a dependency that is down.
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


class ChildPool:
    """Runs handlers in child processes, one at a time in each. Enter it as an async context manager to start the children.

    A worker should take as many operations at once as there are children: more would hold claims and wait.

    Args:
        reference, load, result_limit, log_format: see `ChildSetup`.
        processes: how many children.
        monotonic: the clock of leases, seconds.
    """

    def __init__(
        self,
        reference: str,
        *,
        load: Callable[[str], Application],
        processes: int,
        result_limit: int,
        log_format: str = "text",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if processes < 1:
            raise ConfigurationError(f"{processes} processes cannot run anything: at least 1")
        self._setup = ChildSetup(
            reference=reference,
            load=load,
            result_limit=result_limit,
            log_level=logging.getLogger().getEffectiveLevel(),
            log_format=log_format,
        )
        self._names = [f"offpoll-{number}" for number in range(1, processes + 1)]
        self._monotonic = monotonic
        self._children: dict[str, ChildProcess] = {}
        self._idle: list[ChildProcess] = []
        self._changed = asyncio.Event()  # a child is free, or a job that waits for one must stop
        self._killed: dict[str, ChildProcess] = {}
        self._keeping: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> ChildPool:
        """Start the children and wait until all are ready.

        Raises:
            ConfigurationError: a child cannot load the app or enter its lifespan. The message is the child's.
        """
        try:
            for name in self._names:
                self._children[name] = await ChildProcess.start(self._setup, name=name)
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
        """End the children: each leaves its lifespan, and is killed if that takes too long."""
        for task in self._keeping:
            task.cancel()
        if self._keeping:
            await asyncio.wait(self._keeping)
        await asyncio.gather(*(child.end() for child in self._children.values()))

    async def run(self, job: Job) -> Ended | Errored | Stopped:
        """Run a claimed job's handler in the next free child."""
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            stopping.set()
            self._changed.set()

        def on_stop() -> None:
            loop.call_soon_threadsafe(wake)

        job.begin(now=self._monotonic(), on_stop=on_stop)
        handling: asyncio.Future[Ended | Errored] = loop.create_future()
        try:
            child = await self._free_child(job)
            if child is not None:
                handling = await self._in_child(job, child, stopping)
        finally:
            job.end()
        return conclusion(job, handling)

    async def vacated(self, job: Job) -> None:
        """Wait until the child that was killed because of the job is dead. No other part of the job can still run."""
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
        handling, began = child.begin(job), self._monotonic()
        told = asyncio.get_running_loop().create_task(stopping.wait())
        either: set[asyncio.Future[Any]] = {handling, told}
        try:
            await asyncio.wait(either, timeout=job.time_left, return_when=asyncio.FIRST_COMPLETED)
            if not handling.done():
                if job.stop_reason is None:
                    job.stop(Stop.TIMED_OUT)
                child.halt(job.stop_reason or Stop.TIMED_OUT)
                await asyncio.wait({handling}, timeout=GRACE)
        finally:
            job.spent += self._monotonic() - began
            told.cancel()
            if handling.done():
                self._free(child)
            else:
                log.warning("operation %s: its handler did not stop; its process is killed", job.message.submission.operation_id)
                self._killed[job.token] = child
                handling.cancel()
                child.kill()
        return handling

    def _free(self, child: ChildProcess) -> None:
        self._idle.append(child)
        self._changed.set()

    async def _keep(self, name: str) -> None:
        """Replace a child whenever it is gone."""
        while True:
            await asyncio.wait({self._children[name].gone})
            log.info("%s: starting another process", name)
            pause = FIRST_PAUSE
            while not await self._restarted(name):
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _restarted(self, name: str) -> bool:
        try:
            child = self._children[name] = await ChildProcess.start(self._setup, name=name)
            await child.ready()
        except (ConfigurationError, OSError) as error:
            log.error("%s: %s; trying again", name, error)
            await self._children[name].end()
            return False
        self._free(child)
        return True
