"""Handlers in this process: threads, stops, and handlers that cannot be stopped."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from tests.support.handler_runs import job_of, ran, real

from offpoll.errors import Fail, HandlerStopped
from offpoll.operation import Operation
from offpoll.work import handle as module
from offpoll.work.handle import Ended, Errored, InProcess, Stopped
from offpoll.work.job import Job, Stop


@real
async def test_a_plain_function_runs_in_a_thread() -> None:
    """A plain function runs in a thread, which sees the caller's context variables, and the loop goes on meanwhile."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("trace")
    threads: list[Any] = []

    def handle(number: int) -> int:
        threads.append((threading.current_thread().name, variable.get()))
        return number

    ended = await ran(handle)
    assert ended.outcome.result == "1"
    assert threads[0][0].startswith("offpoll-handler")
    assert threads[0][1] == "trace"


@real
async def test_a_hidden_coroutine_function() -> None:
    """If a decorator hides a coroutine function, its coroutine is still awaited."""

    async def handle(number: int) -> int:
        return number

    @functools.wraps(handle)
    def hidden(number: int) -> Any:
        return handle(number)

    assert (await ran(hidden)).outcome.result == "1"


def raising(error: BaseException) -> Callable[[int], int]:
    def handle(number: int) -> int:
        raise error

    return handle


@pytest.mark.parametrize("threads", [0, 1])
@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyError("x"), "KeyError"), (SystemExit(1), "SystemExit"), (StopIteration(), "RuntimeError"),
     (asyncio.CancelledError(), "CancelledError"),
     (TimeoutError(), "TimeoutError")],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
def test_what_a_handler_raises(error: BaseException, code: str, threads: int) -> None:
    """Whatever a handler raises, the worker survives and another attempt may follow."""
    assert asyncio.run(ran(raising(error), threads=threads)) == Errored(code=code)


@real
async def test_fail() -> None:
    """`Fail` ends the operation; a code that is not a string becomes one."""

    def handle(number: int) -> int:
        raise Fail(403, "no")  # type: ignore[arg-type]

    ended = await ran(handle)
    assert ended.outcome.error == {"code": "403", "message": "no"}


@real
async def test_a_validator_that_breaks() -> None:
    """If a validator of the app raises on an input, the attempt fails; if it raises on a result, the operation does."""

    def burst(value: int) -> int:
        raise ZeroDivisionError

    broken = Annotated[int, pydantic.AfterValidator(burst)]

    def take(number: Any) -> int:
        return 1

    take.__annotations__["number"] = broken
    assert await ran(take) == Errored(code="ZeroDivisionError")

    def give(number: int) -> Any:
        return 1

    give.__annotations__["return"] = broken
    ended = await ran(give)
    assert ended.outcome.error["code"] == "invalid_result"


@real
async def test_an_endless_result() -> None:
    """A result that contains itself, or is nested too deeply, is invalid."""

    def loop(number: int) -> Any:
        value: list[Any] = []
        value.append(value)
        return value

    def deep(number: int) -> Any:
        value: list[Any] = []
        for _ in range(100_000):
            value = [value]
        return value

    for handler in (loop, deep):
        ended = await ran(handler)
        assert isinstance(ended, Ended)
        assert (ended.outcome.error or {})["code"] == "invalid_result"


class Thread:
    """A plain handler in a thread, which a test holds back by events."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.saw: list[str] = []
        self.runner = InProcess(state=None, threads=1, result_limit=1000, monotonic=time.monotonic)

    def handler(self, *, progress: bool) -> Callable[..., int]:
        def handle(number: int, operation: Operation) -> int:
            self.began.set()
            assert self.go_on.wait(10)
            try:
                if progress:
                    operation.progress(0.5)
            except HandlerStopped:
                self.saw.append("stopped")
                raise
            self.saw.append("returned")
            return number

        return handle

    async def start(self, job: Job) -> asyncio.Task[Any]:
        task = asyncio.create_task(self.runner.run(job))
        await asyncio.to_thread(self.began.wait, 10)
        return task

    async def vacate(self, job: Job) -> None:
        vacating = asyncio.create_task(self.runner.vacated(job))
        done, _ = await asyncio.wait({vacating}, timeout=0.02)
        assert not done
        self.go_on.set()
        await vacating
        self.runner.close()


@real
async def test_a_stop_reaches_a_thread_at_its_next_progress() -> None:
    """A thread stops at its next `progress()`, which raises; the reason says what becomes of the operation."""
    thread = Thread()
    job = job_of(thread.handler(progress=True))
    task = await thread.start(job)
    job.stop(Stop.LOST)
    thread.go_on.set()
    assert await task == Stopped(reason=Stop.LOST)
    assert thread.saw == ["stopped"]
    thread.runner.close()


@real
async def test_a_result_in_spite_of_a_stop_counts() -> None:
    """If a handler ends before it notices a stop, it has a result; the record decides whether that counts."""
    thread = Thread()
    job = job_of(thread.handler(progress=False))
    task = await thread.start(job)
    job.stop(Stop.DECIDED)
    thread.go_on.set()
    ended = await task
    assert isinstance(ended, Ended)
    assert ended.outcome.result == "1"
    thread.runner.close()


@real
async def test_a_shutdown_waits_for_the_thread() -> None:
    """A shutdown waits for the thread: if its claim were released now, another worker would run beside it."""
    thread = Thread()
    job = job_of(thread.handler(progress=True))
    task = await thread.start(job)
    job.stop(Stop.SHUTDOWN)
    done, _ = await asyncio.wait({task}, timeout=0.02)
    assert not done
    thread.go_on.set()
    assert await task == Stopped(reason=Stop.SHUTDOWN)
    thread.runner.close()


@real
async def test_a_thread_that_times_out_keeps_its_slot() -> None:
    """An attempt over its timeout is `timed_out` without waiting for its thread, but the slot stays taken until the thread ends."""
    grace, module.GRACE = module.GRACE, 0.01
    try:
        thread = Thread()
        job = job_of(thread.handler(progress=True), timeout=0.02)
        task = await thread.start(job)
        ended = await task
        assert (ended.outcome.error or {})["code"] == "timed_out"
        assert thread.saw == []
        await thread.vacate(job)
        assert thread.saw == ["stopped"]
    finally:
        module.GRACE = grace


@real
async def test_a_stop_before_the_start() -> None:
    """A job that was told to stop before its handler began does not begin it."""
    began: list[int] = []

    def handle(number: int) -> int:
        began.append(number)
        return number

    runner = InProcess(state=None, threads=1, result_limit=1000, monotonic=time.monotonic)
    job = job_of(handle)
    job.stop(Stop.SHUTDOWN)
    assert await runner.run(job) == Stopped(reason=Stop.SHUTDOWN)
    assert began == []
    runner.close()


@real
async def test_a_coroutine_that_will_not_stop() -> None:
    """The runner waits for a coroutine that swallows its cancellation, and its result counts."""
    going = asyncio.Event()

    async def handle(number: int) -> int:
        going.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return number

    runner = InProcess(state=None, threads=0, result_limit=1000, monotonic=time.monotonic)
    job = job_of(handle)
    task = asyncio.create_task(runner.run(job))
    await going.wait()
    job.stop(Stop.LAPSED)
    assert isinstance(await task, Ended)
