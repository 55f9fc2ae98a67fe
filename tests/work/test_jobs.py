"""The jobs that a worker holds, and how they wake who waits for one."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from offpoll.testing import run_virtual
from offpoll.work.job import Job, Jobs


def job(token: str) -> Job:
    return Job(delivery=Mock(), message=Mock(), kind=Mock(), token=token)


def test_jobs_come_and_go_while_they_are_gone_through() -> None:
    """Who goes through them sees those that were held at the beginning."""
    jobs, first, second = Jobs(), job("a"), job("b")
    jobs.add(first)
    jobs.add(second)
    seen = []
    for each in jobs:
        seen.append(each)
        jobs.remove(each)
        jobs.add(job(each.token + "'"))
    assert seen == [first, second]
    assert len(jobs) == 2


def test_a_job_that_is_held_already_is_not_waited_for() -> None:
    """`some` returns at once where there is a job."""

    async def main() -> None:
        jobs = Jobs()
        jobs.add(job("a"))
        await jobs.some()

    run_virtual(main())


def test_each_wait_is_woken_once() -> None:
    """A job wakes who waits; the next one finds nobody asleep, and whoever waits again is woken again."""

    async def main() -> None:
        jobs, first, second = Jobs(), job("a"), job("b")
        for _ in range(2):
            waiting = asyncio.create_task(jobs.some())
            await asyncio.sleep(1)
            assert not waiting.done()
            jobs.add(first)
            jobs.add(second)
            await asyncio.wait_for(waiting, 1)
            jobs.remove(first)
            jobs.remove(second)

    run_virtual(main())


def test_a_loop_that_has_ended_is_not_woken() -> None:
    """A worker takes a job in the moment in which its heartbeat dies: that costs the job nothing."""
    jobs = Jobs()

    async def main() -> None:
        task = asyncio.create_task(jobs.some())
        await asyncio.sleep(0)
        jobs._wake, wake = None, jobs._wake
        task.cancel()
        await asyncio.wait({task})
        jobs._wake = wake

    asyncio.run(main())
    jobs.add(job("a"))
    assert len(jobs) == 1
