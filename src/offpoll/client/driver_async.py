"""Drives a schedule of waits on the running loop: each request under way has a task, and an idle wait has none.

`schedule` decides which wait is due, and the client sends the requests. `driver_blocking` is its blocking twin.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import Any, TypeAlias

from offpoll.client.schedule import WaitSchedule
from offpoll.document import Document
from offpoll.errors import ClientError
from offpoll.exchange import Event, Fetch, Reply, Shown
from offpoll.freezes import NAP

__all__ = ["OnUpdate", "drive", "tell"]

OnUpdate: TypeAlias = Callable[[Document], object | Awaitable[object]]
Perform: TypeAlias = Callable[[Event], Awaitable[Reply]]


async def drive(
    schedule: WaitSchedule[Any], *, perform: Perform, on_update: OnUpdate | None, max_in_flight: int, news: asyncio.Event | None = None
) -> None:
    """Give every wait its turns until all have ended. `perform` returns an event's reply; `news` is set when waits have ended."""
    tasks: set[asyncio.Task[None]] = set()
    failed: list[BaseException] = []
    moved = asyncio.Event()

    def over(task: asyncio.Task[None]) -> None:
        tasks.discard(task)
        moved.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            failed.append(error)

    try:
        while schedule.left:
            moved.clear()
            if failed:
                raise failed[0]
            for number, event in islice(schedule.turns(), max_in_flight - len(tasks)):
                task = asyncio.create_task(_serve(schedule, number, event, perform, on_update))
                tasks.add(task)
                task.add_done_callback(over)
            if news is not None and schedule.ended:
                news.set()
            if schedule.left:
                await _first(moved, within=schedule.pause() if len(tasks) < max_in_flight else None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def tell(on_update: OnUpdate, document: Document) -> None:
    """Call `on_update` with a document, and await it if it is async."""
    told = on_update(document)
    if isinstance(told, Awaitable):
        await told


async def _serve(
    schedule: WaitSchedule[Any], number: int, event: Fetch | Shown | None, perform: Perform, on_update: OnUpdate | None
) -> None:
    """Serve one wait until its turn is over."""
    while event is not None:
        try:
            reply = await perform(event)
        except ClientError as error:
            schedule.fail(number, error)
            return
        if isinstance(event, Shown) and on_update is not None:
            await tell(on_update, event.document)
        event = schedule.go_on(number, reply)


async def _first(moved: asyncio.Event, *, within: float | None) -> None:
    """Wait until a task has ended, or the time is up. Return early rather than sleep long: timers do not count suspended time."""
    try:
        async with asyncio.timeout(None if within is None else min(NAP, within)):
            await moved.wait()
    except TimeoutError:
        pass  # a wait is due
