"""A value that is refreshed behind its readers."""

from __future__ import annotations

import asyncio

from offpoll.cached import Cached
from offpoll.errors import DependencyUnavailable
from offpoll.testing import run_virtual


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
