"""A worker's loop over one queue: receives as many messages as there are free slots, and drains when told to.

    receive ─────────── told to drain ─────── its end, at most `wait` later ──► what it brought is given back at once
    a receive that is abandoned instead may still take a message with it, and the queue hides that for a whole visibility timeout

Knows nothing of the protocol: the processor handles each delivery.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from offpoll.errors import DependencyError
from offpoll.queue import Delivery, Queue
from offpoll.work.outage import FIRST_PAUSE, LONGEST_PAUSE, Outage, give_back

__all__ = ["LONG_POLL", "Loop"]

log = logging.getLogger(__name__)

#: How long one receive waits for messages, seconds. A drain waits for its end, and a container often has 10 s to stop (Docker; 30 s with
#: Kubernetes and ECS). SQS's longest is 20 s, which makes a quarter of the requests: docs/costs.md.
LONG_POLL = 5.0

#: How long after its time a draining loop still waits for a receive's response, seconds.
LATE = 2.0

#: A receive that is overdue by this many seconds never ends: the queue's own limits end it much sooner.
STUCK = 60.0

#: A draining loop gives a message back at this many of its deliveries, and works on it at later ones: each delivery counts towards the dead
#: letters, and all workers may be draining.
GIVE_BACKS = 2

#: SQS's largest batch.
BATCH = 10


@dataclass(kw_only=True)
class Loop:
    """Receives from one queue and works on what comes, up to `slots` at once.

    Args:
        work: takes one delivery; raises nothing.
        wait: seconds of a long poll.

    Attributes:
        failing: whether the last receive failed.
    """

    name: str
    queue: Queue
    work: Callable[[Delivery], Coroutine[Any, Any, None]]
    slots: int
    outage: Outage
    wait: float = LONG_POLL
    failing: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _draining: asyncio.Event = field(default_factory=asyncio.Event)
    _freed: asyncio.Event = field(default_factory=asyncio.Event)
    _began: float | None = None

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

    @property
    def draining(self) -> bool:
        """Whether it was told to drain."""
        return self._draining.is_set()

    @property
    def stuck(self) -> bool:
        """Whether a receive is long overdue."""
        return self._began is not None and asyncio.get_running_loop().time() - self._began > self.wait + STUCK

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
                if self.failing:
                    log.warning("%s: received again", self.name)
                pause, self.failing = FIRST_PAUSE, False
            except DependencyError as error:
                self.failing = True
                log.warning("%s: cannot receive: %s; trying again", self.name, error)
                await _first(self.outage.pause(pause), self._draining.wait())
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            if self._draining.is_set():
                deliveries = await self._give_back(deliveries)
            for delivery in deliveries:
                self._start(delivery)

    async def _give_back(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Give back at once what came after the order to drain. Return what it must still work on."""
        back = [each for each in deliveries if each.receives <= GIVE_BACKS]
        await asyncio.gather(*(give_back(self.queue, each, seconds=0.0) for each in back))
        return [each for each in deliveries if each.receives > GIVE_BACKS]

    async def _ready(self) -> None:
        """Wait for a free slot, and for every outage to be over."""
        while len(self._tasks) >= self.slots and not self._draining.is_set():
            self._freed.clear()
            await self._freed.wait()
        if not self._draining.is_set() and self.outage.failing:
            await _first(self.outage.over(), self._draining.wait())

    async def _receive(self, draining: asyncio.Future[Any]) -> list[Delivery]:
        """Receive. A drain waits for the end of the receive, unless that is overdue."""
        self._began = asyncio.get_running_loop().time()
        receiving = asyncio.ensure_future(self.queue.receive(limit=min(BATCH, self.slots - len(self._tasks)), wait=self.wait))
        try:
            await asyncio.wait({receiving, draining}, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await asyncio.wait({receiving}, timeout=self.wait + LATE)
            if receiving.done():
                return list(await receiving)
            log.warning("%s: a receive did not end in time; a message that it takes comes back when its visibility ends", self.name)
            return []
        finally:
            self._began = None
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
