"""The event loop with virtual time."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from offpoll.testing import START, VirtualLoop, run_virtual


def test_time_jumps() -> None:
    """A day passes at once, in the order of its timers, and the wall clock follows."""

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen: list[float] = []

        async def after(seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(loop.time())

        await asyncio.gather(after(86_400), after(1), after(3600))
        assert isinstance(loop, VirtualLoop)
        assert loop.now() == START + timedelta(days=1)
        return seen

    began = time.monotonic()
    assert run_virtual(main()) == [1, 3600, 86_400]
    assert time.monotonic() - began < 5


def test_the_start_can_be_chosen() -> None:
    """The wall clock can start at another instant."""
    start = datetime(2000, 1, 1, tzinfo=UTC)

    async def main() -> datetime:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        return loop.now()

    assert run_virtual(main(), start=start) == start


def test_timeouts() -> None:
    """A timeout is a timer like any other."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == 30


def test_threads_do_not_advance_time() -> None:
    """Code meant for a thread runs here and now; meanwhile no timer fires."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ticking = asyncio.create_task(asyncio.sleep(10))
        assert await asyncio.to_thread(threading.get_ident) == threading.get_ident()
        assert loop.time() == 0
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        await ticking

    run_virtual(main())
