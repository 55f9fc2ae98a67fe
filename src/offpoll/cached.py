"""A value that is read rarely and used often: refreshed behind its readers, never in front of them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from offpoll.errors import DependencyError, OffpollError

__all__ = ["READY_AGE", "Cached", "Readiness"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class Cached(Generic[T]):
    """The last value that `read` gave, at most about `max_age` seconds old while it answers.

    Args:
        initial: the value until something has been read.
        read: reads it; may raise DependencyError, and then the old value stays.
        max_age: seconds after which the next use starts a refresh.
    """

    def __init__(self, initial: T, read: Callable[[], Awaitable[T]], *, max_age: float) -> None:
        self._value = initial
        self._read = read
        self._max_age = max_age
        self._asked_at: float | None = None
        self._read_at: float | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def age(self, now: float) -> float:
        """Return how many seconds before `now`, in the loop's time, the value was read; infinite where nothing has been read."""
        return math.inf if self._read_at is None else now - self._read_at

    def get(self, loop: asyncio.AbstractEventLoop) -> T:
        """Return the value, and start a refresh on the running loop where it is old. Never waits."""
        now = loop.time()
        if self._asked_at is None or now - self._asked_at >= self._max_age:
            self._asked_at = now
            self._refreshing = loop.create_task(self.refresh())
        return self._value

    async def refresh(self) -> None:
        """Read the value now."""
        try:
            self._value = await self._read()
            self._read_at = asyncio.get_running_loop().time()
        except DependencyError as error:
            # A hint may be old: nobody's request fails for it. The next look comes after max_age.
            log.warning("keeping an old value: %s", error)


#: Seconds for which an answer is believed. Load balancers ask every 5 to 30 s, and there are several of them.
READY_AGE = 5.0


class Readiness:
    """One check for all who ask at the same time, and for READY_AGE after it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._believed_until = 0.0
        self._asking: asyncio.Task[OffpollError | None] | None = None

    async def ask(self, check: Callable[[], Awaitable[None]]) -> None:
        """Raise what the last check raised; where that is too old, make another: `check` asks the stores and raises what is wrong."""
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() >= self._believed_until):
            self._asking = loop.create_task(self._answer(check))
        error = await asyncio.shield(self._asking)  # whoever gives up does not end it for the others
        if error is not None:
            raise error.with_traceback(None)  # kept and raised again, it must not collect frames

    async def _answer(self, check: Callable[[], Awaitable[None]]) -> OffpollError | None:
        error: OffpollError | None = None
        try:
            await check()
        except OffpollError as found:
            error = found
        self._believed_until = asyncio.get_running_loop().time() + READY_AGE
        return error
