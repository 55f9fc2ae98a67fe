"""The races on a document store: of many writers of one key one wins each time, and readers see only whole documents."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any

import pytest

from offpoll.document_store import DocumentStore
from offpoll.errors import DocumentChanged, DocumentExists
from offpoll.testing.contracts.running import WRITERS, Running

__all__ = ["DocumentStoreRaces"]

#: Writers that repeat until each succeeds. Together they need about half the square of their number in rounds.
PATIENT = 12

#: Bytes of a body that a store may take in several pieces.
LONG = 3000


class DocumentStoreRaces(Running):
    """Part of DocumentStoreContract. Needs the fixture `store`."""

    @pytest.fixture
    def store(self) -> DocumentStore:
        raise NotImplementedError("a subclass provides the store")

    @pytest.fixture
    def key(self) -> str:
        """A key that nobody has used."""
        return f"status/public/{secrets.token_hex(16)}"

    def test_one_of_many_creators_wins(self, store: DocumentStore, key: str) -> None:
        """Of concurrent creates exactly one succeeds, and its body is stored; all others learn that the document exists."""
        results = self.contest(store.create(key, _body(number)) for number in range(WRITERS))
        [winner] = _winners(results)
        assert _losers(results) == {DocumentExists}
        assert self.run(store.read(key)) == (_body(winner), results[winner])

    def test_one_of_many_replacers_wins(self, store: DocumentStore, key: str) -> None:
        """Of concurrent replaces with one etag exactly one succeeds, and its body is stored; all others learn that the document changed."""
        etag = self.run(store.create(key, b"before"))
        results = self.contest(store.replace(key, _body(number), etag=etag) for number in range(WRITERS))
        [winner] = _winners(results)
        assert _losers(results) == {DocumentChanged}
        assert self.run(store.read(key)) == (_body(winner), results[winner])

    def test_creators_among_replacers(self, store: DocumentStore, key: str) -> None:
        """If a document exists, no create succeeds, however it is rewritten meanwhile, and exactly one replace does."""
        etag = self.run(store.create(key, b"before"))
        results = self.contest(_create_or_replace(store, key, number, etag) for number in range(WRITERS))
        [winner] = _winners(results)
        assert winner % 2
        assert {type(result) for result in results[::2]} == {DocumentExists}
        assert _losers(results[1::2]) == {DocumentChanged}
        assert self.run(store.read(key)) == (_body(winner), results[winner])

    def test_replacers_among_creators(self, store: DocumentStore, key: str) -> None:
        """If no document exists, exactly one create succeeds, and no replace does: no version ever had its etag."""
        etag = self.run(store.create(key + "0", b"of another document"))
        results = self.contest(_create_or_replace(store, key, number, etag) for number in range(WRITERS))
        [winner] = _winners(results)
        assert winner % 2 == 0
        assert _losers(results[::2]) == {DocumentExists}
        assert {type(result) for result in results[1::2]} == {DocumentChanged}
        assert self.run(store.read(key)) == (_body(winner), results[winner])

    def test_no_write_is_lost(self, store: DocumentStore, key: str) -> None:
        """Writers that read, append and replace until they succeed: everything that they appended is stored."""
        self.run(store.create(key, b""))

        async def add(number: int) -> None:
            while True:
                found = await store.read(key)
                assert found is not None
                await asyncio.sleep(0)  # so that others come between, in memory too
                try:
                    await store.replace(key, found[0] + b"%d " % number, etag=found[1])
                except DocumentChanged:
                    continue
                return

        self.race(add(number) for number in range(PATIENT))
        assert sorted(int(number) for number in self.body(store, key).split()) == list(range(PATIENT))

    def test_readers_see_whole_documents(self, store: DocumentStore, key: str) -> None:
        """A read during a race returns a whole body that somebody wrote, and never an earlier version than the read before."""
        versions = [bytes([65 + number]) * LONG for number in range(10)]
        seen: list[int] = []

        async def write() -> None:
            etag = await store.create(key, versions[0])
            for version in versions[1:]:
                await asyncio.sleep(0)
                etag = await store.replace(key, version, etag=etag)

        async def look() -> None:
            for _ in range(len(versions)):
                found = await store.read(key)
                if found is not None:
                    seen.append(versions.index(found[0]))
                await asyncio.sleep(0)

        self.race([write(), look()])
        assert seen == sorted(seen)
        assert self.run(store.read(key)) is not None

    def body(self, store: DocumentStore, key: str) -> bytes:
        """Return the body of a document that exists."""
        found = self.run(store.read(key))
        assert found is not None
        return found[0]


def _create_or_replace(store: DocumentStore, key: str, number: int, etag: str) -> Coroutine[Any, Any, str]:
    """Let every second writer replace, and the others create."""
    return store.replace(key, _body(number), etag=etag) if number % 2 else store.create(key, _body(number))


def _body(number: int) -> bytes:
    return b"writer %d" % number


def _winners(results: list[str | BaseException]) -> list[int]:
    return [number for number, result in enumerate(results) if isinstance(result, str)]


def _losers(results: list[str | BaseException]) -> set[type[BaseException]]:
    return {type(result) for result in results if isinstance(result, BaseException)}
