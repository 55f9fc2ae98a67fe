"""Messages that nobody can read: they go to the parking queue, where people look at them, and the worker goes on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta

from offpoll.board import AsyncStatusBoard
from offpoll.dependencies import Dependencies
from offpoll.errors import MalformedMessage
from offpoll.metrics import MESSAGES_PARKED, Metrics, NoMetrics
from offpoll.operation import Outcome, Status
from offpoll.queue import Delivery, Queue
from offpoll.records import Idle, Records

__all__ = ["Parking"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Parking:
    """Moves messages from a queue to the parking queue.

    Args:
        queue: where they come from.
        parking: where they go.
        records, board: to end the operation of one whose id can be read.
        lifetime: seconds after which a record counts as absent.
        metrics: counts what is parked: an alarm is to be set on it.
    """

    queue: Queue
    parking: Queue
    records: Records
    board: AsyncStatusBoard
    lifetime: float
    metrics: Metrics = field(default_factory=NoMetrics)

    @classmethod
    def of(cls, dependencies: Dependencies, lifetime: float, *, queue: Queue) -> Parking:
        """Return what moves messages from this queue."""
        return cls(
            queue=queue,
            parking=dependencies.parking,
            records=dependencies.records,
            board=dependencies.board,
            lifetime=lifetime,
            metrics=dependencies.metrics,
        )

    async def malformed(self, delivery: Delivery, error: MalformedMessage) -> None:
        """Park a message that cannot be read. Where its id can, and nobody works on the operation, that is decided `failed` first.

        Raises:
            DependencyUnavailable, DependencyRefused: the message is still where it was.
        """
        if error.operation_id is not None and error.owner is not None:
            await self._fail(error.operation_id, error.owner)
        await self.park(delivery, str(error))

    async def park(self, delivery: Delivery, reason: str) -> None:
        """Park a message: send it there as it is, then delete it here. A crash between leaves two, and both will be parked.

        Raises:
            DependencyUnavailable, DependencyRefused: the message is still where it was.
        """
        log.error("message parked: %s", reason)
        await self.parking.send(delivery.envelope)
        self.metrics.count(MESSAGES_PARKED)
        await self.queue.delete(delivery)

    async def _fail(self, operation_id: str, owner: str) -> None:
        stored = await self.board.read(self.board.key(operation_id, owner=owner))
        if stored is None or stored.document.done:
            return
        submission = self.board.submission_of(stored.document, owner=owner)
        found = await self.records.get(operation_id)
        decided = await self.records.decide(
            submission,
            Outcome(status=Status.FAILED, error={"code": "malformed_message", "message": "The operation's message cannot be read."}),
            guard=Idle(attempt=0 if found.record is None else found.record.attempt),
            expires_at=submission.created_at + timedelta(seconds=self.lifetime),
        )
        if decided.record is not None and decided.record.done:
            await self.board.show(decided.record, held=stored)
