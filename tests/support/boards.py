"""A status board on a store that can fail."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document, Estimate, PollHint
from offpoll.document_store import MemoryDocumentStore
from offpoll.operation import Outcome, Record, Status, Submission

NOW = datetime(2030, 1, 1, tzinfo=UTC)
ID = "0123456789abcdef" * 2
HINTS: dict[str, Any] = {"estimate": Estimate(mean=NOW), "poll": PollHint(not_before=NOW, interval=2.0)}


class Board:
    """A board with one submission, on a store that can fail."""

    def __init__(self) -> None:
        self.store = MemoryDocumentStore(clock=lambda: NOW)
        self.faults = Faults(self.store)
        self.board = AsyncStatusBoard(store=self.store, clock=lambda: NOW)
        self.submission = Submission(
            operation_id=ID, kind="order", owner="public", status_key=self.board.key(ID), digest="d", base_url="", created_at=NOW
        )

    def record(self, *, attempt: int = 1, outcome: Outcome | None = None) -> Record:
        return Record(submission=self.submission, attempt=attempt, started_at=NOW, expires_at=NOW + timedelta(days=14), outcome=outcome)

    def ended(self, status: Status = Status.SUCCEEDED, *, attempt: int = 1) -> Record:
        return self.record(attempt=attempt, outcome=Outcome(status=status))

    async def create(self) -> bool:
        _, created = await self.board.ensure(self.submission, **HINTS)
        return created

    async def document(self) -> Document:
        stored = await self.board.read(self.submission.status_key)
        assert stored is not None
        return stored.document
