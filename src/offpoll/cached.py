"""Caches values that are expensive to read, and refreshes them in the background. All who ask share one check of readiness."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from offpoll.errors import DependencyError, OffpollError

__all__ = ["READY_AGE", "READY_PATIENCE", "Cached", "Readiness"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class Cached(Generic[T]):
    """The last value that `read` returned, at most about `max_age` seconds old while `read` answers.

    Args:
        initial: the value before the first read.
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
        """Return the seconds between the read and `now`, in the loop's time; infinite if the value was never read."""
        return math.inf if self._read_at is None else now - self._read_at

    def get(self, loop: asyncio.AbstractEventLoop) -> T:
        """Return the value without waiting, and start a refresh on the running loop if it is old."""
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
            # A hint may be old: no request fails for it. The next refresh comes after max_age.
            log.warning("keeping an old value: %s", error)


#: How long the result of a check counts, seconds. Load balancers ask every 5 to 30 s, and there are several of them.
READY_AGE = 5.0


#: How long a probe waits for a check, seconds: Kubernetes gives a probe one second, and a store that hangs takes longer.
READY_PATIENCE = 0.8


class Readiness:
    """Shares one check among all who ask while it runs, or within READY_AGE after it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._fresh_until = 0.0
        self._fault: OffpollError | None = None
        self._checking: asyncio.Task[None] | None = None

    async def ask(self, check: Callable[[], Awaitable[None]]) -> None:
        """Raise what the last check raised. If that is too old, check again: `check` asks the stores and raises what is wrong.

        If a check takes longer than READY_PATIENCE, the one before it counts until it ends.
        """
        loop = asyncio.get_running_loop()
        if self._checking is None or (self._checking.done() and loop.time() >= self._fresh_until):
            self._checking = loop.create_task(self._check(check))
        await asyncio.wait([self._checking], timeout=READY_PATIENCE)  # a caller that gives up does not end the check for others
        if self._checking.done():
            self._checking.result()  # a fault in offpoll is raised
        if self._fault is not None:
            raise self._fault.with_traceback(None)  # raised again and again, it must not collect frames

    async def _check(self, check: Callable[[], Awaitable[None]]) -> None:
        fault: OffpollError | None = None
        try:
            await check()
        except OffpollError as found:
            fault = found
        self._fault = fault
        self._fresh_until = asyncio.get_running_loop().time() + READY_AGE
