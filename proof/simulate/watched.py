"""The in-memory twins with somebody who watches each write, on the stores' side of every fault."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from offpoll.memory_store import MemoryDocumentStore
from offpoll.operation import Record
from offpoll.records import MemoryRecords, Update
from proof.simulate.ledger import Ledger

__all__ = ["WatchedRecords", "WatchedStore"]


@dataclass(kw_only=True)
class WatchedStore(MemoryDocumentStore):
    """A store whose every write is checked against the one before."""

    ledger: Ledger

    async def create(self, key: str, body: bytes) -> str:
        etag = await super().create(key, body)
        self._watch(key, body)
        return etag

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        new = await super().replace(key, body, etag=etag)
        self._watch(key, body)
        return new

    def _watch(self, key: str, body: bytes) -> None:
        fields = json.loads(body)
        rank = (fields["done"], fields["attempt"], fields["revision"])
        self.ledger.written(key.rpartition("/")[2], key, rank, status=fields["status"])


@dataclass(kw_only=True)
class WatchedRecords(MemoryRecords):
    """Records whose every change is checked against the one before."""

    ledger: Ledger

    def _put(self, record: Record, now: datetime) -> Update:
        before = self._records.get(record.submission.operation_id)
        leased = before is not None and before.lease_until is not None and before.lease_until > now
        self.ledger.recorded(before, record, leased=leased)
        return super()._put(record, now)
