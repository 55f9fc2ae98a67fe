"""A worker that a test can freeze and resume, as SIGSTOP and SIGCONT do, on virtual time.

While it is frozen, it sends no call, receives no answer, and its clocks stand still. When it resumes, its clocks jump; the monotonic one
does not if it is `uncounted`, as in a suspended machine. Whatever its handler awaits goes on meanwhile, and appears to have just ended.
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

__all__ = ["FreezableProcess", "freezable_worker"]


class FreezableProcess:
    """A process that can be frozen: its clocks, and its access to everything outside."""

    def __init__(self, loop: VirtualLoop, *, uncounted: bool = False) -> None:
        self._loop, self._frozen_at, self._uncounted, self._missed = loop, 0.0, uncounted, 0.0
        self._runs = asyncio.Event()
        self._runs.set()

    def freeze(self) -> None:
        """Do as SIGSTOP does."""
        self._frozen_at = self._loop.time()
        self._runs.clear()

    def resume(self) -> None:
        """Do as SIGCONT does."""
        if self._uncounted and not self._runs.is_set():
            self._missed += self._loop.time() - self._frozen_at
        self._runs.set()

    def monotonic(self) -> float:
        return self._time() - self._missed

    def clock(self) -> datetime:
        return START + timedelta(seconds=self._time())

    def _time(self) -> float:
        return self._loop.time() if self._runs.is_set() else self._frozen_at

    def reaching(self, target: Any) -> Any:
        """Return a stand-in for something outside, which only a running process can reach."""
        runs = self._runs

        class Reached:
            def __getattr__(self, name: str) -> Any:
                method = getattr(target, name)
                if not inspect.iscoroutinefunction(method):
                    return method

                async def call(*args: Any, **kwargs: Any) -> Any:
                    await runs.wait()
                    answer = await method(*args, **kwargs)
                    await runs.wait()
                    return answer

                return call

        return Reached()


@contextmanager
def freezable_worker(one: Lab, *, uncounted: bool = False) -> Iterator[FreezableProcess]:
    """Start a worker in a freezable process. It resumes at the end, even if the test failed, so that the lab can end it."""
    system, process = one.system, FreezableProcess(one.system.loop, uncounted=uncounted)
    system._workers.append((worker := _worker(one, process), system.loop.create_task(worker.run())))
    try:
        yield process
    finally:
        process.resume()


def _worker(one: Lab, process: FreezableProcess) -> Worker:
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
