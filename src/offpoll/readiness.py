"""Whether the stores answer, asked seldom: what asks for it asks often, and each question to a store is billed.

Decides for how long an answer is believed, good or bad. Must not know what is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from offpoll.errors import OffpollError

__all__ = ["READY_AGE", "Readiness"]

#: Seconds for which an answer is believed. Load balancers ask every 5 to 30 s, and there are several of them.
READY_AGE = 5.0


class Readiness:
    """One check for all who ask at the same time, and for READY_AGE after it. Belongs to one event loop."""

    def __init__(self) -> None:
        self._believed_until = 0.0
        self._asking: asyncio.Task[OffpollError | None] | None = None

    async def ask(self, check: Callable[[], Awaitable[None]]) -> None:
        """Raise what the last check raised; where that is too old, make another: `check` asks the stores and raises what is wrong."""
        loop = asyncio.get_running_loop()
        if self._asking is None or (self._asking.done() and loop.time() >= self._believed_until):
            self._asking = loop.create_task(self._answer(check))
        error = await asyncio.shield(self._asking)  # whoever gives up does not end it for the others
        if error is not None:
            raise error.with_traceback(None)  # kept and raised again, it must not collect frames

    async def _answer(self, check: Callable[[], Awaitable[None]]) -> OffpollError | None:
        error: OffpollError | None = None
        try:
            await check()
        except OffpollError as found:
            error = found
        self._believed_until = asyncio.get_running_loop().time() + READY_AGE
        return error
