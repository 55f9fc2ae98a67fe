"""Faults of the records: attempt, token, lease, backoff or outcome no longer guard an update."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from offpoll import records
from offpoll.operation import Record
from offpoll.records import Claim, Guard, Idle, MemoryRecords, Undecided
from offpoll.work import claim, verdict
from offpoll.work.verdict import GiveUp, exhausted

__all__ = [
    "any_claim_holds",
    "backoff_only_in_visibility",
    "claim_without_the_attempt_seen",
    "exhaustion_under_a_live_lease",
    "lease_ignored",
    "outcome_ignored",
]


def _guards(changed: Callable[[Guard, Record | None], bool | None]) -> AbstractContextManager[object]:
    """Decide otherwise whether some guards hold; None leaves the decision as it is."""
    holds = records.holds

    def other(guard: Guard, record: Record | None, now: Any) -> bool:
        decision = changed(guard, record)
        return holds(guard, record, now) if decision is None else decision

    return patch.object(records, "holds", other)


def any_claim_holds() -> AbstractContextManager[object]:
    def changed(guard: Guard, record: Record | None) -> bool | None:
        return (record is not None and not record.done) if isinstance(guard, Claim) else None

    return _guards(changed)


def outcome_ignored() -> AbstractContextManager[object]:
    def changed(guard: Guard, record: Record | None) -> bool | None:
        return record is not None if isinstance(guard, Undecided) else None

    return _guards(changed)


def _idle_despite_lease(guard: Guard, record: Record | None) -> bool | None:
    if not isinstance(guard, Idle) or guard.attempt == 0:
        return None
    return record is not None and not record.done and record.attempt == guard.attempt


@contextmanager
def lease_ignored() -> Iterator[None]:
    judge = verdict.judge

    def blind(record: Record | None, *given: Any, **more: Any) -> verdict.Verdict:
        return judge(None if record is None else replace(record, lease_until=None), *given, **more)

    with _guards(_idle_despite_lease), patch.object(claim, "judge", blind):
        yield


@contextmanager
def claim_without_the_attempt_seen() -> Iterator[None]:
    original = MemoryRecords.claim

    async def begin(self: MemoryRecords, submission: Any, *, seen: int, **more: Any) -> Any:
        known = self._records.get(submission.operation_id)
        return await original(self, submission, seen=seen if known is None or known.done or not seen else known.attempt, **more)

    with _guards(_idle_despite_lease), patch.object(MemoryRecords, "claim", begin):
        yield


@contextmanager
def exhaustion_under_a_live_lease() -> Iterator[None]:
    judge = verdict.judge

    def hasty(record: Record | None, submission: Any, *, attempts: int, **more: Any) -> verdict.Verdict:
        if record is not None and not record.done and record.attempt >= attempts and record.token != more["token"]:
            return GiveUp(outcome=exhausted(record.attempt), guard=Idle(attempt=record.attempt))
        return judge(record, submission, attempts=attempts, **more)

    with _guards(_idle_despite_lease), patch.object(claim, "judge", hasty):
        yield


def backoff_only_in_visibility() -> AbstractContextManager[object]:
    release = MemoryRecords.release

    async def without(self: MemoryRecords, operation_id: str, *, held: Claim, backoff: float) -> Any:
        return await release(self, operation_id, held=held, backoff=0.0)

    return patch.object(MemoryRecords, "release", without)
