"""Where the heartbeat runs: in a task or a thread that begins and ends with the worker, and whose death is noticed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.support.heartbeats import Beating

from offpoll.errors import ConfigurationError
from offpoll.testing import run_virtual
from offpoll.work.heartbeat import Heartbeat, HeartbeatRunner, HeartbeatTask, HeartbeatThread
from offpoll.work.job import Jobs


def test_a_task_ends_with_its_context() -> None:
    """A heartbeat that runs as a task ends with its worker."""

    async def main() -> None:
        at = Beating()

        @asynccontextmanager
        async def make() -> AsyncIterator[Heartbeat]:
            yield at.heartbeat

        await at.begin()
        async with HeartbeatTask().running(make):
            await asyncio.sleep(25)
        beats = at.on_records.count("renew")
        await asyncio.sleep(100)
        assert beats == at.on_records.count("renew") == 2

    run_virtual(main())


def test_a_thread_beats_while_the_loop_is_blocked() -> None:
    """A handler that blocks the loop keeps its lease, because the heartbeat has its own thread, which ends with the worker."""
    beaten = threading.Event()

    async def main() -> None:
        @asynccontextmanager
        async def make() -> AsyncIterator[Heartbeat]:
            at = Beating()
            job = await at.begin()
            job.last_beat = job.last_beat_try = time.monotonic() - 1000
            at.heartbeat.monotonic = time.monotonic
            at.on_queue.meanwhile("hide", told)
            yield at.heartbeat

        async def told() -> None:
            beaten.set()

        async with HeartbeatThread().running(make):
            assert beaten.wait(10)  # blocks this loop

    asyncio.run(main())
    assert not [thread for thread in threading.enumerate() if thread.name == "offpoll-heartbeat"]


def test_a_thread_sleeps_until_there_is_a_job() -> None:
    """A job that this loop takes wakes the heartbeat's thread, while this loop is blocked too."""
    looked, jobs = threading.Event(), Jobs()

    async def main() -> None:
        @asynccontextmanager
        async def make() -> AsyncIterator[Heartbeat]:
            at = Beating()
            at.heartbeat.jobs, at.heartbeat.on_look = jobs, looked.set
            yield at.heartbeat

        async with HeartbeatThread().running(make):
            job = await Beating().begin()
            assert not looked.is_set()
            jobs.add(job)
            assert looked.wait(10)  # blocks this loop
            jobs.remove(job)

    asyncio.run(main())


def test_a_thread_that_cannot_start() -> None:
    """If the heartbeat's dependencies cannot be made, the worker's start raises the error."""

    async def main() -> None:
        @asynccontextmanager
        async def make() -> AsyncIterator[Heartbeat]:
            raise ConfigurationError("no such table")
            yield

        with pytest.raises(ConfigurationError, match="no such table"):
            async with HeartbeatThread().running(make):
                pass

    asyncio.run(main())


@pytest.mark.parametrize("runner", [HeartbeatTask(), HeartbeatThread()], ids=["task", "thread"])
def test_a_heartbeat_that_dies_is_noticed(runner: HeartbeatRunner) -> None:
    """The worker learns that its heartbeat has died, and of what error."""

    async def main() -> None:
        class Dying:
            async def run(self) -> None:
                await asyncio.sleep(0)
                raise ZeroDivisionError

        @asynccontextmanager
        async def make() -> AsyncIterator[Any]:
            yield Dying()

        async with runner.running(make) as died:
            done, _ = await asyncio.wait({died}, timeout=10)
            assert done
            assert isinstance(died.exception(), ZeroDivisionError)

    asyncio.run(main())
