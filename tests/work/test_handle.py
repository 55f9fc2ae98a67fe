"""Handlers in this process: threads, stops, and what cannot be stopped."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import pydantic
import pytest

from offpoll.errors import Fail, HandlerStopped
from offpoll.kind import Kind
from offpoll.operation import Operation, Record, Submission
from offpoll.queue import Delivery, Message
from offpoll.work import handle as module
from offpoll.work.handle import Ended, Errored, InProcess, Stopped
from offpoll.work.job import Job, Stop

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=NOW)


def job_of(handler: Callable[..., Any], *, body: str = "1", **limits: Any) -> Job:
    message = Message(submission=SUBMISSION, body=body)
    record = Record(submission=SUBMISSION, attempt=2, token="t", expires_at=NOW)
    return Job(
        delivery=Delivery(envelope=message.to_envelope(), receipt="r"),
        message=message,
        kind=Kind.of("order", handler, **limits),
        token="t",
        record=record,
    )


async def ran(handler: Callable[..., Any], *, threads: int = 1, body: str = "1", **limits: Any) -> Any:
    runner = InProcess(state=None, threads=threads, result_limit=1000, monotonic=time.monotonic)
    job = job_of(handler, body=body, **limits)
    try:
        ended = await runner.run(job)
        await runner.vacated(job)
        return ended
    finally:
        runner.close()


def real(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on a real loop: threads and virtual time do not mix. Nothing in it sleeps; it waits for events."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@real
async def test_a_plain_function_runs_in_a_thread() -> None:
    """The loop goes on while it works, and context variables are there."""
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
    """A coroutine function that a decorator hides is awaited."""

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
    """Whatever it raises, the worker lives, and another attempt may help."""
    assert asyncio.run(ran(raising(error), threads=threads)) == Errored(code=code)


@real
async def test_fail() -> None:
    """`Fail` ends it; a code that is not a string becomes one."""

    def handle(number: int) -> int:
        raise Fail(403, "no")  # type: ignore[arg-type]

    ended = await ran(handle)
    assert ended.outcome.error == {"code": "403", "message": "no"}


@real
async def test_a_validator_that_breaks() -> None:
    """A validator of the service's own may raise anything: for an input that is an attempt, for a result the end."""

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
async def test_a_result_without_end() -> None:
    """A result that contains itself, or is nested without end, is an invalid one."""

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
    """A plain handler that a test holds by events, in a thread."""

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
    """A thread is not stopped from outside: it raises at its next `progress()`, and the reason says what becomes of it."""
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
    """A handler that ends before it notices a stop has a result: whether it may be kept, the record tells."""
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
    """Told to stop, a thread is waited for: were its claim released, another worker would run beside it."""
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
    """Its outcome is decided without it; what surrounds it, and its slot, wait for its end."""
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
    """A worker that was told to stop does not start a handler any more."""
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
    """A coroutine that swallows its cancellation is waited for; its result counts."""
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
