"""A value that is read rarely and used often: refreshed behind its readers, never in front of them."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from offpoll.errors import DependencyError

__all__ = ["Cached"]

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
