"""Inspects one operation for an operator: its document, its record, its queues, and what follows from them. It can also repair.

Decides in which order they are read, and that a repair publishes only what the record says. It goes on if a dependency does not answer:
in an outage, an operator needs what the others know.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from offpoll.board import Stored
from offpoll.dependencies import Dependencies
from offpoll.document import Document
from offpoll.errors import ConfigurationError, DependencyError, MalformedDocument, OffpollError
from offpoll.kind import Kind
from offpoll.operation import Record, Status
from offpoll.operators.diagnosis import Agreement, Waiting, advice, compare, waiting
from offpoll.queue import Depth
from offpoll.records import Update

__all__ = ["Inspection", "Inspector"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What is known about an operation.

    Attributes:
        operation_id, owner, key: what was asked for, and the key of its document.
        at: the store's time of this inspection; None if the records do not answer.
        document, record: None if there is none, or it could not be read.
        queue, dead_letters, parking: how many messages each holds, of all operations; None if it did not answer.
        faults: the errors of dependencies that did not answer.
        agreement: None if document or record could not be read.
        waits: what it waits for; None if unknown.
        repaired: whether this inspection follows a repair.
    """

    operation_id: str
    owner: str
    key: str
    at: datetime | None = None
    document: Document | None = None
    record: Record | None = None
    queue: Depth | None = None
    dead_letters: Depth | None = None
    parking: Depth | None = None
    faults: tuple[DependencyError, ...] = ()
    agreement: Agreement | None = None
    waits: Waiting | None = None
    repaired: bool = False

    @property
    def found(self) -> bool:
        """Whether there is a document or a record."""
        return self.document is not None or self.record is not None

    @property
    def kind(self) -> str | None:
        """Its kind, from the record or the document; None if neither is known."""
        if self.record is not None:
            return self.record.submission.kind
        return None if self.document is None else self.document.kind

    @property
    def no_message(self) -> bool:
        """Whether neither the queue nor its dead letters hold any message. Their counters may be a minute old."""
        depths = (self.queue, self.dead_letters)
        return all(each is not None and not (each.visible or each.in_flight or each.delayed) for each in depths)

    @property
    def advice(self) -> str:
        """What a person can do about it; empty if there is nothing to do."""
        return advice(self.document, self.record, self.agreement, self.waits, no_message=self.no_message)


@dataclass(frozen=True, kw_only=True)
class Inspector:
    """Inspects operations.

    Args:
        dependencies: where to look.
        window: seconds after which an operation is too old to begin.
        kinds: the known kinds, by name. For another kind, questions that depend on it stay open.
    """

    dependencies: Dependencies
    window: float
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    async def inspect(self, operation_id: str, *, owner: str) -> Inspection:
        """Read everything that is known about an operation, and change nothing.

        Raises:
            ConfigurationError: by a dependency, if a name or credentials are missing.
        """
        stores, key = self.dependencies, self.dependencies.board.key(operation_id, owner=owner)
        queues = (stores.queue, stores.dead_letters, stores.parking)
        (stored, update), (queue, dead_letters, parking) = await asyncio.gather(
            self._both(key, operation_id), asyncio.gather(*(_tried(each.depth()) for each in queues))
        )
        answers = (stored, update, queue, dead_letters, parking)
        for each in answers:
            if isinstance(each, OffpollError) and not isinstance(each, DependencyError | MalformedDocument):
                raise each
        found = Inspection(
            operation_id=operation_id,
            owner=owner,
            key=key,
            document=stored.document if isinstance(stored, Stored) else None,
            queue=_or_none(queue),
            dead_letters=_or_none(dead_letters),
            parking=_or_none(parking),
            faults=tuple(each for each in answers if isinstance(each, DependencyError)),
        )
        return self._judged(found, stored, update)

    async def repair(self, operation_id: str, *, owner: str) -> Inspection:
        """If the document lags behind an outcome, publish what the record says, and inspect again.

        Raises:
            ConfigurationError: also if it succeeded and its kind, which says whether to publish results, is not known here.
            DependencyUnavailable, DependencyRefused: by the store. Repeating it does no harm.
            DigestMismatch, MalformedDocument: another document was written meanwhile. It is left alone.
        """
        found = await self.inspect(operation_id, owner=owner)
        if found.record is None or found.agreement is None or not found.agreement.repairable:
            return found
        await self.dependencies.board.show(found.record, show_result=self._shows_result(found.record))
        return replace(await self.inspect(operation_id, owner=owner), repaired=True)

    async def _both(self, key: str, operation_id: str) -> tuple[Stored | OffpollError | None, Update | OffpollError]:
        """Read the document, then the record: an end in between then looks like a lagging document, which it was, not like a fault."""
        stored = await _tried(self.dependencies.board.read(key))
        return stored, await _tried(self.dependencies.records.get(operation_id))

    def _shows_result(self, record: Record) -> bool:
        name = record.submission.kind
        if record.status is not Status.SUCCEEDED:
            return False
        if name not in self.kinds:
            raise ConfigurationError(
                f"the operation has succeeded, and only its kind says whether the result is published: name the app that has {name!r}, "
                "as MODULE:APP"
            )
        return self.kinds[name].show_result

    def _judged(self, found: Inspection, stored: Stored | OffpollError | None, update: Update | OffpollError) -> Inspection:
        if isinstance(stored, MalformedDocument):
            broken = f"the object {found.key} is no status document: {stored}. Nobody overwrites it: find out who wrote it, then delete it"
            found = replace(found, agreement=Agreement(agree=False, text=broken))
        if isinstance(update, OffpollError):
            return found
        found = replace(found, record=update.record, at=update.at)
        if not isinstance(stored, OffpollError):
            agreement = compare(found.document, found.record, key=found.key, owner=found.owner, now=update.at)
            found = replace(found, agreement=agreement)
        return replace(found, waits=self._waiting(found, update.at, read=not isinstance(stored, OffpollError)))

    def _waiting(self, found: Inspection, now: datetime, *, read: bool) -> Waiting | None:
        """Tell what it waits for. Unless the document was `read`, nobody knows whether an outcome is still to be shown."""
        document, record, kind = found.document, found.record, self.kinds.get(found.kind or "")
        if record is not None:
            submission = record.submission
            elsewhere = (submission.owner, submission.status_key) != (found.owner, found.key)
            if elsewhere or (record.done and not read):
                return None
        elif document is not None:
            submission = self.dependencies.board.submission_of(document, owner=found.owner)
        else:
            return None
        attempts = None if kind is None else kind.attempts
        return waiting(document, record, submission=submission, now=now, attempts=attempts, window=self.window)


def _or_none(answer: Depth | OffpollError) -> Depth | None:
    return None if isinstance(answer, OffpollError) else answer


async def _tried(call: Awaitable[T]) -> T | OffpollError:
    try:
        return await call
    except OffpollError as error:
        return error
