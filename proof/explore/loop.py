"""An event loop that stops as soon as nothing is left to do, and whose time passes only when it is told to.

Decides nothing. Production code runs on it unchanged: its tasks, timeouts and pauses are asyncio's own.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["IdleLoop"]


class _Idle:
    """A selector that knows no files: being asked to wait means that the loop is idle."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self._stop()
        return []

    def get_map(self) -> Mapping[Any, Any]:
        return {}

    def close(self) -> None:
        """Close nothing."""


class IdleLoop(asyncio.BaseEventLoop):
    """The loop.

    Attributes:
        seconds: its time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._selector = _Idle(self.stop)

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self.seconds

    def settle(self) -> None:
        """Run everything that can run now."""
        self.run_forever()

    def next_timer(self) -> bool:
        """Jump to the next timer; tell whether there was one."""
        due = [handle.when() for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        if not due:
            return False
        self.seconds = max(self.seconds, min(due))
        return True

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody waits in a system call."""
