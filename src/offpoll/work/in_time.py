"""Deliveries worked on together, until a time that is known. Must not know what is done with one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from offpoll.log_lines import about
from offpoll.queue import Delivery

__all__ = ["LEAVE_BEFORE", "TimeLeft", "begin", "within"]

#: So long before the end nothing is waited for any more, seconds: the answer still has to be given.
LEAVE_BEFORE = 2.0

#: Tells the seconds until this process is killed.
TimeLeft = Callable[[], float]


def begin(
    deliveries: Collection[Delivery], work: Callable[[Delivery], Coroutine[Any, Any, None]], *, slots: int
) -> set[asyncio.Future[None]]:
    """Begin work on each delivery, on so many at once. Every line of the log names the operation that it is about."""
    free = asyncio.Semaphore(slots)

    async def one(delivery: Delivery) -> None:
        attributes = delivery.envelope.attributes
        async with free:
            with about(operation_id=attributes.get("operation_id", "-"), kind=attributes.get("kind", "-")):
                await work(delivery)

    return {asyncio.ensure_future(one(each)) for each in deliveries}


async def within(seconds: float, tasks: Collection[asyncio.Future[None]]) -> set[asyncio.Future[None]]:
    """Wait at most so long for tasks, and return those that are not done. Raises what one of them raised."""
    if not tasks:
        return set()
    done, rest = await asyncio.wait(tasks, timeout=max(0.0, seconds))
    for each in done:
        each.result()
    return rest
