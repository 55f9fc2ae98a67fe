"""An event loop that stops as soon as it is idle, and whose time passes only on request.

Production code runs on it unchanged: tasks, timeouts, pauses and the loop itself are asyncio's. Only the selector and the clock are
replaced, by asyncio's public interface.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["IdleLoop"]


class _Idle(selectors.BaseSelector):
    """A selector without files. When the loop asks it to wait, the loop is idle, and the selector stops it.

    Attributes:
        wait: seconds until the next timer when the loop was last idle; None without a timer.
        stop: stops the loop.
    """

    def __init__(self) -> None:
        self.wait: float | None = None
        self.stop: Callable[[], None] = lambda: None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout > 0:
            self.wait = timeout
            self.stop()
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self.register(fileobj, 0)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class IdleLoop(asyncio.SelectorEventLoop):
    """An event loop that runs until it is idle.

    Attributes:
        seconds: its time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._idle = _Idle()
        super().__init__(self._idle)
        self._idle.stop = self.stop

    def time(self) -> float:
        """Return seconds since the loop was made."""
        return self.seconds

    def settle(self) -> None:
        """Run everything that can run now."""
        self.run_forever()

    def next_timer(self) -> bool:
        """Jump to the next timer of the settled loop, and tell whether it had one."""
        if self._idle.wait is None:
            return False
        self.seconds += self._idle.wait
        return True
