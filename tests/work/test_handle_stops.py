"""Handlers that do not stop at once: who waits for them, and for how long."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pydantic
import pytest
from tests.support.handler_runs import job_of, ran, real

from offpoll.work import handle as module
from offpoll.work.handle import Ended, InProcess, Stopped
from offpoll.work.job import Job, Stop


@pytest.fixture(autouse=True)
def grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the grace: these threads run until their test lets them go."""
    monkeypatch.setattr(module, "GRACE", 0.01)


class Hung:
    """A plain handler that hangs until it is let go."""

    def __init__(self) -> None:
        self.began, self.let_go = threading.Event(), threading.Event()
        self.runner = InProcess(state=None, threads=1, result_limit=1000, monotonic=time.monotonic)

    def handle(self, number: int) -> int:
        self.began.set()
        assert self.let_go.wait(10)
        return number

    async def start(self, *, timeout: float = 60) -> tuple[Job, asyncio.Task[object]]:
        job = job_of(self.handle, timeout=timeout)
        task: asyncio.Task[object] = asyncio.create_task(self.runner.run(job))
        await asyncio.to_thread(self.began.wait, 10)
        return job, task

    async def end(self, job: Job) -> None:
        self.let_go.set()
        await self.runner.vacated(job)
        self.runner.close()


def hung(test: Callable[[Hung], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        await test(Hung())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return real(run)


@hung
async def test_a_lapse_does_not_end_the_timeout(at: Hung) -> None:
    """A handler that hangs after its lease lapsed still times out when its time is over."""
    job, task = await at.start(timeout=0.05)
    job.stop(Stop.LAPSED)
    ended = await asyncio.wait_for(task, 5)
    assert isinstance(ended, Ended)
    assert (ended.outcome.error or {})["code"] == "timed_out"
    assert job.spent >= 0.05
    await at.end(job)


@hung
async def test_a_second_run_gets_the_rest(at: Hung) -> None:
    """A second run of an attempt has only the time that the first one left of the timeout."""
    job = job_of(at.handle, timeout=1000)
    job.spent = 999.98
    ended = await asyncio.wait_for(at.runner.run(job), 5)
    assert isinstance(ended, Ended)
    assert (ended.outcome.error or {})["code"] == "timed_out"
    await at.end(job)


@pytest.mark.parametrize("reason", [Stop.DECIDED, Stop.LOST])
def test_a_decision_does_not_wait_for_the_thread(reason: Stop) -> None:
    """If no other run can follow, a handler that does not stop is left behind after a grace; its slot waits until it ends."""

    async def main() -> None:
        at = Hung()
        job, task = await at.start()
        job.stop(reason)
        assert await asyncio.wait_for(task, 5) == Stopped(reason=reason)
        vacating = asyncio.create_task(at.runner.vacated(job))
        done, _ = await asyncio.wait({vacating}, timeout=0.02)
        assert not done
        at.let_go.set()
        await vacating
        at.runner.close()

    asyncio.run(main())


@pytest.mark.parametrize("reason", [Stop.LAPSED, Stop.SHUTDOWN])
def test_a_lapse_and_a_shutdown_wait_for_the_thread(reason: Stop) -> None:
    """If another run can follow, the runner waits for the handler beyond its grace, so that they do not overlap."""

    async def main() -> None:
        at = Hung()
        job, task = await at.start()
        job.stop(reason)
        done, _ = await asyncio.wait({task}, timeout=0.05)
        assert not done
        await at.end(job)
        assert isinstance(await task, Ended)

    asyncio.run(main())


@hung
async def test_a_lapse_that_turns_out_to_be_a_loss(at: Hung) -> None:
    """If the heartbeat learns after a lapse that the claim is lost, the runner stops waiting for the thread."""
    job, task = await at.start()
    job.stop(Stop.LAPSED)
    done, _ = await asyncio.wait({task}, timeout=0.02)
    assert not done
    job.stop(Stop.LOST)
    assert await asyncio.wait_for(task, 5) == Stopped(reason=Stop.LOST)
    await at.end(job)


@real
async def test_a_second_stop_does_not_disturb_the_cleaning_up() -> None:
    """A coroutine is cancelled only once, so a second reason does not interrupt its `finally`."""
    going, clean, cleaned = asyncio.Event(), asyncio.Event(), []

    async def handle(number: int) -> int:
        going.set()
        try:
            await asyncio.Event().wait()
        finally:
            await clean.wait()
            cleaned.append(number)
        return number

    runner = InProcess(state=None, threads=0, result_limit=1000, monotonic=time.monotonic)
    job = job_of(handle)
    task = asyncio.create_task(runner.run(job))
    await going.wait()
    job.stop(Stop.LAPSED)
    await asyncio.sleep(0)
    job.stop(Stop.SHUTDOWN)
    await asyncio.sleep(0)
    clean.set()
    assert await task == Stopped(reason=Stop.SHUTDOWN)
    assert cleaned == [1]


class Receipt(pydantic.BaseModel):
    card: int


def test_what_a_handler_returned_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log describes an invalid result by place and reason, never by its values."""

    def wrong(number: int) -> Receipt:
        return {"card": "4111-SECRET"}  # type: ignore[return-value]

    def unsayable(number: int) -> float:
        return float("nan")

    for handler in (wrong, unsayable):
        ended = asyncio.run(ran(handler))
        assert ended.outcome.error["code"] == "invalid_result"
    texts = [each.getMessage() for each in caplog.records]
    assert "card: Input should be a valid integer" in texts[0]
    assert "NaN and Infinity are not JSON" in texts[1]
    assert "SECRET" not in "".join(texts)
    assert not any(each.exc_info for each in caplog.records)
