"""Moves unreadable messages to the parking queue, for people to look at."""

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
        records, board: end the operation, if the message's id is readable.
        lifetime: age at which a record counts as absent, seconds.
        metrics: counts parked messages; operators should set an alarm on that.
    """

    queue: Queue
    parking: Queue
    records: Records
    board: AsyncStatusBoard
    lifetime: float
    metrics: Metrics = field(default_factory=NoMetrics)

    @classmethod
    def of(cls, dependencies: Dependencies, lifetime: float, *, queue: Queue) -> Parking:
        """Return the parking of this queue's messages."""
        return cls(
            queue=queue,
            parking=dependencies.parking,
            records=dependencies.records,
            board=dependencies.board,
            lifetime=lifetime,
            metrics=dependencies.metrics,
        )

    async def malformed(self, delivery: Delivery, error: MalformedMessage) -> None:
        """Park an unreadable message. If its id is readable and no worker holds the operation, decide that `failed` first.

        Raises:
            DependencyUnavailable, DependencyRefused: the message is still where it was.
        """
        if error.operation_id is not None and error.owner is not None:
            await self._fail(error.operation_id, error.owner)
        await self.park(delivery, str(error))

    async def park(self, delivery: Delivery, reason: str) -> None:
        """Park a message: send it unchanged, then delete it here. A crash in between leaves two copies, and both will be parked.

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
