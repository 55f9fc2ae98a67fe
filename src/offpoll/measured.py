"""Wraps stores so that the answers to conditional writes feed the metrics of operations. The answers stay as they are.

    records.decide, applied          an operation ended: how, after how many claims, and after how long
    store.replace, refused           a publish met another writer's

An outcome whose answer was lost is not counted: the caller that asks again learns only that there is one.
"""

from __future__ import annotations

from datetime import datetime

from offpoll.document_store import DocumentStore
from offpoll.errors import DocumentChanged
from offpoll.link import StatusLink
from offpoll.metrics import ATTEMPTS, OPERATIONS_ENDED, PUBLISH_CONFLICTS, SERVICE_TIME, Metrics
from offpoll.operation import Outcome, Record, Submission
from offpoll.records import Claim, Guard, Records, Update

__all__ = ["MeasuredRecords", "MeasuredStore"]


class MeasuredRecords:
    """Records that count outcomes."""

    def __init__(self, records: Records, *, metrics: Metrics) -> None:
        self._records, self._metrics = records, metrics

    async def get(self, operation_id: str) -> Update:
        return await self._records.get(operation_id)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        return await self._records.claim(submission, seen=seen, token=token, lease=lease, expires_at=expires_at)

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        return await self._records.renew(operation_id, held=held, lease=lease)

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        return await self._records.release(operation_id, held=held, backoff=backoff)

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        update = await self._records.decide(submission, outcome, guard=guard, expires_at=expires_at, input=input)
        if update.applied and update.record is not None:
            self._ended(update.record)
        return update

    def _ended(self, record: Record) -> None:
        kind = record.submission.kind
        self._metrics.count(OPERATIONS_ENDED, kind=kind, status=record.status.value)
        if record.attempt:
            self._metrics.observe(ATTEMPTS, record.attempt, unit="None", kind=kind)
        if record.started_at is not None and record.finished_at is not None:
            seconds = (record.finished_at - record.started_at).total_seconds()
            self._metrics.observe(SERVICE_TIME, max(0.0, seconds), unit="Seconds", kind=kind)


class MeasuredStore:
    """A document store that counts conflicts."""

    def __init__(self, store: DocumentStore, *, metrics: Metrics) -> None:
        self._store, self._metrics = store, metrics

    async def create(self, key: str, body: bytes) -> str:
        return await self._store.create(key, body)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        try:
            return await self._store.replace(key, body, etag=etag)
        except DocumentChanged:
            self._metrics.count(PUBLISH_CONFLICTS)
            raise

    async def read(self, key: str) -> tuple[bytes, str] | None:
        return await self._store.read(key)

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        return self._store.sign(key, lifetime=lifetime)
