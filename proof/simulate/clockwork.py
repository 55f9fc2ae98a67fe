"""A cheaper virtual loop for the simulation: no I/O, no debug mode, and timers in a plain heap.

It takes the same steps in the same order as asyncio's loop, and runs as a single callback inside that loop. So asyncio does everything that
starting and stopping a loop needs, and this module does not depend on how.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from offpoll.testing.virtual import START, VirtualLoop

__all__ = ["Clockwork"]

#: The index of each part of a `_Call`.
_WHEN, _CALLBACK, _ARGS, _CONTEXT = 0, 2, 3, 4


class _Call(list[Any]):
    """A scheduled call: [when, number, callback, its arguments, its context]. The callback is None once the call is cancelled.

    asyncio's handles do more, and each operation needs dozens. Making a list runs no Python code, and lists compare by instant, then by
    number, which is unique.
    """

    __slots__ = ()

    def cancel(self) -> None:
        """Leave it in place, to be skipped when its time comes, and let go of its arguments."""
        self[_CALLBACK] = self[_ARGS] = self[_CONTEXT] = None

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self[_CALLBACK] is None

    def when(self) -> float:
        """Return the instant, in the loop's time, for which it is scheduled."""
        when: float = self[_WHEN]
        return when


class Clockwork(VirtualLoop):
    """A virtual loop that runs everything ready, then jumps to the next timer. It raises RuntimeError instead of waiting for ever."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds, self._now = 0.0, START
        self._soon: deque[_Call] = deque()
        self._told = False
        self._failed: BaseException | None = None  # what a callback raised
        self._timers: list[_Call] = []
        self._numbers = itertools.count()  # of two timers for the same instant the older one is first

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._seconds

    def now(self) -> datetime:
        """Return the virtual wall clock's time, aware UTC."""
        return self._now

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> _Call:  # type: ignore[override]
        """Schedule a call after everything that is ready now."""
        call = _Call((0.0, 0, callback, args, copy_context() if context is None else context))
        self._soon.append(call)
        return call

    call_soon_threadsafe = call_soon  # type: ignore[assignment]  # all is one thread; a signal's handler may append, too

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """Schedule a call at an instant of the loop's time."""
        timer = _Call((when, next(self._numbers), callback, args, copy_context() if context is None else context))
        heappush(self._timers, timer)
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> _Call:
        """Schedule a call after this many seconds."""
        when = self._seconds + delay
        timer = _Call((when, next(self._numbers), callback, args, copy_context() if context is None else context))
        heappush(self._timers, timer)
        return timer

    def stop(self) -> None:
        """Stop after everything that is ready now."""
        self._told = True

    def run_forever(self) -> None:
        """Run until `stop` is called, or until a callback raises an exception."""
        super().call_soon(self._drive)
        super().run_forever()
        self._told = False
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def _drive(self) -> None:
        """Run as the only callback of asyncio's loop, which would log an exception and go on. Keep the exception instead."""
        try:
            self._play()
        except BaseException as error:
            self._failed = error
        super().stop()

    def _play(self) -> None:
        """Run everything ready, then jump to the next timer, until `stop` is called."""
        soon, timers = self._soon, self._timers
        take = soon.popleft
        while not self._told:
            if not soon:
                self._jump()
            while timers and timers[0][_WHEN] <= self._seconds:
                soon.append(heappop(timers))
            for _ in range(len(soon)):
                _, _, callback, args, context = take()
                if callback is not None:
                    context.run(callback, *args)

    def _jump(self) -> None:
        """Jump to the next timer's instant."""
        timers = self._timers
        while timers and timers[0][_CALLBACK] is None:
            heappop(timers)
        if not timers:
            raise RuntimeError("deadlock: every task waits, and no timer is left")
        if timers[0][_WHEN] > self._seconds:
            self._seconds = timers[0][_WHEN]
            self._now = START + timedelta(seconds=self._seconds)
