"""Gathers concurrent calls into batches.

A call goes at once if no request is under way, so a lone call never waits. Later calls go together when that request ends, or as soon
as they fill a batch.

    call 1 ─► goes alone ───────► response
    call 2..7    ├ wait ────────────┴─► go as one batch
    call 8..17   ├ the tenth waiting ─► a full batch goes at once
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from offpoll.loops import HomeLoop

__all__ = ["Batcher"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Batches the calls of one verb, in one event loop at a time.

    Args:
        one: makes a lone call.
        many: makes a batch of at least two, and returns each item's result or error, in order.
        limit: most items in a batch.
        limit_bytes: most bytes in a batch; 0 for no limit.
        size: returns an item's bytes.
    """

    def __init__(
        self,
        *,
        one: Callable[[Item], Awaitable[Result]],
        many: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        limit: int,
        limit_bytes: int = 0,
        size: Callable[[Item], int] | None = None,
    ) -> None:
        self._one = one
        self._many = many
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._size = size
        self._home = HomeLoop()
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._under_way = 0
        self._loop: asyncio.AbstractEventLoop | None = None  # while calls are under way, the one they run on
        self._tasks: set[asyncio.Task[None]] = set()

    async def call(self, item: Item) -> Result:
        """Make one call, alone or in a batch. Raises the call's own error, or the whole batch's."""
        if self._home.loop is not (loop := asyncio.get_running_loop()):
            self._move(loop)
        if self._loop is not None:
            future: asyncio.Future[Result] = self._loop.create_future()
            self._waiting.append((item, future))
            if len(self._waiting) >= self._limit:
                self._start(self._loop)
            return await future
        self._loop = loop
        self._under_way += 1
        try:
            return await self._one(item)
        finally:
            self._end()

    def _move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Move to another event loop. Calls of the last one never end here."""
        self._home.move(loop, left=(self._waiting, self._tasks))
        self._waiting, self._under_way, self._loop, self._tasks = deque(), 0, None, set()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._under_way += 1
        task = loop.create_task(self._run(self._take()))
        self._tasks.add(task)  # the loop holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    def _end(self) -> None:
        self._under_way -= 1
        if self._under_way or self._loop is None:
            return
        if self._waiting:
            self._start(self._loop)
        else:
            self._loop = None

    def _take(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Take as many waiting calls as fit into one batch; drop those that were cancelled."""
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        total = 0
        while self._waiting and len(taken) < self._limit:
            item, future = self._waiting[0]
            if not future.done():
                total += self._size(item) if self._size else 0
                if taken and self._limit_bytes and total > self._limit_bytes:
                    break
                taken.append((item, future))
            self._waiting.popleft()
        return taken

    async def _run(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        futures = [future for _, future in batch]
        try:
            results: Sequence[Result | Exception] = await self._send([item for item, _ in batch])
        except Exception as error:
            results = [error] * len(batch)
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        finally:
            self._end()
        for future, result in zip(futures, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _send(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        if len(items) > 1:
            return await self._many(items)
        return [await self._one(item) for item in items]
