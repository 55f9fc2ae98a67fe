"""When calls are gathered into batches, and what each caller gets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from offpoll.aws.batches import Batcher
from offpoll.errors import DependencyUnavailable

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Recorder:
    """Records single and batched calls and responds when the test opens it. A negative item fails."""

    def __init__(self, *, limit: int = 10, limit_bytes: int = 0) -> None:
        self.asked: list[int | list[int]] = []
        self.open = asyncio.Event()
        self.batches: Batcher[int, int] = Batcher(
            one=self.one, many=self.many, limit=limit, limit_bytes=limit_bytes, size=abs if limit_bytes else None
        )

    async def one(self, item: int) -> int:
        self.asked.append(item)
        await self.open.wait()
        if item < 0:
            raise ValueError(item)
        return item * 2

    async def many(self, items: Sequence[int]) -> list[int | Exception]:
        self.asked.append(list(items))
        await self.open.wait()
        return [ValueError(item) if item < 0 else item * 2 for item in items]

    async def all(self, items: Sequence[int]) -> list[Any]:
        """Call with all items at once, and open the responses once every call that can go has gone."""
        calls = [asyncio.create_task(self.batches.call(item)) for item in items]
        for _ in range(3):
            await asyncio.sleep(0)
        self.asked_before_any_answer = list(self.asked)
        self.open.set()
        return list(await asyncio.gather(*calls, return_exceptions=True))


def test_a_lone_call_goes_alone_and_at_once(run: Run) -> None:
    """A call that finds no other under way goes at once."""

    async def use() -> None:
        recorder = Recorder()
        recorder.open.set()
        assert [await recorder.batches.call(item) for item in (1, 2)] == [2, 4]
        assert recorder.asked == [1, 2]

    run(use())


def test_calls_gather_while_one_is_under_way(run: Run) -> None:
    """Calls made while another is under way go as one batch when it returns. Each caller gets its own result."""

    async def use() -> None:
        recorder = Recorder()
        assert await recorder.all([1, 2, 3, 4]) == [2, 4, 6, 8]
        assert recorder.asked == [1, [2, 3, 4]]

    run(use())


def test_a_full_batch_does_not_wait(run: Run) -> None:
    """Ten waiting calls go at once, whatever is under way; the rest wait."""

    async def use() -> None:
        recorder = Recorder()
        assert await recorder.all(range(25)) == [item * 2 for item in range(25)]
        assert recorder.asked_before_any_answer == [0, list(range(1, 11)), list(range(11, 21))]
        assert recorder.asked[3:] == [[21, 22, 23, 24]]

    run(use())


def test_a_batch_has_a_limit_of_bytes(run: Run) -> None:
    """A batch ends before it grows too large; an item that is too large by itself goes alone."""

    async def use() -> None:
        recorder = Recorder(limit_bytes=100)
        assert await recorder.all([1, 60, 30, 50, 999, 5]) == [2, 120, 60, 100, 1998, 10]
        assert recorder.asked == [1, [60, 30], 50, 999, 5]

    run(use())


def test_one_failure_reaches_one_caller(run: Run) -> None:
    """The caller whose item failed gets the error; the others in the batch get their results."""

    async def use() -> None:
        results = await Recorder().all([1, 2, -3, 4])
        assert results[:2] == [2, 4]
        assert isinstance(results[2], ValueError)
        assert results[3] == 8

    run(use())


def test_a_failed_batch_reaches_all_its_callers(run: Run) -> None:
    """When the batch itself fails, all its callers get the error, and later calls work."""

    async def use() -> None:
        recorder = Recorder()

        async def fail(_: Sequence[int]) -> list[int | Exception]:
            raise DependencyUnavailable("SQS", "down")

        recorder.batches._many = fail
        results = await recorder.all([1, 2, 3])
        assert results[0] == 2
        assert all(isinstance(result, DependencyUnavailable) for result in results[1:])
        assert await recorder.batches.call(5) == 10

    run(use())


def test_cancelled_callers_are_left_out(run: Run) -> None:
    """A caller that gives up while it waits is left out of the batch; the others are sent."""

    async def use() -> None:
        recorder = Recorder()
        calls = [asyncio.create_task(recorder.batches.call(item)) for item in range(4)]
        await asyncio.sleep(0)
        calls[2].cancel()
        calls[0].cancel()
        await asyncio.sleep(0)
        recorder.open.set()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [result for result in results if isinstance(result, int)] == [2, 6]
        assert recorder.asked == [0, [1, 3]]

    run(use())
