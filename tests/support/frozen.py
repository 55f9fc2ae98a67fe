"""A worker whose process can be stopped and continued, as SIGSTOP and SIGCONT do, on virtual time.

While it is stopped none of its calls goes out, no answer reaches it, and its clocks stand still; when it is continued, they jump. What its
handler awaits goes on meanwhile: on waking up it has just ended.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from tests.support.lab import Lab

from offpoll.dependencies import Dependencies
from offpoll.testing.virtual import START, VirtualLoop
from offpoll.work.handle import InProcess
from offpoll.work.heartbeat import HeartbeatTask
from offpoll.work.worker import Ambient, Worker

__all__ = ["Process", "process"]


class Process:
    """What can be stopped: the clocks, and the way to everything outside."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop, self._stopped_at = loop, 0.0
        self._goes = asyncio.Event()
        self._goes.set()

    def stop(self) -> None:
        """SIGSTOP."""
        self._stopped_at = self._loop.time()
        self._goes.clear()

    def resume(self) -> None:
        """SIGCONT."""
        self._goes.set()

    def monotonic(self) -> float:
        return self._loop.time() if self._goes.is_set() else self._stopped_at

    def clock(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    def reaching(self, target: Any) -> Any:
        """Return a stand-in for something outside, which only a process that goes can reach."""
        goes = self._goes

        class Reached:
            def __getattr__(self, name: str) -> Any:
                method = getattr(target, name)
                if not inspect.iscoroutinefunction(method):
                    return method

                async def call(*args: Any, **kwargs: Any) -> Any:
                    await goes.wait()
                    answer = await method(*args, **kwargs)
                    await goes.wait()
                    return answer

                return call

        return Reached()


@contextmanager
def process(one: Lab) -> Iterator[Process]:
    """Start a worker in a process of its own. It goes on at the end, so that the lab can end it: also where the test has failed."""
    system, own = one.system, Process(one.system.loop)
    system._workers.append((worker := _worker(one, own), system.loop.create_task(worker.run())))
    try:
        yield own
    finally:
        own.resume()


def _worker(one: Lab, process: Process) -> Worker:
    system = one.system
    service, settings = system.service, system.service.settings
    given = service.dependencies
    reached = {name: process.reaching(getattr(given, name)) for name in ("queue", "dead_letters", "parking", "records", "service_times")}
    board = replace(given.board, store=process.reaching(system.store), clock=process.clock)
    own = Dependencies(board=board, **reached)

    @asynccontextmanager
    async def same() -> AsyncIterator[Dependencies]:
        yield own

    runner = InProcess(state=service.state, threads=0, result_limit=settings.result_limit, monotonic=process.monotonic)
    return Worker(
        kinds=service.kinds,
        settings=settings,
        dependencies=own,
        heartbeat_dependencies=same,
        heartbeat=HeartbeatTask(),
        runner=runner,
        dead_letters=False,
        ambient=Ambient(clock=process.clock, monotonic=process.monotonic, random=lambda: 0.5, token=lambda: f"process {one.time}"),
    )
