"""The in-memory document store's links, as a client that follows them sees them. The contract suites test the rest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offpoll.document_store import MemoryDocumentStore
from offpoll.testing import run_virtual

KEY = "status/Zo\u00eb & co/5f2b"


class Clock:
    """A clock that the test sets by hand."""

    now = datetime(2030, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def made() -> tuple[MemoryDocumentStore, Clock, str]:
    """Return a store with one document, the store's clock, and a link that works for a minute."""
    clock = Clock()
    store = MemoryDocumentStore(clock=clock)
    run_virtual(store.create(KEY, b"one"))
    return store, clock, store.sign(KEY, lifetime=60.0).href


def test_a_link_works_until_it_expires() -> None:
    """An expired link is refused, and the response says that it expired."""
    store, clock, href = made()
    clock.now += timedelta(seconds=59)
    assert store.answer("GET", href, {})[0::2] == (200, b"one")
    clock.now += timedelta(seconds=1)
    status, headers, body = store.answer("GET", href, {})
    assert (status, headers["date"]) == (403, "Tue, 01 Jan 2030 12:01:00 GMT")
    assert b"expired" in body


def test_a_conditional_read() -> None:
    """A GET with the current etag returns 304 until the document changes."""
    store, _, href = made()
    etag = store.answer("GET", href, {})[1]["etag"]
    assert store.answer("GET", href, {"if-none-match": etag})[0::2] == (304, b"")
    run_virtual(store.replace(KEY, b"two", etag=etag.strip('"')))
    assert store.answer("GET", href, {"if-none-match": etag})[0::2] == (200, b"two")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("5f2b?", "5f2c?", id="another document"),
        pytest.param("12:01", "13:01", id="another end"),
        pytest.param("&signature=", "&signature=0", id="another signature"),
        pytest.param("&signature=", "&signature=\u00eb", id="a signature that is not ASCII"),
        pytest.param("&signature=", "&sig=", id="no signature"),
        pytest.param("?", "?x=1#", id="no query of ours"),
    ],
)
def test_a_link_that_was_tampered_with(old: str, new: str) -> None:
    """A changed link is refused, as by a store that checks its signature."""
    store, _, href = made()
    assert href.count(old) == 1
    status, _, body = store.answer("GET", href.replace(old, new), {})
    assert status == 403
    assert b"SignatureDoesNotMatch" in body


def test_only_get() -> None:
    """A link only reads: other methods are refused."""
    store, _, href = made()
    assert [store.answer(method, href, {})[0] for method in ("DELETE", "HEAD", "PUT")] == [403, 403, 403]


def test_a_missing_document() -> None:
    """A missing document gets the response that S3 gives a caller who may not list the bucket."""
    store, _, _ = made()
    assert store.answer("GET", store.sign("status/public/other", lifetime=60.0).href, {})[0] == 403
