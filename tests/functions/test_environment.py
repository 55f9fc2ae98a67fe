"""One loop for the life of an environment, and connections after it was frozen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from offpoll.functions.environment import Environment


class Fixed:
    """A context with plenty of time."""

    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


class Frozen:
    """An environment on its own loop and a wall clock that the test sets, and what happened in it."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.happened: list[str] = []
        self.loop = asyncio.new_event_loop()
        self.environment = Environment(lifespan=self._lifespan(), close=self._close, loop=self.loop, clock=lambda: self.now)

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[str]:
        self.happened.append("entered")
        yield "state"

    async def _close(self) -> None:
        self.happened.append("closed")

    def invoke(self, *, taking: float = 0.0) -> Any:
        async def work() -> Any:
            self.happened.append("work")
            self.now += timedelta(seconds=taking)
            return asyncio.get_running_loop()

        return self.environment.run(work(), context=Fixed())

    def end(self) -> None:
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


@pytest.fixture
def frozen() -> Any:
    made = Frozen()
    yield made
    made.end()


def test_one_loop_and_one_lifespan(frozen: Frozen) -> None:
    """The lifespan is entered at the start, and every invocation runs on the same loop."""
    assert frozen.environment.state == "state"
    assert frozen.happened == ["entered"]
    assert {frozen.invoke(), frozen.invoke(), frozen.invoke()} == {frozen.loop}
    assert frozen.happened == ["entered", "work", "work", "work"]


@pytest.mark.parametrize("seconds", [15.0, 3600.0, -5.0])
def test_thawed(frozen: Frozen, seconds: float) -> None:
    """After a long freeze by the wall clock, or if that was set back, connections are closed before any is used.

    The monotonic clock may have stood still meanwhile, as it does here.
    """
    frozen.invoke()
    frozen.now += timedelta(seconds=seconds)
    frozen.invoke()
    assert frozen.happened[1:] == ["work", "closed", "work"]


def test_a_short_freeze(frozen: Frozen) -> None:
    """Connections are kept after a short freeze; the time that an invocation took does not count."""
    frozen.invoke(taking=100.0)
    frozen.now += timedelta(seconds=14)
    frozen.invoke()
    assert frozen.happened[1:] == ["work", "work"]


def test_a_task_goes_on(frozen: Frozen) -> None:
    """A task that was not finished when its invocation ended goes on in the next one."""
    done: list[str] = []

    async def behind() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append("behind")

    async def begin() -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(behind())

    async def wait(task: asyncio.Task[None]) -> None:
        await task

    task = frozen.environment.run(begin(), context=Fixed())
    frozen.environment.run(wait(task), context=Fixed())
    assert done == ["behind"]


def test_an_invocation_that_raises(frozen: Frozen) -> None:
    """An invocation's error goes to Lambda, and the environment still works."""

    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        frozen.environment.run(fail(), context=Fixed())
    assert frozen.invoke() is frozen.loop
