"""In-memory stores that report each write to the ledger. They stand behind all faults, so they see only real effects."""

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

#: The beginning of a written document. It precedes all text from handlers and clients, which could look like it.
_HEAD = re.compile(
    rb'\{"spec":"offpoll/1","id":"[0-9a-f]{32}","kind":"[a-z]+","status":"([a-z]+)","done":(true|false),"revision":(\d+),"attempt":(\d+),'
)


@dataclass(kw_only=True)
class WatchedStore(MemoryDocumentStore):
    """A store that reports each written document."""

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
    """Return a document's status and rank, without offpoll's parser: from its beginning, or from all of it if that looks different."""
    if head := _HEAD.match(body):
        return head[1].decode(), (head[2] == b"true", int(head[4]), int(head[3]))
    fields = json.loads(body)
    return fields["status"], (fields["done"], fields["attempt"], fields["revision"])


@dataclass(kw_only=True)
class WatchedRecords(MemoryRecords):
    """Records that report each change."""

    ledger: Ledger

    def _put(self, record: Record, now: datetime) -> Update:
        before = self._records.get(record.submission.operation_id)
        leased = before is not None and before.lease_until is not None and before.lease_until > now
        self.ledger.recorded(before, record, leased=leased)
        return super()._put(record, now)
