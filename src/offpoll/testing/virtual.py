"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing is left to do.

Nothing sleeps for real, and the same program takes the same steps each time. Real I/O still works (the loop waits for it if no timer is
set), but a timer beats it: do not mix the two in one test.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

__all__ = ["START", "VirtualLoop", "run_virtual"]

T = TypeVar("T")

#: When virtual time begins, unless a test says otherwise.
START = datetime(2030, 1, 1, tzinfo=UTC)


class _JumpingSelector(selectors.SelectSelector):
    """Tells the loop how far to jump, instead of waiting for a timer."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # no timer: only I/O or another thread can go on
            return super().select(None)
        ready = super().select(0)
        if not ready and timeout > 0:
            self.jumped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock, which starts at 0 s, and at `start`."""

    def __init__(self, *, start: datetime = START) -> None:
        self._jumping = _JumpingSelector()
        self._start = start
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jumping.jumped

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run a function here and now, and so does `asyncio.to_thread`: virtual time would run away while a thread works."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def now(self) -> datetime:
        """Return the virtual wall clock's time, aware UTC: the `clock` for everything on this loop."""
        return self._start + timedelta(seconds=self._jumping.jumped)


def run_virtual(main: Coroutine[Any, Any, T], *, start: datetime = START) -> T:
    """Run a coroutine to its end on a new virtual loop."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start=start)) as runner:
        return runner.run(main)
