"""Settles dead letters: messages that the queue delivered too often.

That says little, because deliveries are not attempts. The record decides:

    an outcome        repair the document, delete the message
    a live lease      look again when it ends
    attempts left     enqueue the message again with a delay, then delete it here
    none left         decide `failed` under the same condition as a claim

A message of an unknown kind, or from a newer version, stays for a worker that knows it. Once its operation has expired, an unknown kind
no longer matters: the operation is decided `failed`.
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
from offpoll.work import operation_log
from offpoll.work.claim import Claimer
from offpoll.work.operation_log import Seldom
from offpoll.work.outage import give_back
from offpoll.work.parking import Parking
from offpoll.work.verdict import AFTER_LEASE, Decided, GiveUp, Held, Verdict, judge

__all__ = ["SLOTS", "DeadLetters"]

log = logging.getLogger(__name__)

#: How long a message that cannot be settled now stays hidden, seconds.
LATER = 300.0

#: The delay of a message that is enqueued again, seconds: several deliveries of it have just failed.
REQUEUE_DELAY = 60.0

#: How many dead letters are settled at once: they are rare, and cheap to settle.
SLOTS = 4


@dataclass(frozen=True, kw_only=True)
class DeadLetters:
    """Settles dead letters, one delivery at a time."""

    dependencies: Dependencies
    kinds: Mapping[str, Kind]
    claimer: Claimer
    unsupported: Seldom

    @property
    def parking(self) -> Parking:
        """Where unreadable messages go."""
        return Parking.of(self.dependencies, self.claimer.lifetime, queue=self.dependencies.dead_letters)

    async def settle(self, delivery: Delivery) -> None:
        """Settle one dead letter. Raises nothing: a message that cannot be settled stays in the queue."""
        with about(**delivery.names):
            await self._guarded(delivery)

    async def _guarded(self, delivery: Delivery) -> None:
        try:
            await self._settle(delivery)
        except (DigestMismatch, MalformedDocument) as error:
            await self._park(delivery, str(error))
        except Exception as error:
            # Anything but a dependency's or the operator's fault is a fault in offpoll. The message stays until somebody fixes that.
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
            if count := self.unsupported.count(str(error)):
                log.warning("a dead letter stays for now: %s (%d in the last minute or more)", error, count)
            return await self._later(delivery, LATER)
        except MalformedMessage as error:
            return await self.parking.malformed(delivery, error)
        if kind is not None:
            await self._settle_by_record(delivery, message, kind)

    async def _expired(self, delivery: Delivery, message: Message) -> bool:
        """Decide an operation of an unknown kind if it is older than its window. Tell whether it was.

        A worker that knows the kind could only do the same. Without this, the queue would drop the message and nobody would know.
        """
        verdict = await self._judge(message, attempts=MAX_ATTEMPTS)
        if not isinstance(verdict, GiveUp):
            return False
        decided = (await self.claimer.give_up(message, verdict)).record
        if decided is None or decided.outcome is None or decided.outcome.status is Status.SUCCEEDED:
            return False
        await self._finish(delivery, decided, show_result=False)
        return True

    async def _settle_by_record(self, delivery: Delivery, message: Message, kind: Kind) -> None:
        verdict = await self._judge(message, attempts=kind.attempts)
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
                    await self._later(delivery, AFTER_LEASE)  # a worker claimed it meanwhile: look again
            case _:
                log.warning("operation %s: enqueued again from the dead letters", message.submission.operation_id)
                await self.dependencies.queue.send(message.to_envelope(), delay=REQUEUE_DELAY)
                await self.dependencies.dead_letters.delete(delivery)

    async def _judge(self, message: Message, *, attempts: int) -> Verdict:
        found = await self.dependencies.records.get(message.submission.operation_id)
        return judge(found.record, message.submission, now=found.at, token=None, attempts=attempts, window=self.claimer.window)

    async def _finish(self, delivery: Delivery, record: Record, *, show_result: bool) -> None:
        await self.dependencies.board.show(record, show_result=show_result)
        await self.dependencies.dead_letters.delete(delivery)
        operation_log.ended(log, record, where=", settled from the dead letters")

    async def _park(self, delivery: Delivery, reason: str) -> None:
        """Park a message. If that fails, it comes back when its visibility ends."""
        try:
            await self.parking.park(delivery, reason)
        except (DependencyError, ConfigurationError) as error:
            log.warning("a dead letter could not be parked: %s", error)

    async def _later(self, delivery: Delivery, seconds: float) -> None:
        await give_back(self.dependencies.dead_letters, delivery, seconds=seconds)
