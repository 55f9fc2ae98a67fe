"""Many deadlines on one timer of the event loop.

Each waiter sets its deadline, and is told when the time is up. A separate timer per wait, armed and cancelled, costs
uvloop 8 µs and `asyncio.timeout` 15, and nearly no deadline is ever met: of an accepted request that was a twentieth.

    add(a, 5.0)   add(b, 9.0)   discard(a)   discard(b)            the timer is armed for the earliest that was ever added,
    └ armed: 5.0                             └ nobody: cancelled   and looks again when it rings: at most once per wait
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from offpoll.loops import HomeLoop

__all__ = ["Deadlines", "TimeLimit"]


class Waiting(Protocol):
    """Somebody who waits. Told of by identity, so hashable."""

    def expire(self) -> None:
        """Learn that the time is up. Called once, from the loop."""


class Deadlines:
    """The deadlines of those who wait, all of them on one event loop at a time."""

    __slots__ = ("_due", "_home", "_timer", "_until")

    def __init__(self) -> None:
        self._home = HomeLoop()
        self._until: dict[Waiting, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def add(self, waiting: Waiting, *, until: float, loop: asyncio.AbstractEventLoop) -> None:
        """Tell somebody at `until`, seconds of the running loop's time, unless they are discarded before.

        Raises:
            ConfigurationError: others wait on another event loop.
        """
        if self._home.loop is not loop:
            self._home.move(loop, left=(self._timer, self._until))
            self._timer, self._until = None, {}
        self._until[waiting] = until
        if self._timer is None or until < self._due:
            self._arm(until, loop)

    def discard(self, waiting: Waiting) -> None:
        """Forget somebody; does nothing if it is unknown."""
        self._until.pop(waiting, None)
        if not self._until and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_at(due, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = max(loop.time(), self._due)  # a loop may ring within its clock's resolution before the time
        for waiting in [each for each, until in self._until.items() if until <= now]:
            del self._until[waiting]
            waiting.expire()
        if self._until:
            self._arm(min(self._until.values()), loop)


class TimeLimit:
    """Bounds what a task does: `with TimeLimit(deadlines, seconds, loop): …` raises TimeoutError inside the task that entered it.

    As `asyncio.timeout`, on a shared timer: the task is cancelled, and that cancellation becomes the error. One from elsewhere stays what
    it is.
    """

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_loop", "_seconds", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._loop = loop
        self._expired = False

    def __enter__(self) -> Self:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a time limit is for what a task does")
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.add(self, until=self._loop.time() + self._seconds, loop=self._loop)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if not self._expired:
            self._deadlines.discard(self)
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Cancel the task."""
        self._expired = True
        self._task.cancel()
