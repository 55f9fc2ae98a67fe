"""The thread behind the blocking classes: a close that meets a start."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.loop_thread import LoopThread


class Slow(LoopThread):
    """Takes long to start."""

    async def _enter(self) -> None:
        await asyncio.sleep(60)

    def call(self) -> None:
        """Make a call, which starts the thread."""
        self._wait(asyncio.sleep(0))


def test_a_close_during_the_start() -> None:
    """The thread that starts gets an error, and the one that closes returns; neither waits for a loop that has stopped."""
    for number in range(60):
        slow = Slow()
        with ThreadPoolExecutor(2) as pool:
            call = pool.submit(slow.call)
            time.sleep(number % 20 * 0.0002)
            pool.submit(slow.close).result(timeout=10)
            with pytest.raises((ConfigurationError, DependencyUnavailable)):
                call.result(timeout=10)
            assert slow._thread is None
