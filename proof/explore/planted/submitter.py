"""Faults of the submitter: wrong order, a missing message, no comparison of digests."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from offpoll.board import AsyncStatusBoard, Stored
from offpoll.submit import Submitter

__all__ = ["digest_not_compared", "enqueue_before_create", "no_second_message"]


def enqueue_before_create() -> AbstractContextManager[object]:
    accept = Submitter._accept

    async def hasty(self: Submitter, message: Any, **more: Any) -> Stored:
        await self.queue.send(message.to_envelope())
        return await accept(self, message, **more)

    return patch.object(Submitter, "_accept", hasty)


def no_second_message() -> AbstractContextManager[object]:
    ensure = AsyncStatusBoard.ensure

    async def accept(self: Submitter, message: Any, **more: Any) -> Stored:
        stored, created = await ensure(self.board, message.submission, **more)
        if created:
            await self.queue.send(message.to_envelope())
        return stored

    return patch.object(Submitter, "_accept", accept)


def digest_not_compared() -> AbstractContextManager[object]:
    async def accept(self: Submitter, message: Any, **more: Any) -> Stored:
        stored, _ = await self.board.ensure(message.submission, **more)
        await self.queue.send(message.to_envelope())
        return stored

    return patch.object(Submitter, "_accept", accept)
