"""The records: the authority on every operation. Each method is one conditional update of one item.

Decides under which condition a record may change. All instants that are compared (`lease_until`, `expires_at`) are in the store's time,
so the clocks of workers do not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from offpoll.instant import to_milliseconds, utc_now
from offpoll.operation import Outcome, Record, Submission

__all__ = ["Claim", "Guard", "Idle", "MemoryRecords", "Records", "Undecided", "Update"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A guard: no outcome yet, and this claim still holds the operation.

    `record` is what the claim was answered with, or None. Nobody else changes it while this holds, so a store need not read it back.
    """

    attempt: int
    token: str
    record: Record | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Idle:
    """A guard: no outcome yet, `attempt` is still the number of claims, and no lease is live. 0 means that there is no record."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Undecided:
    """A guard: there is a record without an outcome. A cancel uses it."""


Guard = Claim | Idle | Undecided


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """The answer to a conditional update.

    Attributes:
        applied: whether the guard held. Also False if this caller's first try did apply but its answer was lost: the record tells.
        record: the new record if applied, else the record as found; None if there is none.
        at: the store's time.
    """

    applied: bool
    record: Record | None
    at: datetime


class Records(Protocol):
    """A store of records. Every method raises DependencyUnavailable if the effect is unknown, DependencyRefused if the store refuses."""

    async def get(self, operation_id: str) -> Update:
        """Read a record, strongly consistent. `applied` tells whether one exists that has not expired."""

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        """Begin attempt `seen` + 1 under `token`, guarded by Idle(seen). `lease` is in seconds from now."""

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        """Make the lease end `lease` seconds from now."""

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        """Give the operation up: no token, and nobody may claim it for `backoff` seconds."""

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        """Record the outcome. The first one wins. `input` is kept with a failed one."""


@dataclass(kw_only=True)
class MemoryRecords:
    """The in-memory twin. `clock` is the store's own time."""

    clock: Callable[[], datetime] = utc_now
    _records: dict[str, Record] = field(default_factory=dict)

    async def get(self, operation_id: str) -> Update:
        now = self._now()
        record = self._live(operation_id, now)
        return Update(applied=record is not None, record=record, at=now)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        now = self._now()
        record = self._live(submission.operation_id, now)
        if not holds(Idle(attempt=seen), record, now):
            return Update(applied=False, record=record, at=now)
        record = record or Record(submission=submission, started_at=now, expires_at=expires_at)
        return self._put(replace(record, attempt=seen + 1, token=token, lease_until=now + timedelta(seconds=lease)), now)

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        return self._lease(operation_id, held, seconds=lease)

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        return self._lease(operation_id, held, seconds=backoff, token=None)

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        now = self._now()
        record = self._live(submission.operation_id, now)
        if not holds(guard, record, now):
            return Update(applied=False, record=record, at=now)
        record = record or Record(submission=submission, expires_at=expires_at)
        return self._put(replace(record, outcome=outcome, finished_at=now, token=None, lease_until=None, input=input), now)

    def _lease(self, operation_id: str, held: Claim, *, seconds: float, **changes: Any) -> Update:
        now = self._now()
        record = self._live(operation_id, now)
        if record is None or not holds(held, record, now):
            return Update(applied=False, record=record, at=now)
        return self._put(replace(record, lease_until=now + timedelta(seconds=seconds), **changes), now)

    def _now(self) -> datetime:
        return to_milliseconds(self.clock())

    def _live(self, operation_id: str, now: datetime) -> Record | None:
        record = self._records.get(operation_id)
        return None if record is None or record.expires_at <= now else record

    def _put(self, record: Record, now: datetime) -> Update:
        self._records[record.submission.operation_id] = record
        return Update(applied=True, record=record, at=now)


def holds(guard: Guard, record: Record | None, now: datetime) -> bool:
    """Tell whether a guard holds for a record (None: absent or expired) at the store's time. Adapters say it in their store's language."""
    match guard:
        case Claim(attempt=attempt, token=token):
            return record is not None and not record.done and record.attempt == attempt and record.token == token
        case Idle(attempt=0):
            return record is None
        case Idle(attempt=attempt):
            leased = record is not None and record.lease_until is not None and record.lease_until > now
            return record is not None and not record.done and record.attempt == attempt and not leased
        case Undecided():
            return record is not None and not record.done
