"""An event loop that stops as soon as nothing is left to do, and whose time passes only when it is told to.

Decides nothing. Production code runs on it unchanged: its tasks, timeouts and pauses are asyncio's own, and so is the loop. Only its
selector and its clock are replaced, as asyncio lets anybody do.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["IdleLoop"]


class _Idle(selectors.BaseSelector):
    """A selector that knows no files: being asked to wait means that the loop is idle, and says for how long.

    Attributes:
        wait: seconds until the next timer when the loop was last idle; None where there was no timer.
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
    """The loop.

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
        """Jump to the timer that the settled loop waits for; tell whether there was one."""
        if self._idle.wait is None:
            return False
        self.seconds += self._idle.wait
        return True
