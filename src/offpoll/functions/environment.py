"""Keeps one event loop, its connections and the app's lifespan for as long as a function's environment lives.

start ── invocation ── frozen ── invocation ── frozen for long ── invocation
         │ the loop runs         │ the loop goes on               │ it closes its connections first: their peers are gone, and the
         │                       │                                │ machine's clocks may not have counted the time
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from offpoll.aws.connections import POOL_IDLE
from offpoll.instant import utc_now
from offpoll.log_lines import about

__all__ = ["Context", "Environment", "Function", "seconds_left"]

log = logging.getLogger(__name__)

T = TypeVar("T")


class Context(Protocol):
    """Lambda's description of an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Return how long this invocation may still take."""


#: An entry point, as Lambda's runtime calls it.
Function = Callable[[Mapping[str, Any], Context], dict[str, Any]]


def seconds_left(context: Context) -> float:
    """Return the seconds that an invocation may still take."""
    return context.get_remaining_time_in_millis() / 1000


class Environment:
    """Runs invocations, one after the other, on one event loop.

    Args:
        lifespan: entered at once and never left: Lambda ends environments without notice.
        close: closes all connections; later calls open new ones.
        loop: the event loop.
        clock: the wall clock. After a freeze the machine corrects it, while its monotonic clock may not have counted.

    Attributes:
        state: what the lifespan yielded.
    """

    def __init__(
        self,
        *,
        lifespan: AbstractAsyncContextManager[Any],
        close: Callable[[], Awaitable[None]],
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._lifespan, self._close, self._loop, self._clock = lifespan, close, loop, clock
        self._rested_at = clock()
        self.state = loop.run_until_complete(lifespan.__aenter__())

    def run(self, work: Coroutine[Any, Any, T], *, context: Context) -> T:
        """Run an invocation's work to its end. Every log line carries the request's id."""
        with about(requestId=context.aws_request_id):
            try:
                return self._loop.run_until_complete(self._thawed(work))
            finally:
                self._rested_at = self._clock()

    async def _thawed(self, work: Coroutine[Any, Any, T]) -> T:
        rested = (self._clock() - self._rested_at).total_seconds()
        if not 0 <= rested < POOL_IDLE:
            log.debug("frozen for %.0f s: closing connections", rested)
            await self._close()
        return await work
