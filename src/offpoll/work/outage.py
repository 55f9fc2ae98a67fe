"""What a worker does while a store, a queue or a table fails: keep what it holds, try again, take nothing new, say so."""

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

#: Pause after the first failure of a step, and the longest one, seconds. Each step doubles it, with full jitter over the upper half.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0

#: A refusal is mostly the operator's to mend, and mended while we wait; but a step that is refused this often gives its message back.
REFUSALS = 5


class Outage:
    """Counts the steps that are waiting for a dependency; while there are any, the worker takes no new messages.

    Args:
        random: numbers from 0 to 1, for jitter.
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
        """Let every step give up at its next failure: the worker is told to stop at once."""
        self._stopping.set()
        self._over.set()

    async def through(self, step: Callable[[], Awaitable[T]], *, what: str) -> T:
        """Do a step, again and again until the dependency answers.

        Raises:
            DependencyError: it was refused REFUSALS times, or the worker stops.
        """
        try:
            return await step()
        except DependencyError as error:
            first = error
        self._waiting += 1
        self._over.clear()
        log.warning("%s: %s; taking no new messages, trying again", what, first)
        try:
            answer = await self._again(step, first)
            log.warning("%s: works again", what)
            return answer
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
        """Wait between half and all of so many seconds, or until the worker stops."""
        try:
            async with asyncio.timeout(seconds * (1 + self._random()) / 2):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def give_back(queue: Queue, delivery: Delivery, *, seconds: float) -> None:
    """Let a message come back after so many seconds. Raises nothing: if that fails, it comes back when its visibility ends."""
    try:
        await queue.hide(delivery, seconds=seconds)
    except (DependencyError, ConfigurationError) as error:
        log.warning("a message could not be given back, it returns later: %s", error)
