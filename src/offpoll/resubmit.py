"""Submits a failed operation again: its record kept the input, and a new operation takes it.

    record, failed ──input──► submit, under an id derived from the old one ──► document: queued, `resubmit_of` ──► message

The failed operation stays as it is: an end never changes. The new id is derived from the old one, so a second resubmit, after a lost
answer or by another person, finds the operation that the first one made. If that fails too, it is resubmitted under its own id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offpoll.board import AsyncStatusBoard
from offpoll.document import Document
from offpoll.errors import ConfigurationError, NotResubmittable, OperationNotFound
from offpoll.kind import Kind
from offpoll.operation import Record, Status, is_operation_id
from offpoll.records import Records
from offpoll.submit import Submitter

__all__ = ["Resubmitter"]


@dataclass(frozen=True, kw_only=True)
class Resubmitter:
    """Submits failed operations again.

    Args:
        public_url: the API's address for links; if empty, the address to which the failed operation was submitted.
    """

    records: Records
    board: AsyncStatusBoard
    submitter: Submitter
    kinds: Mapping[str, Kind]
    public_url: str

    async def resubmit(self, operation_id: str, *, owner: str) -> Document:
        """Submit a failed operation again.

        Returns:
            The new operation's document: `queued`, or further if this was done before. Its `resubmit_of` is the failed one's id.

        Raises:
            OperationNotFound: this owner has no such operation, or it is past its retention.
            NotResubmittable: it has not failed, or its input was not kept.
            ConfigurationError: this app does not have its kind.
            InvalidJSON, InvalidInput: the kind does not take this input (any more), so it would fail again. Nothing is enqueued.
            DependencyUnavailable: the effect is unknown; repeating it finishes the job.
            DependencyRefused: by the records, the store or the queue.
        """
        record, kept = await self._failed(operation_id, owner)
        name = record.submission.kind
        kind = self.kinds.get(name)
        if kind is None:
            known = ", ".join(self.kinds)
            raise ConfigurationError(f"operation {operation_id} is of kind {name!r}, which this app does not have: {known}")
        document, _ = await self.submitter.submit(
            name,
            kind.accept(kept),
            owner=owner,
            idempotency_key=None,
            base_url=self.public_url or record.submission.base_url,
            lateness_weight=kind.lateness_weight,
            resubmit_of=operation_id,
        )
        return document

    async def _failed(self, operation_id: str, owner: str) -> tuple[Record, bytes]:
        """Return a failed operation's record and the input that it kept."""
        if not is_operation_id(operation_id):
            raise OperationNotFound("An operation id is 32 lowercase hex digits.")
        record = (await self.records.get(operation_id)).record
        if record is None:
            raise await self._unrecorded(operation_id, owner)
        if record.submission.owner != owner:
            raise OperationNotFound(f"Operation {operation_id} does not belong to the owner {owner!r}.")
        if record.status is not Status.FAILED:
            raise _not_failed(operation_id, record.status)
        if record.input is None:
            code = (record.outcome.error or {}).get("code") if record.outcome is not None else None
            why = f"Operation {operation_id} failed with {code}, and no input was kept"
            parked = ": its message is in the parking queue" if code == "malformed_message" else ""
            raise NotResubmittable(f"{why}{parked}. Only somebody who has the input can submit it again.")
        return record, record.input

    async def _unrecorded(self, operation_id: str, owner: str) -> OperationNotFound | NotResubmittable:
        """Say why there is no record; the document, which lives longer, may tell."""
        stored = await self.board.read(self.board.key(operation_id, owner=owner))
        if stored is None:
            return OperationNotFound(f"There is no operation {operation_id} of the owner {owner!r}, or it is past its retention.")
        if stored.document.status != Status.FAILED:
            return _not_failed(operation_id, stored.document.status)
        return NotResubmittable(f"Operation {operation_id} failed so long ago that its record has expired, and the input with it.")


def _not_failed(operation_id: str, status: str) -> NotResubmittable:
    return NotResubmittable(f"Operation {operation_id} is {status}. Only a failed operation keeps its input.", operation_status=status)
