"""The in-memory twins with somebody who watches each write, on the stores' side of every fault."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime

from offpoll.document_store import MemoryDocumentStore
from offpoll.operation import Record
from offpoll.records import MemoryRecords, Update
from proof.simulate.ledger import Ledger, Rank

__all__ = ["WatchedRecords", "WatchedStore"]

#: How a document begins, as it is written. What says so is past all text of a handler's or a client's, which could look like it.
_HEAD = re.compile(
    rb'\{"spec":"offpoll/1","id":"[0-9a-f]{32}","kind":"[a-z]+","status":"([a-z]+)","done":(true|false),"revision":(\d+),"attempt":(\d+),'
)


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
        status, rank = _shown(body)
        self.ledger.written(key.rpartition("/")[2], key, rank, status=status)


def _shown(body: bytes) -> tuple[str, Rank]:
    """Return status and rank of a document. They are read past offpoll: from its beginning, and from all of it where that is another."""
    if head := _HEAD.match(body):
        return head[1].decode(), (head[2] == b"true", int(head[4]), int(head[3]))
    fields = json.loads(body)
    return fields["status"], (fields["done"], fields["attempt"], fields["revision"])


@dataclass(kw_only=True)
class WatchedRecords(MemoryRecords):
    """Records whose every change is checked against the one before."""

    ledger: Ledger

    def _put(self, record: Record, now: datetime) -> Update:
        before = self._records.get(record.submission.operation_id)
        leased = before is not None and before.lease_until is not None and before.lease_until > now
        self.ledger.recorded(before, record, leased=leased)
        return super()._put(record, now)
