"""What every document store must do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offpoll.document_store import DocumentStore
from offpoll.errors import DocumentChanged, DocumentExists
from offpoll.testing.contracts.board_races import DocumentStoreRaces
from offpoll.testing.contracts.status_board_races import StatusBoardRaces

__all__ = ["DocumentStoreContract"]


class DocumentStoreContract(DocumentStoreRaces, StatusBoardRaces):
    """Subclass it and provide the fixture `store`. The races are part of it."""

    def test_create_then_read(self, store: DocumentStore, key: str) -> None:
        """A created document is read back, with the etag that the create returned."""
        etag = self.run(store.create(key, b'{"a":1}'))
        assert etag
        assert self.run(store.read(key)) == (b'{"a":1}', etag)

    def test_missing_is_none(self, store: DocumentStore, key: str) -> None:
        """Reading a missing document is no error."""
        assert self.run(store.read(key)) is None

    def test_create_never_overwrites(self, store: DocumentStore, key: str) -> None:
        """A second create is refused and changes nothing, even with the same body."""
        self.run(store.create(key, b"first"))
        for body in (b"second", b"first"):
            with pytest.raises(DocumentExists):
                self.run(store.create(key, body))
        assert self.body(store, key) == b"first"

    def test_replace_with_the_etag(self, store: DocumentStore, key: str) -> None:
        """The holder of the etag, from a write or a read, may replace, and gets the next etag."""
        written = self.run(store.create(key, b"1"))
        written = self.run(store.replace(key, b"2", etag=written))
        found = self.run(store.read(key))
        assert found == (b"2", written)
        self.run(store.replace(key, b"3", etag=found[1]))
        assert self.body(store, key) == b"3"

    def test_replace_with_an_old_etag(self, store: DocumentStore, key: str) -> None:
        """An old etag is refused, and changes nothing."""
        old = self.run(store.create(key, b"1"))
        self.run(store.replace(key, b"2", etag=old))
        with pytest.raises(DocumentChanged):
            self.run(store.replace(key, b"3", etag=old))
        assert self.body(store, key) == b"2"

    def test_replace_of_a_missing_document(self, store: DocumentStore, key: str) -> None:
        """A replace never creates."""
        with pytest.raises(DocumentChanged):
            self.run(store.replace(key, b"1", etag="6805f2cfc46c0f04559748bb039d69ae"))
        assert self.run(store.read(key)) is None

    @pytest.mark.parametrize("name", ["a b", "ü漢🙂", "+%&=~", ".dYf-_", "a//b", "q?x#y"])
    def test_odd_keys(self, store: DocumentStore, key: str, name: str) -> None:
        """A key may have any characters, and no two keys are the same document."""
        odd = f"{key}/{name}"
        self.run(store.create(odd, name.encode()))
        assert self.body(store, odd) == name.encode()
        assert self.run(store.read(key)) is None

    def test_link(self, store: DocumentStore, key: str) -> None:
        """A link names the document, differs from any other document's, and says when it expires."""
        link, other = store.sign(key, lifetime=60.0), store.sign(key + "0", lifetime=60.0)
        assert key in link.href
        assert link.href != other.href
        assert timedelta(0) < link.expires_at - datetime.now(UTC) <= timedelta(seconds=61)
