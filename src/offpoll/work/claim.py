"""Claims an operation: a new attempt begins under this delivery's token.

first try        no record ──► attempt 1: one call
refused          the store returns the record; `verdict` says what it means: decided, held, mine, begin the next attempt, give up
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

#: How often one claim looks again because another claim or decision came first. The record advances each time, so this ends soon.
ROUNDS = 16


@dataclass(frozen=True, kw_only=True)
class Claimer:
    """Claims operations in their records.

    Args:
        lease: how long a claim counts as alive, seconds.
        window: age at which an operation is too old to begin, seconds.
        lifetime: age at which a record counts as absent, seconds.
        clock: the wall clock. It only recognises old messages, which the store's time then judges.
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
        """Return a claimer for these kinds, with the settings' lease unless you give another.

        Raises:
            ConfigurationError: from `record_lifetime`.
        """
        return cls(
            records=records,
            lease=settings.lease if lease is None else lease,
            window=settings.message_window,
            lifetime=record_lifetime(settings, kinds),
            clock=clock,
        )

    async def claim(self, message: Message, *, token: str, attempts: int) -> Mine | Held | Decided:
        """Claim an operation, or learn why that is impossible.

        Returns:
            Mine: `token` holds it, run the handler. Held: give the message back until then. Decided: show the outcome.

        Raises:
            DependencyUnavailable, DependencyRefused: from the records. A retry with the same token recognises a claim whose response was
                lost.
            DigestMismatch: the record belongs to another input.
        """
        submission = message.submission
        if self.clock() - submission.created_at > timedelta(seconds=self.window):
            found = await self.records.get(submission.operation_id)  # a blind claim would begin what must only be decided
        else:
            found = await self._begin(submission, seen=0, token=token)
            if found.applied and found.record is not None:
                return Mine(record=found.record)
        for _ in range(ROUNDS):
            verdict = judge(found.record, submission, now=found.at, token=token, attempts=attempts, window=self.window)
            match verdict:
                case Begin(seen=seen):
                    before, found = found.record, await self._begin(submission, seen=seen, token=token)
                    if found.applied and found.record is not None:
                        return Mine(record=found.record, before=before)
                case GiveUp():
                    found = await self.give_up(message, verdict)
                case _:
                    return verdict
        raise DependencyUnavailable("records", f"the record of {submission.operation_id} kept changing under {ROUNDS} claims")

    async def give_up(self, message: Message, verdict: GiveUp) -> Update:
        """Decide that no worker will begin this operation, unless one has. The failed record keeps the input for a resubmit."""
        return await self.records.decide(
            message.submission,
            verdict.outcome,
            guard=verdict.guard,
            expires_at=self.expires_at(message.submission),
            input=input_to_keep(message),
        )

    def expires_at(self, submission: Submission) -> datetime:
        """Return the instant from which a submission's record counts as absent."""
        return submission.created_at + timedelta(seconds=self.lifetime)

    async def _begin(self, submission: Submission, *, seen: int, token: str) -> Update:
        return await self.records.claim(submission, seen=seen, token=token, lease=self.lease, expires_at=self.expires_at(submission))


def input_to_keep(message: Message) -> bytes | None:
    """Return the input that a failed record keeps for a resubmit.

    None if it is larger than any that `submit` accepts. SQS takes up to 1 MiB from your own producer, but DynamoDB's items are limited to
    400 KiB: it would refuse the record, and the operation would never end.
    """
    body = message.body.encode()
    return body if len(body) <= MAX_INPUT_LIMIT else None
