"""The races on one status document: many publishers over a document store, and a rank that only grows.

The order in which a store took the writes is not the order in which their answers came. The etags tell it: each write names the one that
it replaced.

    create ──► etag 1 ◄── replace(etag 1) ──► etag 2 ◄── replace(etag 2) ──► …
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document, Estimate, PollHint
from offpoll.document_store import DocumentStore
from offpoll.link import StatusLink
from offpoll.operation import Outcome, Progress, Record, Status, Submission
from offpoll.testing.contracts.running import WRITERS, Running
from offpoll.testing.contracts.submissions import new_submission

__all__ = ["StatusBoardRaces"]


@dataclass(kw_only=True)
class Observed:
    """A document store that notes every successful write, and lets others go first before each call."""

    store: DocumentStore
    _writes: list[tuple[str | None, str, Document]] = field(default_factory=list)

    async def create(self, key: str, body: bytes) -> str:
        await asyncio.sleep(0)  # in memory nothing would come between a read and the write after it
        etag = await self.store.create(key, body)
        self._writes.append((None, etag, Document.from_bytes(body)))
        return etag

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        await asyncio.sleep(0)
        written = await self.store.replace(key, body, etag=etag)
        self._writes.append((etag, written, Document.from_bytes(body)))
        return written

    async def read(self, key: str) -> tuple[bytes, str] | None:
        await asyncio.sleep(0)
        return await self.store.read(key)

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        return self.store.sign(key, lifetime=lifetime)

    def history(self) -> list[Document]:
        """Return the documents in the order in which the store took them; check that each write replaced the one before it."""
        after = {before: (etag, document) for before, etag, document in self._writes}
        assert len(after) == len(self._writes), "two writes have replaced one version"
        documents: list[Document] = []
        etag: str | None = None
        while etag in after:
            etag, document = after[etag]
            documents.append(document)
        assert len(documents) == len(self._writes), "a write has replaced what nobody wrote"
        return documents


class StatusBoardRaces(Running):
    """Part of DocumentStoreContract. Needs the fixture `store`."""

    @pytest.fixture
    def store(self) -> DocumentStore:
        raise NotImplementedError("a subclass provides the store")

    @pytest.fixture
    def observed(self, store: DocumentStore) -> Observed:
        return Observed(store=store)

    @pytest.fixture
    def board(self, observed: Observed) -> AsyncStatusBoard:
        return AsyncStatusBoard(store=observed)

    @pytest.fixture
    def operation(self) -> Submission:
        """An operation whose document nobody has created."""
        return new_submission()

    @pytest.mark.parametrize("exists", [True, False])
    def test_one_end_that_many_show(self, board: AsyncStatusBoard, observed: Observed, operation: Submission, exists: bool) -> None:
        """Many publishers of one outcome, over a document or without one, write it once, and all get the same document."""
        if exists:
            self._queued(board, operation)
        ended = _record(operation, outcome=Outcome(status=Status.SUCCEEDED, result="1"))
        shown = self.race(board.show(ended) for _ in range(WRITERS))
        assert len({each.etag for each in shown if each is not None}) == 1
        assert None not in shown
        *_, last = observed.history()
        assert (last.status, last.revision, len(observed.history())) == ("succeeded", 1 + exists, 1 + exists)
        assert self._stored(board, operation) == last

    def test_one_of_many_ends_stays(self, board: AsyncStatusBoard, observed: Observed, operation: Submission) -> None:
        """Of different ends, which no record would have, the first one shown stays, and all others get that one."""
        self._queued(board, operation)
        outcomes = [Outcome(status=Status.FAILED, error={"code": f"c{number}", "message": ""}) for number in range(WRITERS)]
        shown = self.race(board.show(_record(operation, outcome=outcome)) for outcome in outcomes)
        stored = self._stored(board, operation)
        assert [None if each is None else each.document for each in shown] == [stored] * WRITERS
        assert [document.status for document in observed.history()] == ["queued", "failed"]

    def test_many_attempts(self, board: AsyncStatusBoard, observed: Observed, operation: Submission) -> None:
        """If many attempts show their progress at once, each write has a higher rank than the one before; the last attempt stays."""
        self._queued(board, operation)
        shown = self.race(board.show(_record(operation, attempt=attempt), progress=Progress(fraction=0.5)) for attempt in _shuffled())
        ranks = [document.rank for document in observed.history()]
        assert ranks == sorted(set(ranks))
        assert self._stored(board, operation).attempt == WRITERS
        for attempt, each in zip(_shuffled(), shown, strict=True):  # each got through, or met a later one
            assert each is not None
            assert each.document.attempt >= attempt

    def test_an_end_among_attempts(self, board: AsyncStatusBoard, observed: Observed, operation: Submission) -> None:
        """An end that is shown while others show progress is the last write, even if its attempt is lower than theirs."""
        self._queued(board, operation)
        records = [_record(operation, attempt=attempt) for attempt in _shuffled()]
        records[WRITERS // 2] = _record(operation, outcome=Outcome(status=Status.CANCELED))
        self.race(board.show(record) for record in records)
        ranks = [document.rank for document in observed.history()]
        assert ranks == sorted(set(ranks))
        assert [document.done for document in observed.history()].count(True) == 1
        assert self._stored(board, operation).status == "canceled"

    def _queued(self, board: AsyncStatusBoard, operation: Submission) -> None:
        hint = PollHint(not_before=operation.created_at, interval=1.0)
        self.run(board.ensure(operation, estimate=Estimate(), poll=hint))

    def _stored(self, board: AsyncStatusBoard, operation: Submission) -> Document:
        found = self.run(board.read(operation.status_key))
        assert found is not None
        return found.document


def _record(operation: Submission, *, attempt: int = 1, outcome: Outcome | None = None) -> Record:
    return Record(
        submission=operation,
        attempt=attempt,
        started_at=operation.created_at,
        finished_at=None if outcome is None else operation.created_at,
        outcome=outcome,
        expires_at=operation.created_at + timedelta(days=14),
    )


def _shuffled() -> list[int]:
    """Return the attempts in a mixed order: in ascending order each would beat the one before, and the last wait for all others."""
    attempts = list(range(1, WRITERS + 1))
    random.Random(64).shuffle(attempts)  # noqa: S311 - the same order in every run
    return attempts
