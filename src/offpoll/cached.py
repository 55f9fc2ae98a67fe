"""Caches values that are expensive to read, and refreshes them in the background. All callers share one check of readiness.

A value is old when the loop's time says so, or the wall clock: a function may be frozen for hours, and its loop may not notice.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from offpoll.errors import DependencyError, OffpollError
from offpoll.instant import utc_now

__all__ = ["READY_AGE", "READY_PATIENCE", "Cached", "Readiness"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class Cached(Generic[T]):
    """The last value that `read` returned, at most about `max_age` seconds old while `read` answers.

    Args:
        initial: the value before the first read.
        read: reads it; may raise DependencyError, and then the old value stays.
        max_age: seconds after which the next use starts a refresh.
        clock: the wall clock.
    """

    def __init__(self, initial: T, read: Callable[[], Awaitable[T]], *, max_age: float, clock: Callable[[], datetime] = utc_now) -> None:
        self._value = initial
        self._read = read
        self._max_age, self._max_wall_age = max_age, timedelta(seconds=max_age)
        self._clock = clock
        self._due = -math.inf
        self._due_by_wall = _NEVER
        self._read_at: tuple[float, datetime] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    def age(self, now: float, wall: datetime) -> float:
        """Return the seconds since the value was read, by the clock that counted more; infinite if it was never read.

        `now` is the loop's time, `wall` the wall clock's.
        """
        if self._read_at is None:
            return math.inf
        read_at, read_at_by_wall = self._read_at
        return max(now - read_at, (wall - read_at_by_wall).total_seconds())

    def get(self, loop: asyncio.AbstractEventLoop, wall: datetime | None = None) -> T:
        """Return the value without waiting, and start a refresh on the running loop if it is old. `wall`: the time, if you know it."""
        now, wall = loop.time(), wall or self._clock()
        if now >= self._due or wall >= self._due_by_wall:
            self._due, self._due_by_wall = now + self._max_age, wall + self._max_wall_age
            self._refreshing = loop.create_task(self.refresh())
        return self._value

    async def refresh(self) -> None:
        """Read the value now."""
        try:
            self._value = await self._read()
            self._read_at = asyncio.get_running_loop().time(), self._clock()
        except DependencyError as error:
            # A hint may be old: no request fails for it. The next refresh comes after max_age.
            log.warning("keeping an old value: %s", error)


_NEVER = datetime.max.replace(tzinfo=UTC)

#: How long the result of a check counts, seconds. Load balancers ask every 5 to 30 s, and there are several of them.
READY_AGE = 5.0


#: How long a probe waits for a check, seconds: Kubernetes gives a probe one second, and a store that hangs takes longer.
READY_PATIENCE = 0.8


class Readiness:
    """Shares one check among all callers while it runs, or within READY_AGE after it.

    Args:
        clock: the wall clock.
    """

    def __init__(self, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._fresh_until, self._fresh_until_by_wall = 0.0, _NEVER
        self._fault: OffpollError | None = None
        self._checking: asyncio.Task[None] | None = None

    async def ask(self, check: Callable[[], Awaitable[None]]) -> None:
        """Raise what the last check raised. If that is too old, check again: `check` asks the stores and raises what is wrong.

        If a check takes longer than READY_PATIENCE, the one before it counts until it ends.
        """
        loop = asyncio.get_running_loop()
        if self._checking is None or (self._checking.done() and self._is_old(loop)) or self._checking.get_loop() is not loop:
            self._checking = loop.create_task(self._check(check))
        await asyncio.wait([self._checking], timeout=READY_PATIENCE)  # a caller that gives up does not end the check for others
        if self._checking.done():
            self._checking.result()  # a fault in offpoll is raised
        if self._fault is not None:
            raise self._fault.with_traceback(None)  # raised repeatedly, it must not collect frames

    def _is_old(self, loop: asyncio.AbstractEventLoop) -> bool:
        return loop.time() >= self._fresh_until or self._clock() >= self._fresh_until_by_wall

    async def _check(self, check: Callable[[], Awaitable[None]]) -> None:
        fault: OffpollError | None = None
        try:
            await check()
        except OffpollError as found:
            fault = found
        self._fault = fault
        self._fresh_until = asyncio.get_running_loop().time() + READY_AGE
        self._fresh_until_by_wall = self._clock() + timedelta(seconds=READY_AGE)
