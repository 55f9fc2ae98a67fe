"""Runs a handler on an input, and says what its return, its exceptions and its stops mean.

returns                      Ended: succeeded, or failed if the result cannot be kept
raises Fail                  Ended: failed for good
raises anything else         Errored: another attempt may help
is stopped                   Stopped: the reason decides what happens next
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from offpoll.deadlines import Deadlines
from offpoll.errors import Fail, HandlerStopped, InvalidInput
from offpoll.kind import Kind
from offpoll.limits import json_error
from offpoll.log_lines import about
from offpoll.object_json import why_unwritable
from offpoll.operation import Operation, Outcome, Status
from offpoll.work.job import Job, Stop, call_threadsafe

__all__ = ["Ended", "Errored", "HandlerCalls", "HandlerRunner", "InProcess", "Stopped", "conclusion", "perform", "too_large"]

log = logging.getLogger(__name__)

#: How long to wait for a stopped handler to end before going on without it, seconds.
GRACE = 1.0

#: After these reasons the runner waits for the handler, up to its timeout: another run follows, and must not overlap this one.
_WAITED_OUT = frozenset({None, Stop.LAPSED, Stop.SHUTDOWN})

Invoke = Callable[[Kind, dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The handler has come to an outcome."""

    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Errored:
    """The handler raised. `code` is the exception's type only, because its text may hold secrets."""

    code: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The handler was told to stop, and either has ended or is no longer waited for."""

    reason: Stop


class HandlerRunner(Protocol):
    """Runs handlers, in this process or in children."""

    async def run(self, job: Job) -> Ended | Errored | Stopped:
        """Run a claimed job's handler."""

    async def vacated(self, job: Job) -> None:
        """Wait until no part of the job runs any longer: a thread cannot be stopped from outside."""


class _News:
    """What the wait for a handler learns: that it has ended, has to stop, or that its time is up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._come = loop.create_future()
        self._loop = loop
        self.time_is_up = False

    def tell(self, _: object = None) -> None:
        if not self._come.done():
            self._come.set_result(None)

    def expire(self) -> None:
        self.time_is_up = True
        self.tell()

    async def come(self) -> None:
        """Wait for the next."""
        await self._come
        self._come = self._loop.create_future()


class InProcess:
    """Runs handlers in this process. `state` is what the lifespan yielded; for the rest see `HandlerCalls`."""

    def __init__(self, *, state: Any, threads: int, result_limit: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._state = state
        self._calls = HandlerCalls(threads=threads, result_limit=result_limit)
        self._monotonic = monotonic
        self._deadlines = Deadlines()
        self._running: dict[str, asyncio.Task[Ended | Errored]] = {}

    async def run(self, job: Job) -> Ended | Errored | Stopped:
        loop, began = asyncio.get_running_loop(), self._monotonic()
        task = self._running[job.token] = loop.create_task(self._calls.call(job, self._state))
        news = _News(loop)

        def stop() -> None:
            self._calls.cancel(job, task)
            news.tell()

        job.begin(now=began, on_stop=lambda: call_threadsafe(loop, stop))
        if job.stop_reason is not None:  # told to stop before it began: no step of it runs
            task.cancel()
        task.add_done_callback(news.tell)
        self._deadlines.add(news, until=loop.time() + job.time_left, loop=loop)
        try:
            await self._wait(job, task, news)
        finally:
            self._deadlines.discard(news)
            job.spent += self._monotonic() - began
            job.end()
        return conclusion(job, task)

    @staticmethod
    async def _wait(job: Job, task: asyncio.Task[Ended | Errored], news: _News) -> None:
        """Wait until the handler has ended, or until its grace after a stop is over."""
        while not task.done() and job.stop_reason in _WAITED_OUT:
            await news.come()
            if news.time_is_up and not task.done():
                job.stop(Stop.TIMED_OUT)
                break
        if not task.done():
            await asyncio.wait({task}, timeout=GRACE)

    async def vacated(self, job: Job) -> None:
        task, thread = self._running.pop(job.token, None), self._calls.forget(job)
        rest: set[asyncio.Future[Any]] = set()
        if task is not None and not task.done():
            rest.add(task)
        if thread is not None and not thread.done():
            rest.add(asyncio.wrap_future(thread))
        if rest:
            log.warning("operation %s: its handler was told to stop and runs on; its slot stays taken", job.message.submission.operation_id)
            await asyncio.wait(rest)
            for each in rest:
                each.cancelled() or each.exception()  # mark it as retrieved: its result no longer matters

    def close(self) -> None:
        """Take no more work. Running threads end on their own."""
        self._calls.close()


class HandlerCalls:
    """Calls handlers: coroutine functions on this loop, plain functions in threads.

    Args:
        threads: how many plain functions run at once. 0 runs them inline and blocks the loop: for simulations.
        result_limit: bytes.
    """

    def __init__(self, *, threads: int, result_limit: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="offpoll-handler") if threads else None
        self._result_limit = result_limit
        self._in_threads: dict[str, Future[Any]] = {}

    async def call(self, job: Job, state: Any) -> Ended | Errored:
        """Call a job's handler; see `perform`."""

        async def invoke(kind: Kind, arguments: dict[str, Any]) -> Any:
            if kind.is_async:
                return await kind.handler(**arguments)
            if self._threads is None:
                return kind.handler(**arguments)
            thread = self._in_threads[job.token] = self._threads.submit(contextvars.copy_context().run, _call_plain, kind, arguments)
            return await asyncio.wrap_future(thread)

        return await perform(job.kind, job.message.body, job.operation(state), invoke=invoke, result_limit=self._result_limit)

    def cancel(self, job: Job, task: asyncio.Task[Ended | Errored]) -> None:
        """Cancel a call if possible. A thread cannot be cancelled: its handler stops at its next `progress()`."""
        thread = self._in_threads.get(job.token)
        if (thread is None or thread.cancel()) and not task.cancelling():  # leave a finished thread: its result is on the way
            task.cancel()

    def forget(self, job: Job) -> Future[Any] | None:
        """Drop a job, and return its thread's future, if it has one."""
        return self._in_threads.pop(job.token, None)

    def close(self) -> None:
        """Take no more calls. Running threads end on their own."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


async def perform(kind: Kind, text: str, operation: Operation, *, invoke: Invoke, result_limit: int) -> Ended | Errored:
    """Parse the input, run the handler and judge its result. All log lines inside carry operation, kind and attempt.

    Raises:
        asyncio.CancelledError, HandlerStopped: it was stopped.
    """
    with about(operation_id=operation.id, kind=kind.name, attempt=operation.attempt):
        return await _perform(kind, text, operation, invoke=invoke, result_limit=result_limit)


async def _perform(kind: Kind, text: str, operation: Operation, *, invoke: Invoke, result_limit: int) -> Ended | Errored:
    try:
        try:
            value = kind.parse(text)
        except InvalidInput as error:
            return _failed("invalid_input", error.detail)
        result = await invoke(kind, _arguments(kind, value, operation))
        if inspect.isawaitable(result):  # a decorator hid a coroutine function
            result = await result
    except Fail as fail:
        return _failed(fail.code, fail.message, **fail.members)
    except (asyncio.CancelledError, HandlerStopped):
        raise
    except BaseException as error:  # SystemExit too: a handler must not end the worker
        log.exception("operation %s: attempt %d raised", operation.id, operation.attempt)
        return Errored(code=type(error).__name__)
    return _succeeded(kind, operation, result, result_limit)


def _arguments(kind: Kind, value: Any, operation: Operation) -> dict[str, Any]:
    arguments = {} if kind.input_parameter is None else {kind.input_parameter: value}
    return arguments if kind.operation_parameter is None else {**arguments, kind.operation_parameter: operation}


def _succeeded(kind: Kind, operation: Operation, result: Any, limit: int) -> Ended:
    try:
        text = kind.dump_result(result)
    except Exception as error:  # your own validator may raise anything
        why = why_unwritable(result, error)
        log.error("operation %s: the result of %r, a %s, cannot be kept: %s", operation.id, kind.name, type(result).__name__, why)
        if why.what == "class":  # the words may repeat what a user's validator said about the value
            return _failed("invalid_result", "The handler's result does not have the type that the handler declares.")
        return _failed("invalid_result", f"The handler's result cannot be written as JSON: {why.words}.")
    size = len(text.encode())
    if size > limit:
        return Ended(outcome=too_large(f"The result has {size} bytes, the limit is {limit}."))
    return Ended(outcome=Outcome(status=Status.SUCCEEDED, result=text))


def too_large(message: str) -> Outcome:
    """Return the outcome of an operation whose result cannot be kept: another attempt would end the same."""
    return Outcome(status=Status.FAILED, error={"code": "result_too_large", "message": message})


def _failed(code: str, message: str, **members: Any) -> Ended:
    return Ended(outcome=Outcome(status=Status.FAILED, error=json_error({"code": code, "message": message, **members})))


def _call_plain(kind: Kind, arguments: dict[str, Any]) -> Any:
    """Call a plain function in its thread."""
    try:
        return kind.handler(**arguments)
    except StopIteration as error:
        # asyncio refuses to set StopIteration on a future. Before 3.12 the future then never completed.
        raise RuntimeError("the handler raised StopIteration") from error


def conclusion(job: Job, handling: asyncio.Future[Ended | Errored]) -> Ended | Errored | Stopped:
    """Say how a run ended.

    A result that came in spite of a stop counts, unless the stop was the timeout. The guard of `decide` sorts out the rest.
    """
    ended = handling.done() and not handling.cancelled() and handling.exception() is None  # also marks an exception as retrieved
    if job.stop_reason is Stop.TIMED_OUT:
        return _failed("timed_out", f"The operation took longer than its timeout of {job.kind.timeout:g} s.")
    if ended:
        result = handling.result()
        if job.stop_reason is None or isinstance(result, Ended):
            return result
    if job.stop_reason is not None:
        return Stopped(reason=job.stop_reason)
    return Errored(code="CancelledError")  # the handler cancelled itself
