"""Asking for an operation, and canceling it: the record says what is true, the document shows it, and asking repairs a document that lags.

Decides what a caller is told while a store or a table is out of reach.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document, project
from offpoll.errors import (
    DependencyError,
    DependencyUnavailable,
    DigestMismatch,
    MalformedDocument,
    NotCancelable,
    OperationNotFound,
)
from offpoll.instant import to_milliseconds
from offpoll.kind import Kind
from offpoll.link import StatusLink
from offpoll.operation import Operation, Outcome, Record, Status, Submission, is_operation_id
from offpoll.records import Idle, Records, Undecided

__all__ = ["Lookup", "Snapshot"]

log = logging.getLogger(__name__)

#: How often a cancel looks again after a claim came between.
ROUNDS = 16


class Snapshot:
    """What is known of an operation that was asked for.

    Args:
        document: its status document, or what makes one when somebody asks for it: a result is all that most callers want.
        result: if it succeeded, the result as JSON text.
        repair: publishes what the record says if the document lags; never raises for a store.
    """

    def __init__(
        self, document: Document | Callable[[], Document], *, result: str | None = None, repair: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self.result = result
        self._document, self._repair = document, repair

    @property
    def document(self) -> Document:
        """The operation's status document, or what that would say."""
        if not isinstance(self._document, Document):
            self._document = self._document()
        return self._document

    async def repair(self) -> None:
        """Bring a document up to date that lags behind its record. Best effort."""
        if self._repair is not None:
            await self._repair()


@dataclass(frozen=True, kw_only=True)
class Lookup:
    """Answers questions about operations.

    Args:
        board, records: where the documents and the records are.
        lifetime: seconds after which a record counts as absent.
        clock: the wall clock.
        state: gives what the lifespan yielded, for fetch hooks.
    """

    board: AsyncStatusBoard
    records: Records
    lifetime: float
    clock: Callable[[], datetime]
    state: Callable[[], Any]

    async def find(self, kind: Kind, operation_id: str, *, owner: str) -> Snapshot:
        """Return an operation, with its result if it succeeded. Its document may lag behind its record until `repair` is awaited.

        Raises:
            OperationNotFound: there is none of this kind and owner, or it is past its retention.
            DependencyUnavailable: neither record nor document can be read, or the result cannot.
        """
        key = self._key(operation_id, owner)
        record, fault = await self._record(kind, operation_id, owner)
        if record is not None and record.outcome is not None:
            return await self._ended(kind, record, record.outcome)
        try:
            stored = await self.board.read(key)
        except (DependencyError, MalformedDocument) as error:
            if record is None:
                raise fault or error from error
            stored = None
        if stored is None and record is not None:
            return Snapshot(self._projected(kind, record))
        if stored is None or stored.document.kind != kind.name:
            raise _not_found(kind, operation_id)
        return await self._without_outcome(kind, stored.document, owner, fault)

    async def status_link(self, kind: Kind, operation_id: str, *, owner: str) -> StatusLink:
        """Return a fresh link to the status document of an operation that exists.

        Raises:
            OperationNotFound, DependencyUnavailable, DependencyRefused.
        """
        document = await self._document(kind, operation_id, owner)
        return self.board.link(self._key(operation_id, owner), estimate=document.estimate)

    async def cancel(self, kind: Kind, operation_id: str, *, owner: str) -> Document:
        """Decide that an operation is canceled, publish that, and return the document. Repeating it repairs.

        Raises:
            OperationNotFound: there is no document.
            NotCancelable: it ended otherwise.
            DependencyUnavailable: the effect is unknown; repeat it.
        """
        document = await self._document(kind, operation_id, owner)
        if not document.done:
            record = await self._canceled(self.board.submission_of(document, owner=owner))
            try:
                shown = await self.board.show(record, show_result=kind.show_result)
            except DigestMismatch as error:
                raise OperationNotFound(f"Operation {operation_id} cannot be shown: {error}") from error
            document = document if shown is None else shown.document
        if document.status != Status.CANCELED:
            raise NotCancelable(f"The operation has already {document.status}.", operation_status=document.status)
        return document

    def _key(self, operation_id: str, owner: str) -> str:
        if not is_operation_id(operation_id):
            raise OperationNotFound("An operation id is 32 lowercase hex digits.")
        return self.board.key(operation_id, owner=owner)

    async def _record(self, kind: Kind, operation_id: str, owner: str) -> tuple[Record | None, DependencyError | None]:
        """Read the record; None if there is none; if it cannot be read, None and the error."""
        try:
            record = (await self.records.get(operation_id)).record
        except DependencyError as error:
            return None, error
        if record is not None and (record.submission.owner, record.submission.kind) != (owner, kind.name):
            raise _not_found(kind, operation_id)
        return record, None

    async def _document(self, kind: Kind, operation_id: str, owner: str) -> Document:
        stored = await self.board.read(self._key(operation_id, owner))
        if stored is None or stored.document.kind != kind.name:
            raise _not_found(kind, operation_id)
        return stored.document

    async def _ended(self, kind: Kind, record: Record, outcome: Outcome) -> Snapshot:
        """Answer from the outcome."""
        result = await self._result(kind, record.submission, outcome.result) if outcome.status is Status.SUCCEEDED else None
        return Snapshot(partial(self._projected, kind, record), result=result, repair=partial(self._repair, kind, record))

    def _projected(self, kind: Kind, record: Record) -> Document:
        """Return what the document of a record says, or would say."""
        return project(record, before=None, updated_at=to_milliseconds(self.clock()), show_result=kind.show_result)

    async def _without_outcome(self, kind: Kind, document: Document, owner: str, fault: DependencyError | None) -> Snapshot:
        """Answer from the document alone: nobody claimed yet, the records are out of reach, or the record has expired."""
        if document.status != Status.SUCCEEDED:
            return Snapshot(document)
        if kind.fetch is not None:
            return Snapshot(document, result=await self._result(kind, self.board.submission_of(document, owner=owner), None))
        if fault is not None:
            raise fault
        raise OperationNotFound(f"The result of operation {document.id} is past its retention.")

    async def _result(self, kind: Kind, submission: Submission, recorded: str | None) -> str | None:
        if kind.fetch is None:
            return recorded
        operation = Operation.of(submission, attempt=1, state=self.state())
        if inspect.iscoroutinefunction(kind.fetch):
            found = await kind.fetch(operation)
        else:
            found = await asyncio.to_thread(kind.fetch, operation)
        if found is None:
            raise OperationNotFound(f"Operation {submission.operation_id} succeeded, but its result no longer exists.")
        return kind.dump_result(found)

    async def _repair(self, kind: Kind, record: Record) -> None:
        try:
            await self.board.show(record, show_result=kind.show_result)
        except (DependencyError, DigestMismatch, MalformedDocument) as error:
            # Best effort: the answer comes from the record, and the next question, or the message, repairs.
            log.warning("operation %s: its document could not be repaired: %s", record.submission.operation_id, error)

    async def _canceled(self, submission: Submission) -> Record:
        outcome = Outcome(status=Status.CANCELED, error={"code": "canceled", "message": "The operation was canceled."})
        for _ in range(ROUNDS):
            found = await self.records.get(submission.operation_id)
            if found.record is not None and found.record.done:
                return found.record
            decided = await self.records.decide(
                submission,
                outcome,
                guard=Idle(attempt=0) if found.record is None else Undecided(),
                expires_at=submission.created_at + timedelta(seconds=self.lifetime),
            )
            if decided.record is not None and decided.record.done:
                return decided.record
        raise DependencyUnavailable("records", f"the record of {submission.operation_id} kept changing under {ROUNDS} cancels")


def _not_found(kind: Kind, operation_id: str) -> OperationNotFound:
    return OperationNotFound(f"There is no operation {operation_id} of kind {kind.name!r}, or it is past its retention.")
