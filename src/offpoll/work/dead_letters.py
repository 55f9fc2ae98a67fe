"""The dead-letter consumer: a worker that never handles.

A message gets here when it was delivered too often, which says little: deliveries are not attempts. The record tells: decided → repair the
document and delete; a live lease → wait; attempts left → enqueue again with a delay, then delete; else decide `failed`, under the same
condition as a claim does. What somebody newer may know stays, until it is too old for anybody.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from offpoll.dependencies import Dependencies
from offpoll.errors import ConfigurationError, DependencyError, DigestMismatch, MalformedDocument, MalformedMessage, UnsupportedMessage
from offpoll.kind import Kind
from offpoll.log_lines import about
from offpoll.operation import Record, Status
from offpoll.queue import Delivery, Message
from offpoll.setting_ranges import MAX_ATTEMPTS
from offpoll.work.claim import Claimer
from offpoll.work.outage import give_back
from offpoll.work.parking import Parking
from offpoll.work.verdict import AFTER_LEASE, Decided, GiveUp, Held, judge

__all__ = ["SLOTS", "DeadLetters"]

log = logging.getLogger(__name__)

#: What cannot be settled now is looked at again after so many seconds.
LATER = 300.0

#: A message that is enqueued again waits so long first, seconds: it has just failed to be worked on several times.
REQUEUE_DELAY = 60.0


#: Dead letters are rare and cheap to settle: this many at once.
SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Settles dead letters, one delivery at a time."""

    dependencies: Dependencies
    kinds: Mapping[str, Kind]
    claimer: Claimer

    @property
    def parking(self) -> Parking:
        """Where a message goes that cannot be read."""
        return Parking.of(self.dependencies, self.claimer.lifetime, queue=self.dependencies.dead_letters)

    async def settle(self, delivery: Delivery) -> None:
        """Settle one. Raises nothing: what cannot be settled stays in the queue."""
        with about(**delivery.names):
            await self._guarded(delivery)

    async def _guarded(self, delivery: Delivery) -> None:
        try:
            await self._settle(delivery)
        except (DigestMismatch, MalformedDocument) as error:
            await self._or_later(delivery, str(error))
        except Exception as error:
            # Anything but a dependency's or the operator's fault is a fault in offpoll. The letter stays in the queue until it is mended.
            fault = not isinstance(error, DependencyError | ConfigurationError)
            log.log(logging.ERROR if fault else logging.WARNING, "a dead letter stays for now: %s", error, exc_info=fault)
            await self._later(delivery, LATER)

    async def _settle(self, delivery: Delivery) -> None:
        try:
            message = Message.from_envelope(delivery.envelope)
            kind = self.kinds.get(message.submission.kind)
            if kind is None and not await self._expired(delivery, message):
                raise UnsupportedMessage(f"no handler for kind {message.submission.kind!r} here")
        except UnsupportedMessage as error:
            log.warning("a dead letter stays for now: %s", error)
            return await self._later(delivery, LATER)
        except MalformedMessage as error:
            return await self.parking.malformed(delivery, error)
        if kind is not None:
            await self._judged(delivery, message, kind)

    async def _expired(self, delivery: Delivery, message: Message) -> bool:
        """End an operation of an unknown kind that is older than its window, and tell whether it was.

        Whoever knows the kind could only do the same. Waiting on would end with the queue dropping the message, and nobody told.
        """
        found = await self.dependencies.records.get(message.submission.operation_id)
        verdict = judge(found.record, message.submission, now=found.at, token=None, attempts=MAX_ATTEMPTS, window=self.claimer.window)
        if not isinstance(verdict, GiveUp):
            return False
        decided = (await self.claimer.give_up(message, verdict)).record
        if decided is None or decided.outcome is None or decided.outcome.status is Status.SUCCEEDED:
            return False
        await self._finish(delivery, decided, show_result=False)
        return True

    async def _judged(self, delivery: Delivery, message: Message, kind: Kind) -> None:
        found = await self.dependencies.records.get(message.submission.operation_id)
        verdict = judge(found.record, message.submission, now=found.at, token=None, attempts=kind.attempts, window=self.claimer.window)
        match verdict:
            case Decided(record=record):
                await self._finish(delivery, record, show_result=kind.show_result)
            case Held(seconds=seconds):
                await self._later(delivery, seconds + AFTER_LEASE)
            case GiveUp():
                decided = await self.claimer.give_up(message, verdict)
                if decided.record is not None and decided.record.done:
                    await self._finish(delivery, decided.record, show_result=kind.show_result)
                else:
                    await self._later(delivery, AFTER_LEASE)  # somebody claimed it meanwhile: look again
            case _:
                log.warning("operation %s: enqueued again from the dead letters", message.submission.operation_id)
                await self.dependencies.queue.send(message.to_envelope(), delay=REQUEUE_DELAY)
                await self.dependencies.dead_letters.delete(delivery)

    async def _finish(self, delivery: Delivery, record: Record, *, show_result: bool) -> None:
        await self.dependencies.board.show(record, show_result=show_result)
        await self.dependencies.dead_letters.delete(delivery)
        log.info("operation %s: %s, settled from the dead letters", record.submission.operation_id, record.status)

    async def _or_later(self, delivery: Delivery, reason: str) -> None:
        try:
            await self.parking.park(delivery, reason)
        except (DependencyError, ConfigurationError) as error:
            log.warning("a dead letter could not be parked: %s", error)

    async def _later(self, delivery: Delivery, seconds: float) -> None:
        await give_back(self.dependencies.dead_letters, delivery, seconds=seconds)
