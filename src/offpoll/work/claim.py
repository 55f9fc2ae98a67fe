"""Claiming an operation: a new attempt begins under a token of this delivery. Must not know handlers or queues.

first try        no record ──► attempt 1: one call
refused          the answer says what is there; `verdict` says what that means: decided, held, mine, begin the next, give up
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from offpoll.errors import DependencyUnavailable
from offpoll.kind import Kind, record_lifetime
from offpoll.operation import Submission
from offpoll.queue import Message
from offpoll.records import Records, Update
from offpoll.setting_ranges import MAX_INPUT_LIMIT
from offpoll.settings import Settings
from offpoll.work.verdict import Begin, Decided, GiveUp, Held, Mine, judge

__all__ = ["Claimer", "input_to_keep"]

#: How often one claim looks again after another claim or decision came between. Each round the record advanced, so it ends soon.
ROUNDS = 16


@dataclass(frozen=True, kw_only=True)
class Claimer:
    """Takes operations in the record.

    Args:
        records: the authority.
        lease: seconds for which a claim is believed alive.
        window: seconds after which an operation is too old to begin.
        lifetime: seconds after which a record counts as absent.
        clock: the wall clock; only used to tell an old message, which is then judged by the store's time.
    """

    records: Records
    lease: float
    window: float
    lifetime: float
    clock: Callable[[], datetime]

    @classmethod
    def of(
        cls,
        records: Records,
        *,
        settings: Settings,
        kinds: Mapping[str, Kind],
        clock: Callable[[], datetime],
        lease: float | None = None,
    ) -> Claimer:
        """Return what claims operations of these kinds, for the settings' lease unless another one is given.

        Raises:
            ConfigurationError: by `record_lifetime`.
        """
        return cls(
            records=records,
            lease=settings.lease if lease is None else lease,
            window=settings.message_window,
            lifetime=record_lifetime(settings, kinds),
            clock=clock,
        )

    async def claim(self, message: Message, *, token: str, attempts: int) -> Mine | Held | Decided:
        """Claim an operation, or learn why not.

        Returns:
            Mine: it is held under `token`: run the handler. Held: give the message back for so long. Decided: show the outcome.

        Raises:
            DependencyUnavailable, DependencyRefused: by the records. Asking again with the same token recognises a claim whose answer was
                lost.
            DigestMismatch: the record is of another input.
        """
        submission = message.submission
        if self.clock() - submission.created_at > timedelta(seconds=self.window):
            look = await self.records.get(submission.operation_id)  # to claim it unseen would begin what must only be decided
        else:
            look = await self._begin(submission, seen=0, token=token)
            if look.applied and look.record is not None:
                return Mine(record=look.record)
        for _ in range(ROUNDS):
            verdict = judge(look.record, submission, now=look.at, token=token, attempts=attempts, window=self.window)
            match verdict:
                case Begin(seen=seen):
                    look = await self._begin(submission, seen=seen, token=token)
                    if look.applied and look.record is not None:
                        return Mine(record=look.record)
                case GiveUp():
                    look = await self.give_up(message, verdict)
                case _:
                    return verdict
        raise DependencyUnavailable("records", f"the record of {submission.operation_id} kept changing under {ROUNDS} claims")

    async def give_up(self, message: Message, verdict: GiveUp) -> Update:
        """Decide that nobody will work on it, if nobody does. A failed record keeps the input, to be submitted again."""
        return await self.records.decide(
            message.submission,
            verdict.outcome,
            guard=verdict.guard,
            expires_at=self.expires_at(message.submission),
            input=input_to_keep(message),
        )

    def expires_at(self, submission: Submission) -> datetime:
        """Return when the record of a submission counts as absent."""
        return submission.created_at + timedelta(seconds=self.lifetime)

    async def _begin(self, submission: Submission, *, seen: int, token: str) -> Update:
        return await self.records.claim(submission, seen=seen, token=token, lease=self.lease, expires_at=self.expires_at(submission))


def input_to_keep(message: Message) -> bytes | None:
    """Return what a failed record keeps of a message, to be submitted again.

    None where it is larger than any input of a submit's: SQS takes 1 MiB from a producer of one's own, and DynamoDB, whose items have
    400 KiB, would refuse the record, so that the operation never ended.
    """
    body = message.body.encode()
    return body if len(body) <= MAX_INPUT_LIMIT else None
