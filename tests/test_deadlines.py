"""Deadlines and time limits, on virtual time."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextvars import Context
from typing import Any

import pytest

from offpoll.deadlines import Deadlines, TimeLimit
from offpoll.testing.virtual import VirtualLoop, run_virtual


class Sleeper:
    """Writes down when its time was up."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def expire(self) -> None:
        self.at.append(asyncio.get_running_loop().time())


def test_each_is_told_at_its_own_time() -> None:
    """Whatever the order in which deadlines are set, each is told once, and on time."""

    async def main() -> list[list[float]]:
        deadlines, sleepers = Deadlines(), [Sleeper() for _ in range(4)]
        for sleeper, until in zip(sleepers, (5.0, 2.0, 9.0, 2.0), strict=True):
            deadlines.add(sleeper, until=until, loop=asyncio.get_running_loop())
        await asyncio.sleep(20)
        return [sleeper.at for sleeper in sleepers]

    assert run_virtual(main()) == [[5.0], [2.0], [9.0], [2.0]]


def test_who_is_discarded_is_not_told() -> None:
    """Discarding the earliest calls nothing early and delays nothing. Discarding twice, or an unknown deadline, does nothing."""

    async def main() -> list[list[float]]:
        deadlines, first, second = Deadlines(), Sleeper(), Sleeper()
        deadlines.add(first, until=1.0, loop=asyncio.get_running_loop())
        deadlines.add(second, until=3.0, loop=asyncio.get_running_loop())
        for each in (first, first, Sleeper()):
            deadlines.discard(each)
        await asyncio.sleep(20)
        return [first.at, second.at]

    assert run_virtual(main()) == [[], [3.0]]


def test_nobody_waits_nothing_is_armed() -> None:
    """With the last one gone the timer is gone too: a loop at rest has nothing left to wait for."""
    armed: list[asyncio.TimerHandle] = []

    class Loop(VirtualLoop):
        def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
            armed.append(super().call_at(when, callback, *args, context=context))
            return armed[-1]

    async def main() -> None:
        deadlines, sleeper = Deadlines(), Sleeper()
        deadlines.add(sleeper, until=5.0, loop=asyncio.get_running_loop())
        deadlines.discard(sleeper)

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(main())
    assert [(handle.when(), handle.cancelled()) for handle in armed] == [(5.0, True)]


def test_who_waits_again_when_told() -> None:
    """A callback may set the next deadline at once."""

    class Again(Sleeper):
        def expire(self) -> None:
            super().expire()
            if len(self.at) < 3:
                deadlines.add(self, until=self.at[-1] + 1.0, loop=asyncio.get_running_loop())

    deadlines, again = Deadlines(), Again()

    async def main() -> None:
        deadlines.add(again, until=1.0, loop=asyncio.get_running_loop())
        await asyncio.sleep(20)

    run_virtual(main())
    assert again.at == [1.0, 2.0, 3.0]


def test_a_time_limit_that_is_kept() -> None:
    """Work that ends in time is left alone, long after its limit too; the body's own error passes."""

    async def main() -> None:
        deadlines = Deadlines()
        with TimeLimit(deadlines, 2.0, asyncio.get_running_loop()):
            await asyncio.sleep(1)
        await asyncio.sleep(20)
        with pytest.raises(KeyError), TimeLimit(deadlines, 2.0, asyncio.get_running_loop()):
            raise KeyError

    run_virtual(main())


def test_a_time_limit_that_is_over() -> None:
    """Work that takes too long is cancelled where it waits, and its task goes on with a TimeoutError."""

    async def main() -> tuple[float, bool, int]:
        loop, task, stopped = asyncio.get_running_loop(), asyncio.current_task(), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                stopped.set()

        with pytest.raises(TimeoutError), TimeLimit(Deadlines(), 2.0, asyncio.get_running_loop()):
            await work()
        assert task is not None
        return loop.time(), stopped.is_set(), task.cancelling()

    assert run_virtual(main()) == (2.0, True, 0)


@pytest.mark.parametrize("over", [False, True])
def test_a_cancellation_from_elsewhere(over: bool) -> None:
    """A cancellation from elsewhere stays a cancellation, even if the limit passes at the same moment."""

    async def main() -> bool:
        async def work() -> None:
            with TimeLimit(Deadlines(), 2.0, asyncio.get_running_loop()):
                await asyncio.sleep(10)

        task = asyncio.create_task(work())
        await asyncio.sleep(2.0 if over else 1.0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run_virtual(main())


def test_many_tasks_with_one_limit_each() -> None:
    """A thousand tasks share a timer, and each that is late ends at its own limit; nothing is kept of them."""
    deadlines = Deadlines()

    async def work(start: float, seconds: float) -> float:
        await asyncio.sleep(start)
        try:
            with TimeLimit(deadlines, 3.0, asyncio.get_running_loop()):
                await asyncio.sleep(seconds)
        except TimeoutError:
            pass
        return asyncio.get_running_loop().time() - start

    async def main() -> list[float]:
        return await asyncio.gather(*(work(number / 100, 1.0 + number % 5) for number in range(1000)))

    assert [round(took, 6) for took in run_virtual(main())] == [min(3.0, 1.0 + number % 5) for number in range(1000)]
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, TimeLimit)]


def test_outside_a_task() -> None:
    """Outside a task there is nothing to cancel."""

    async def main() -> None:
        failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def call() -> None:
            try:
                with TimeLimit(Deadlines(), 1.0, asyncio.get_running_loop()):
                    pass
            except RuntimeError as error:
                failed.set_result(str(error))

        asyncio.get_running_loop().call_soon(call)
        assert "task" in await failed

    run_virtual(main())
