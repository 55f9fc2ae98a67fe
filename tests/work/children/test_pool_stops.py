"""Stopping handlers in child processes: they are told first, and killed if that does not help."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.children import alive, begun, bounded, make_job, pid, result, running, until

from offpoll.work.handle import Ended, Stopped
from offpoll.work.job import Stop


@pytest.mark.parametrize("kind", ["report", "report_until_stopped"])
@pytest.mark.parametrize("reason", [Stop.LOST, Stop.DECIDED, Stop.LAPSED, Stop.SHUTDOWN])
def test_stop(apps: ModuleType, kind: str, reason: Stop) -> None:
    """A stop cancels a coroutine, and ends a plain function at its next `progress()`; the child stays."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind)
            run = await begun(runner, job)
            job.stop(reason)
            assert await run == Stopped(reason=reason)
            await runner.vacated(job)
            assert await pid(runner, apps) == before

    bounded(main())


def test_result_in_spite_of_a_stop(apps: ModuleType) -> None:
    """A result counts even if the handler was told to stop."""

    async def main() -> None:
        async with running(apps) as runner:
            job = make_job(apps, "finish_anyway")
            run = await begun(runner, job)
            job.stop(Stop.LAPSED)
            ended = await run
            assert isinstance(ended, Ended)
            assert ended.outcome.result == '"done in spite of it"'

    bounded(main())


@pytest.mark.parametrize(("kind", "stays"), [("sleep", True), ("never_report", False)])
def test_timeout(apps: ModuleType, kind: str, stays: bool) -> None:
    """An attempt over its timeout is `timed_out`; if the handler does not stop, its child is replaced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind, 3600)
            ended = await runner.run(job)
            assert isinstance(ended, Ended)
            assert (ended.outcome.error or {})["code"] == "timed_out"
            await runner.vacated(job)
            assert alive(before) is stays
            assert (await pid(runner, apps) == before) is stays

    bounded(main())


@pytest.mark.parametrize("kind", ["block", "hold_gil_for_ever"])
def test_stop_by_force(apps: ModuleType, kind: str, tmp_path: Path) -> None:
    """A handler that does not stop is killed with its child: once `vacated` returns nothing of it runs, and the pool works on."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, kind, str(tmp_path / "go"))
            run = await begun(runner, job)
            (tmp_path / "go").touch()
            job.stop(Stop.LOST)
            assert await run == Stopped(reason=Stop.LOST)
            await runner.vacated(job)
            assert not alive(before)
            assert await pid(runner, apps) != before

    bounded(main())


def test_stop_while_waiting(apps: ModuleType) -> None:
    """A job that is stopped while it waits for a free child takes none."""

    async def main() -> None:
        async with running(apps) as runner:
            first, second = make_job(apps, "report"), make_job(apps, "where")
            run = await begun(runner, first)
            waiting = asyncio.create_task(runner.run(second))
            await until(lambda: second.running)
            second.stop(Stop.SHUTDOWN)
            assert await waiting == Stopped(reason=Stop.SHUTDOWN)
            first.stop(Stop.SHUTDOWN)
            assert await run == Stopped(reason=Stop.SHUTDOWN)
            assert await pid(runner, apps)

    bounded(main())


def test_signals(apps: ModuleType) -> None:
    """SIGTERM and SIGINT, which reach the whole group, do not end a handler, but do end processes that it started."""

    async def main() -> None:
        async with running(apps) as runner:
            ended = [-signal.SIGTERM, -signal.SIGTERM]
            assert await result(runner, make_job(apps, "terminate_others")) == ended

    bounded(main())


def test_cancelled_run(apps: ModuleType) -> None:
    """Cancelling a run kills its child, because a handler that runs unobserved could not be fenced."""

    async def main() -> None:
        async with running(apps) as runner:
            before = await pid(runner, apps)
            job = make_job(apps, "block", 3600)
            run = await begun(runner, job)
            run.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await run
            await runner.vacated(job)
            assert not alive(before)
            assert await pid(runner, apps) != before

    bounded(main())
