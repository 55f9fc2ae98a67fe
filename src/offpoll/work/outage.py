"""Carries a worker through outages: it keeps what it holds, retries, takes no new messages and logs that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from offpoll.errors import ConfigurationError, DependencyError, DependencyRefused
from offpoll.queue import Delivery, Queue

__all__ = ["Outage", "give_back"]

log = logging.getLogger(__name__)

T = TypeVar("T")

#: The first and the longest pause after a step fails, seconds. Each failure doubles it, with jitter over the upper half.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: After this many refusals a step gives its message back. Fewer are waited out: an operator usually fixes the cause meanwhile.
REFUSALS = 5


class Outage:
    """Counts the steps that wait for a dependency. While any does, the worker takes no new messages.

    Args:
        random: returns numbers from 0 to 1, for jitter.
    """

    def __init__(self, *, random: Callable[[], float]) -> None:
        self._random = random
        self._waiting = 0
        self._over = asyncio.Event()
        self._over.set()
        self._stopping = asyncio.Event()

    @property
    def failing(self) -> bool:
        """Whether a step waits for a dependency."""
        return self._waiting > 0

    @property
    def stopping(self) -> bool:
        """Whether the worker was told to stop at once."""
        return self._stopping.is_set()

    async def over(self) -> None:
        """Wait until no step waits for a dependency."""
        await self._over.wait()

    def stop(self) -> None:
        """Make every step give up at its next failure, because the worker must stop at once."""
        self._stopping.set()
        self._over.set()

    async def through(self, step: Callable[[], Awaitable[T]], *, what: str) -> T:
        """Run a step, repeating it until the dependency responds.

        Raises:
            DependencyError: the dependency refused REFUSALS times, or the worker stops.
        """
        try:
            return await step()
        except DependencyError as error:
            first = error
        self._waiting += 1
        self._over.clear()
        log.warning("%s: %s; taking no new messages, trying again", what, first)
        try:
            result = await self._again(step, first)
            log.warning("%s: works again", what)
            return result
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._over.set()

    async def _again(self, step: Callable[[], Awaitable[T]], error: DependencyError) -> T:
        pause, refusals = FIRST_PAUSE, 0
        while True:
            refusals += isinstance(error, DependencyRefused)
            if refusals >= REFUSALS or self._stopping.is_set():
                raise error
            await self.pause(pause)
            pause = min(LONGEST_PAUSE, pause * 2)
            try:
                return await step()
            except DependencyError as again:
                error = again

    async def pause(self, seconds: float) -> None:
        """Wait for between half of `seconds` and all of it, or until the worker stops."""
        try:
            async with asyncio.timeout(seconds * (1 + self._random()) / 2):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def give_back(queue: Queue, delivery: Delivery, *, seconds: float) -> None:
    """Make a message come back after `seconds`. Raises nothing: if this fails, the message comes back when its visibility ends."""
    try:
        await queue.hide(delivery, seconds=seconds)
    except (DependencyError, ConfigurationError) as error:
        log.warning("a message could not be given back now; it comes back later: %s", error)
