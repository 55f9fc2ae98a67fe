"""Faults of the status board: conditions, creation and the digest are lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from offpoll import board, document
from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document_store import MemoryDocumentStore
from offpoll.operation import Record

__all__ = ["digest_dropped", "non_terminal_creates", "unconditional_publish"]


@contextmanager
def unconditional_publish() -> Iterator[None]:
    async def write(self: AsyncStatusBoard, key: str, made: document.Document, current: Stored | None) -> Stored | None:
        store: Any = self.store
        return Stored(document=made, etag=await store.overwrite(key, made.to_bytes()))

    async def overwrite(self: MemoryDocumentStore, key: str, body: bytes) -> str:
        before = self._objects.get(key)
        if before is None:
            return await self.create(key, body)
        return await self.replace(key, body, etag=(await self.read(key) or (b"", ""))[1])

    with patch.object(MemoryDocumentStore, "overwrite", overwrite, create=True), patch.object(AsyncStatusBoard, "_write", write):
        yield


def non_terminal_creates() -> AbstractContextManager[object]:
    show = AsyncStatusBoard.show

    async def creates(self: AsyncStatusBoard, record: Record, *, held: Stored | None = None, **given: Any) -> Stored | None:
        shown = await show(self, record, held=held, **given)
        if shown is None and not record.done:
            made = document.project(record, before=None, updated_at=self.clock())
            return await self._write(record.submission.status_key, made, None)
        return shown

    return patch.object(AsyncStatusBoard, "show", creates)


def digest_dropped() -> AbstractContextManager[object]:
    project = document.project

    def without(*given: Any, **more: Any) -> document.Document:
        return replace(project(*given, **more), digest=None)

    return patch.object(board, "project", without)
