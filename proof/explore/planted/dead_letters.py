"""Faults of the dead-letter consumer: it ignores the record, or deletes too soon."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from offpoll.operation import Outcome, Record, Status
from offpoll.records import Undecided
from offpoll.work.dead_letters import DeadLetters

__all__ = ["delete_first", "records_ignored"]


def records_ignored() -> AbstractContextManager[object]:
    async def blind(self: DeadLetters, delivery: Any, message: Any, kind: Any) -> None:
        outcome = Outcome(status=Status.FAILED, error={"code": "dead_letter", "message": "It was delivered too often."})
        decided = await self.dependencies.records.decide(
            message.submission, outcome, guard=Undecided(), expires_at=self.claimer.expires_at(message.submission)
        )
        if decided.record is not None and decided.record.done:
            await self._finish(delivery, decided.record, show_result=kind.show_result)

    return patch.object(DeadLetters, "_settle_by_record", blind)


def delete_first() -> AbstractContextManager[object]:
    async def hasty(self: DeadLetters, delivery: Any, record: Record, *, show_result: bool) -> None:
        await self.dependencies.dead_letters.delete(delivery)
        await self.dependencies.board.show(record, show_result=show_result)

    return patch.object(DeadLetters, "_finish", hasty)
