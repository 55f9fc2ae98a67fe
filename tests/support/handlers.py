"""A handler whose runs are scripted and counted, and what holds when an operation has ended, for tests of the worker."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.lab import Lab

from offpoll.operation import Operation, Outcome


class Handler:
    """A handler that counts its runs; what it does in each is scripted."""

    def __init__(self, *script: Any, seconds: float = 1.0) -> None:
        self.script, self.seconds = list(script), seconds
        self.began: list[int] = []
        self.ended: list[str] = []

    def function(self) -> Any:
        async def handle(number: int, operation: Operation) -> Any:
            step = self.script[len(self.began)] if len(self.began) < len(self.script) else None
            self.began.append(operation.attempt)
            try:
                await asyncio.sleep(self.seconds)
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            self.ended.append("ended")
            if isinstance(step, BaseException):
                raise step
            return number if step is None else step

        return handle


def outcome_of(one: Lab, operation_id: str) -> Outcome:
    record = one.record(operation_id)
    assert record is not None
    assert record.outcome is not None
    return record.outcome


def settled(one: Lab, operation_id: str) -> None:
    """Document and record agree, and no message is left."""
    record = one.record(operation_id)
    assert record is not None
    document = one.document(operation_id)
    assert (document.status, document.attempt) == (record.status, record.attempt)
    assert one.messages == 0
    assert not one.system.dead_letters.peek()
