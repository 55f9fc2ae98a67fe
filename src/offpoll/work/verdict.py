"""The rules of claiming: what a record means for the worker or dead-letter consumer that holds its message.

A pure function: no I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from offpoll.errors import DigestMismatch
from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.records import Idle

__all__ = ["AFTER_LEASE", "Begin", "Decided", "GiveUp", "Held", "Mine", "Verdict", "judge"]

#: How long after a lease ends to come back, seconds: it ends in the store's time, and the store dates its responses in whole seconds.
AFTER_LEASE = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Begin:
    """No worker holds it and attempts are left: the next one may begin, if `seen` is still the number of attempts."""

    seen: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Mine:
    """The caller's own token holds it: it has just claimed, or an earlier claim succeeded, but its response was lost.

    `before` is the record as the claim found it; None if there was none, or it is not known.
    """

    record: Record
    before: Record | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Another claim's lease, or a backoff, lasts for this many seconds. `holder` names the worker, if its token does."""

    seconds: float
    holder: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """It has an outcome: show that, then delete the message."""

    record: Record


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """No worker holds it, and no worker may begin it: decide this outcome, if the guard still holds."""

    outcome: Outcome
    guard: Idle


Verdict = Begin | Mine | Held | Decided | GiveUp


def judge(record: Record | None, submission: Submission, *, now: datetime, token: str | None, attempts: int, window: float) -> Verdict:
    """Decide what to do with a message.

    Args:
        record: from the store; None if it has none.
        submission: from the message.
        now: the store's time.
        token: the claimer's token; None for the dead-letter consumer, which runs no handlers.
        attempts: how many the kind allows.
        window: age at which an operation is too old to begin, seconds.

    Raises:
        DigestMismatch: the record belongs to another input. No worker will handle this one.
    """
    if record is not None and record.submission.digest != submission.digest:
        raise DigestMismatch(f"the record of operation {submission.operation_id} belongs to another input than this message")
    if record is not None and record.done:
        return Decided(record=record)
    if record is not None and token is not None and record.token == token:
        return Mine(record=record)
    if record is not None and record.lease_until is not None and record.lease_until > now:
        return Held(seconds=(record.lease_until - now).total_seconds(), holder=record.holder)
    seen = 0 if record is None else record.attempt
    if now - submission.created_at > timedelta(seconds=window):
        return GiveUp(outcome=expired(window), guard=Idle(attempt=seen))
    if seen >= attempts:
        return GiveUp(outcome=exhausted(seen), guard=Idle(attempt=seen))
    return Begin(seen=seen)


def expired(window: float) -> Outcome:
    """Return the outcome of an operation that waited too long."""
    message = f"The operation was not begun within {window / 86_400:g} days."
    return Outcome(status=Status.FAILED, error={"code": "expired", "message": message})


def exhausted(attempts: int, *, cause: str | None = None) -> Outcome:
    """Return the outcome of an operation whose attempts are spent. `cause` is the last error's code; None if the worker died."""
    how = "did not end" if cause is None else f"ended with {cause}"
    message = f"Its only attempt {how}." if attempts == 1 else f"All {attempts} attempts are spent; the last one {how}."
    error = {"code": "attempts_exhausted", "message": message, "attempts": attempts}
    return Outcome(status=Status.FAILED, error=error if cause is None else {**error, "cause": cause})
