"""A value that is refreshed behind its readers."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from offpoll.cached import Cached, Readiness
from offpoll.errors import DependencyUnavailable
from offpoll.testing import START, run_virtual


def test_readers_never_wait() -> None:
    """Readers get the old value while a new one is read, however long that takes; only one read runs at a time."""

    async def main() -> None:
        reads = 0

        async def read() -> int:
            nonlocal reads
            reads += 1
            await asyncio.sleep(3)
            return reads

        cached = Cached(0, read, max_age=5)
        assert cached.get(asyncio.get_running_loop()) == 0
        await asyncio.sleep(4)
        assert (cached.get(asyncio.get_running_loop()), reads) == (1, 1)
        await asyncio.sleep(1)
        assert (cached.get(asyncio.get_running_loop()), reads) == (1, 1)
        await asyncio.sleep(4)
        assert (cached.get(asyncio.get_running_loop()), reads) == (2, 2)

    run_virtual(main())


def test_outages_keep_the_value() -> None:
    """A read that fails changes nothing and raises nothing."""

    async def main() -> None:
        async def read() -> int:
            raise DependencyUnavailable("SQS", "down")

        cached = Cached(7, read, max_age=5)
        for _ in range(5):
            assert cached.get(asyncio.get_running_loop()) == 7
            await asyncio.sleep(6)

    run_virtual(main())


@pytest.mark.parametrize("seconds", [5.0, 60.0, 86_400.0])
def test_a_freeze_makes_it_old(seconds: float) -> None:
    """A value that the wall clock calls old is refreshed, though the loop's time stood still: a function was frozen meanwhile."""

    async def main() -> None:
        loop, frozen = asyncio.get_running_loop(), [0.0]
        reads: list[float] = []

        async def read() -> int:
            reads.append(frozen[0])
            return len(reads)

        clock = lambda: START + timedelta(seconds=loop.time() + frozen[0])  # noqa: E731
        cached = Cached(0, read, max_age=5, clock=clock)
        cached.get(loop)
        await asyncio.sleep(0)
        assert cached.get(loop) == 1
        frozen[0] = seconds
        assert cached.age(loop.time(), clock()) == seconds
        cached.get(loop)
        await asyncio.sleep(0)
        assert reads == [0.0, seconds]

    run_virtual(main())


def test_a_clock_that_was_set_back() -> None:
    """A wall clock that was set back does not keep a value fresh: the loop's time still counts."""

    async def main() -> None:
        loop, set_back = asyncio.get_running_loop(), [0.0]

        async def read() -> float:
            return loop.time()

        cached = Cached(-1.0, read, max_age=5, clock=lambda: START + timedelta(seconds=loop.time() - set_back[0]))
        cached.get(loop)
        await asyncio.sleep(1)
        set_back[0] = 86_400.0
        await asyncio.sleep(5)
        cached.get(loop)
        await asyncio.sleep(0)
        assert cached.get(loop) == 6.0

    run_virtual(main())


def test_readiness_after_a_freeze() -> None:
    """The last check counts for 5 s by both clocks: an environment that wakes from a freeze asks again."""

    async def main() -> None:
        loop, frozen = asyncio.get_running_loop(), [0.0]
        asked: list[float] = []

        async def check() -> None:
            asked.append(frozen[0])

        readiness = Readiness(clock=lambda: START + timedelta(seconds=loop.time() + frozen[0]))
        await readiness.ask(check)
        await readiness.ask(check)
        frozen[0] = 60.0
        await readiness.ask(check)
        assert asked == [0.0, 60.0]

    run_virtual(main())
