"""A worker's loop over one queue: receives as many messages as there are free slots, and drains when told to.

Knows nothing of the protocol: the processor handles each delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from offpoll.errors import DependencyError
from offpoll.queue import Delivery, Queue
from offpoll.work.outage import FIRST_PAUSE, LONGEST_PAUSE, Outage, give_back

__all__ = ["LONG_POLL", "Loop"]

log = logging.getLogger(__name__)

#: SQS's longest long poll, seconds.
LONG_POLL = 20.0

#: SQS's largest batch.
BATCH = 10


@dataclass(kw_only=True)
class Loop:
    """Receives from one queue and works on what comes, up to `slots` at once.

    Args:
        work: takes one delivery; raises nothing.
        wait: seconds of a long poll.
    """

    name: str
    queue: Queue
    work: Callable[[Delivery], Coroutine[Any, Any, None]]
    slots: int
    outage: Outage
    wait: float = LONG_POLL
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _draining: asyncio.Event = field(default_factory=asyncio.Event)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Work until drained.

        Raises:
            ConfigurationError: by the queue. What is held goes on: `emptied` waits for it.
        """
        await self._receive_until_drained()
        await self.emptied()

    async def emptied(self) -> None:
        """Wait until nothing is held any more."""
        if self._tasks:
            log.info("%s: draining %d operations", self.name, len(self._tasks))
            await asyncio.wait(self._tasks)

    def drain(self) -> None:
        """Take nothing new; `run` returns when what is held is done."""
        self._draining.set()
        self._freed.set()

    async def _receive_until_drained(self) -> None:
        draining = asyncio.ensure_future(self._draining.wait())
        try:
            await self._receive_until(draining)
        finally:
            draining.cancel()

    async def _receive_until(self, draining: asyncio.Future[Any]) -> None:
        pause = FIRST_PAUSE
        while not self._draining.is_set():
            await self._ready()
            if self._draining.is_set():
                break
            try:
                deliveries = await self._receive(draining)
                pause = FIRST_PAUSE
            except DependencyError as error:
                log.warning("%s: cannot receive: %s; trying again", self.name, error)
                await _first(self.outage.pause(pause), self._draining.wait())
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            for delivery in deliveries:
                if self._draining.is_set():  # received in the moment of the drain
                    await give_back(self.queue, delivery, seconds=0.0)
                else:
                    self._start(delivery)

    async def _ready(self) -> None:
        """Wait for a free slot, and for every outage to be over."""
        while len(self._tasks) >= self.slots and not self._draining.is_set():
            self._freed.clear()
            await self._freed.wait()
        if not self._draining.is_set() and self.outage.failing:
            await _first(self.outage.over(), self._draining.wait())

    async def _receive(self, draining: asyncio.Future[Any]) -> list[Delivery]:
        """Receive, but let go of a long poll when told to drain: messages that it still receives come back when their visibility ends."""
        receiving = asyncio.ensure_future(self.queue.receive(limit=min(BATCH, self.slots - len(self._tasks)), wait=self.wait))
        try:
            await asyncio.wait({receiving, draining}, return_when=asyncio.FIRST_COMPLETED)
            return list(await receiving) if receiving.done() else []
        finally:
            receiving.cancel()

    def _start(self, delivery: Delivery) -> None:
        task = asyncio.get_running_loop().create_task(self.work(delivery))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._freed.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("%s: a delivery was dropped by a fault in offpoll; it comes back", self.name, exc_info=task.exception())


async def _first(*awaitables: Awaitable[object]) -> None:
    tasks = {asyncio.ensure_future(each) for each in awaitables}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
