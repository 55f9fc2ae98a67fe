"""The virtual loop without what a simulation does not need: no I/O, and timers in a plain heap, so that a step costs less.

It rests on how asyncio's own loop is put together (`_ready`, `_run_once`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heappop, heappush
from typing import Any

from offpoll.testing.virtual import VirtualLoop

__all__ = ["Clockwork"]


class Clockwork(VirtualLoop):
    """A virtual loop that runs what is ready, and else jumps to the next timer. One that would wait for ever raises RuntimeError."""

    _ready: deque[asyncio.Handle]

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()  # of two timers for the same instant the older one is first

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """Call something at an instant of the loop's time."""
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave a cancelled timer where it is: it is skipped when its time comes."""

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].cancelled():
                heappop(timers)
            if not timers:
                raise RuntimeError("nothing is left that could ever happen: everybody waits for somebody")
            self._jumping.jumped = max(self._jumping.jumped, timers[0][0])
        now = self._jumping.jumped
        while timers and timers[0][0] <= now:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
