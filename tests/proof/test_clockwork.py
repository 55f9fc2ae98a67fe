"""The simulation's event loop runs what is ready, then the next timer; of two timers for the same instant, the older one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from proof.simulate.clockwork import Clockwork

from offpoll.testing.virtual import START


def play(main: Coroutine[Any, Any, None]) -> Clockwork:
    """Run a coroutine on a new loop, and return the loop."""
    loop = Clockwork()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main)
    return loop


def test_the_order() -> None:
    """Every call happens at its instant, in the order in which it was scheduled."""
    happened: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(2, happened.append, "second of two")
        loop.call_at(1, happened.append, "at 1")
        loop.call_later(2, happened.append, "last of two")
        loop.call_soon(happened.append, "soon")
        await asyncio.sleep(3)

    loop = play(main())
    assert happened == ["soon", "at 1", "second of two", "last of two"]
    assert (loop.time(), (loop.now() - START).total_seconds()) == (3, 3)


def test_what_was_cancelled() -> None:
    """A cancelled call does not happen, and time does not jump to it, nor to an `asyncio.timeout` that was left in time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        cancelled = loop.call_soon(pytest.fail), loop.call_later(1, pytest.fail), loop.call_at(9, pytest.fail)
        for each in cancelled:
            each.cancel()
        assert all(each.cancelled() for each in cancelled)
        assert (cancelled[1].when(), cancelled[2].when()) == (1, 9)
        async with asyncio.timeout(7):
            await asyncio.sleep(0)

    assert play(main()).time() == 0


def test_the_context() -> None:
    """A callback runs in the context in which it was scheduled, by which tasks know their machine."""
    name: ContextVar[str] = ContextVar("name")
    seen: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for each in ("one", "two"):
            name.set(each)
            loop.call_soon(lambda: seen.append(name.get()))
            loop.call_later(1, lambda: seen.append(name.get()))
        name.set("later")
        await asyncio.sleep(2)

    play(main())
    assert seen == ["one", "two", "one", "two"]


def test_a_timeout_of_asyncio() -> None:
    """It expires on virtual time."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.get_running_loop().create_future()

    assert play(main()).time() == 5


def test_a_deadlock() -> None:
    """A loop on which nothing can ever happen says so, instead of hanging."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="every task waits, and no timer is left"):
        play(main())
