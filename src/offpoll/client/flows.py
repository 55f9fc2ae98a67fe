"""The client's operations as generators: submit, resume, poll, wait, result, cancel.

They decide what to retry, for how long, and which error the caller sees. They do no I/O: `Client` and `AsyncClient` drive them, and time
and randomness are arguments. Polling an operation and retrying a request stay separate: the first is `polling`, the second `_ask`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from math import inf
from typing import Generic, TypeVar

from offpoll.client.polling import Polling
from offpoll.document import Document
from offpoll.errors import (
    ApiError,
    ApiUnavailable,
    ClientError,
    ConfigurationError,
    MalformedDocument,
    OperationCanceled,
    OperationFailed,
    WaitTimeout,
)
from offpoll.exchange import MAX_STORE_BYTES, Event, Fetch, Flow, NoAnswer, Reply, Response, Wait, is_outage, operation_url, read_operation
from offpoll.link import StatusLink
from offpoll.operation import Status, is_kind, is_operation_id
from offpoll.ticket import Ticket

__all__ = ["Finished", "Flows", "advance", "api_of", "api_of_url", "new_key"]

#: Statuses after which the client repeats the request: overloaded, or no server behind the proxy, for now.
RETRIED = frozenset({429, 502, 503, 504})

#: Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): a random part of 0.2 s, doubled each time up to 10 s.
FIRST_BACKOFF = 0.2
MAX_BACKOFF = 10.0

#: The least time that the last poll of a wait gets, seconds: a shorter one would often fail.
LAST_LOOK = 1.0

#: An operation's address: the API's address, the kind, the id. A status link is different: its query holds a signature.
_OPERATION_URL = re.compile(r"(https?://[^?#]*?)/([a-z][a-z0-9_-]{0,63})/([0-9a-f]{32})")

#: The expiry of a link whose end is unknown.
_UNKNOWN = datetime.max.replace(tzinfo=UTC)

_JSON = {"Accept": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished(Generic[T]):
    """A flow's end, with the value that it returned."""

    value: T


def advance(flow: Flow[T], reply: Reply) -> Event | Finished[T]:
    """Give a flow the reply to its last event, and return its next event or its end."""
    try:
        return flow.send(reply)
    except StopIteration as end:
        return Finished(value=end.value)


def api_of_url(url: str) -> str | None:
    """Return the API's address in an operation's address; None for any other URL, such as a status link."""
    own = _OPERATION_URL.fullmatch(url)
    return None if own is None else own[1]


def api_of(document: Document) -> str | None:
    """Return the API's address that a document names, or None."""
    return api_of_url(document.links.get("self", ""))


def new_key() -> str:
    """Return a new idempotency key: 128 random bits in hex. They come from the system, so that no program's seed can repeat a key."""
    return os.urandom(16).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """The operations of one client. Arguments are those of `Client`.

    Args:
        monotonic: for retries: a request is repeated for so long of the time in which this machine runs.
        elapsed: for waits: the same clock, but it counts the time for which the machine was suspended.

    Raises:
        ConfigurationError: `retry_timeout` is negative or infinite.
    """

    base_url: str
    retry_timeout: float
    random: Callable[[], float]
    monotonic: Callable[[], float]
    elapsed: Callable[[], float]

    def __post_init__(self) -> None:
        if not 0 <= self.retry_timeout < inf:
            raise ConfigurationError(f"retry_timeout is seconds, at least 0 and finite, not {self.retry_timeout}")

    def submit(self, kind: str, body: bytes, *, key: str) -> Flow[Ticket]:
        """Submit an operation. A repeated request has the same key and body, so it cannot become a second operation.

        Raises:
            ConfigurationError: `kind` is not a possible kind.
        """
        if not is_kind(kind):
            raise ConfigurationError(f"a kind is a lowercase letter and then letters, digits, '_' or '-': {kind!r}")
        headers = {"Content-Type": "application/json", **_JSON, "Idempotency-Key": key}
        fetch = Fetch(to="api", method="POST", url=f"{self.base_url}/{kind}", headers=headers, body=body)
        try:
            response = yield from self._ask(fetch)
        except ApiUnavailable as error:
            raise ApiUnavailable(f"{error}. The operation may have been accepted: repeat it with idempotency_key={key!r}") from None
        return Ticket.from_answer(status=response.status, headers=response.headers, body=response.body, received=self.elapsed())

    def resume(self, url: str) -> Flow[Ticket]:
        """Return a ticket for an operation's address or status link.

        Raises:
            ApiError: neither API nor store knows the operation, or the link has ended.
            ConfigurationError: the address is another API's.
        """
        own = _OPERATION_URL.fullmatch(url)
        if own is None:
            return (yield from self._open(StatusLink(href=url, expires_at=_UNKNOWN)))
        if own[1] != self.base_url:
            raise ConfigurationError(f"{url} is not an operation of {self.base_url}: make a client for {own[1]}")
        response = yield from self._ask(Fetch(to="api", method="POST", url=f"{url}/status-link", headers=_JSON, body=b""))
        if response.status != 200:
            raise response.refusal()
        try:
            link = StatusLink.from_dict(response.json())
        except (ValueError, ArithmeticError) as error:
            raise ApiError(f"the API's response is not offpoll's: {error}", status=response.status) from error
        return (yield from self._open(link, url=url, kind=own[2], operation_id=own[3]))

    def poll(self, ticket: Ticket, *, timeout: float | None) -> Flow[Document]:
        """Poll until the operation is done or the time is up, and poll once more before giving up.

        Raises:
            ConfigurationError: `timeout` is negative, or not a number.
        """
        if timeout is not None and not timeout >= 0:
            raise ConfigurationError(f"timeout is seconds, at least 0, or None for no limit, not {timeout}")
        start = self.elapsed()
        deadline = None if timeout is None else start + timeout
        polling = Polling(ticket=ticket, base_url=self.base_url, random=self.random)
        steps = polling.run(elapsed=0.0 if ticket.received is None else max(0.0, start - ticket.received))
        reply: Reply = None
        last = False
        while not isinstance(event := advance(steps, reply), Finished):
            left = None if deadline is None else deadline - self.elapsed()
            if left is not None and isinstance(event, Fetch):
                event = replace(event, timeout=min(event.timeout, max(LAST_LOOK, left)))
            elif left is not None and isinstance(event, Wait) and event.seconds >= left:
                if last:
                    raise _timed_out(polling, timeout or 0.0)
                last, event = True, Wait(seconds=max(0.0, left))
            reply = yield event
        return event.value

    def wait(self, ticket: Ticket, *, timeout: float | None) -> Flow[bytes]:
        """Poll until the operation is done, and return its result as JSON."""
        document = yield from self.poll(ticket, timeout=timeout)
        _raise_for_end(document)
        # A board without an API: only the document has the result, which may be null. Our API gives every document a digest, and leaves the
        # links out only if its address is too long for them. A document without an end is not the store's: an API told the client of it.
        alone = document.digest is None and document.finished_at is not None
        if "self" not in document.links and (alone or document.result is not None):
            return json.dumps(document.result).encode()
        # The document is made from the record, so the API cannot know less. But one read of the record may lag behind (202).
        return (yield from self._result(document, retried=RETRIED | {202}))

    def result(self, ticket: Ticket) -> Flow[bytes]:
        """Return an operation's result as JSON, without waiting for it."""
        return (yield from self._result(ticket.document, retried=RETRIED))

    def cancel(self, ticket: Ticket) -> Flow[Document]:
        """Cancel an operation and return its document."""
        url = operation_url(ticket.document, "cancel", base_url=self.base_url)
        response = yield from self._ask(Fetch(to="api", method="POST", url=url, headers=_JSON, body=b""))
        if response.status != 202:
            raise response.refusal()
        try:
            document = Document.from_bytes(response.body)
        except (MalformedDocument, ArithmeticError) as error:
            raise ApiError(f"the API's response is not offpoll's: {error}", status=response.status) from error
        if document.id != ticket.operation_id:
            raise ApiError(f"the API answered for another operation: {document.id}", status=response.status)
        return document

    def _open(self, link: StatusLink, *, url: str = "", kind: str = "", operation_id: str = "") -> Flow[Ticket]:
        """Read a link's document and make a ticket of both. If the store has no document, ask the API at `url`, if that is known."""
        reply = yield Fetch(to="store", url=link.href, max_bytes=MAX_STORE_BYTES)
        document = _document_in(reply, operation_id=operation_id)
        if document is None and url:
            reply = yield from self._ask(Fetch(to="api", url=url, headers=_JSON))
            seen_at = reply.date or link.expires_at
            unseen = Document(id=operation_id, kind=kind, status="", revision=0, created_at=seen_at, updated_at=seen_at)
            document = read_operation(reply, document=unseen) or _document_in(reply, operation_id=operation_id, status=202)
        if document is None:
            raise _unread(reply, api=bool(url))
        if link.expires_at is _UNKNOWN:  # a refusal will show its end; until then assume the document's
            link = replace(link, expires_at=document.expires_at or document.updated_at)
        return Ticket(document=document, link=link, location=url, retry_after=0)

    def _result(self, document: Document, *, retried: frozenset[int]) -> Flow[bytes]:
        url = operation_url(document, "self", base_url=self.base_url)
        response = yield from self._ask(Fetch(to="api", url=url, headers=_JSON), retried=retried)
        ended = read_operation(response, document=document)
        if ended is not None:
            _raise_for_end(ended)
            return response.body
        if response.status == 202:
            raise ApiError(f"operation {document.id} is not done yet: wait for it", status=202)
        if response.status == 200:
            raise ApiError("the API's response is not JSON, or too long: it is not offpoll's", status=200)
        raise response.refusal()

    def _ask(self, fetch: Fetch, *, retried: frozenset[int] = RETRIED) -> Flow[Response]:
        """Send a repeatable request until the API responds or `retry_timeout` is over."""
        deadline = self.monotonic() + self.retry_timeout
        for attempt in count():
            reply = yield fetch
            if isinstance(reply, Response) and reply.status not in retried:
                return reply
            backoff = self.random() * min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 16))
            if isinstance(reply, Response):
                backoff += reply.retry_after or 0
            if self.monotonic() + backoff > deadline:
                raise ApiUnavailable(f"the API did not answer usefully within {self.retry_timeout:g} s; at last, {_words(reply)}")
            yield Wait(seconds=backoff)
        raise AssertionError("count() does not end")


def _document_in(reply: Reply, *, operation_id: str, status: int = 200) -> Document | None:
    """Return the document in a response; None if there is none, or another operation's."""
    if not isinstance(reply, Response) or reply.status != status:
        return None
    try:
        document = Document.from_bytes(reply.body)
    except (MalformedDocument, ArithmeticError):
        return None
    return document if is_operation_id(document.id) and document.id == (operation_id or document.id) else None


def _unread(reply: Reply, *, api: bool) -> ClientError:
    if api and isinstance(reply, Response):
        return reply.refusal()
    if not isinstance(reply, Response) or is_outage(reply.status):
        words = f"answered {reply.status}" if isinstance(reply, Response) else f"gave no answer: {reply.reason if reply else ''}"
        return ApiUnavailable(f"the store {words}. Try again, or use the operation's own address")
    why = "the link has ended, or leads to no status document"
    return ApiError(f"{why} (the store answered {reply.status}). Use the operation's own address", status=reply.status)


def _raise_for_end(document: Document) -> None:
    if document.status == Status.FAILED:
        raise OperationFailed(document.id, document.error)
    if document.status == Status.CANCELED:
        raise OperationCanceled(document.id)


def _timed_out(polling: Polling, timeout: float) -> WaitTimeout:
    """Return the error of a wait whose time is up. Its ticket has the newest document and link; a wait with that polls at once."""
    ticket = replace(polling.ticket, document=polling.document, link=polling.link, retry_after=0, answered_at=None)
    error = WaitTimeout(ticket, timeout)
    if polling.trouble:
        error.add_note(f"the last poll: {polling.trouble}")
    return error


def _words(reply: Reply) -> str:
    if isinstance(reply, NoAnswer):
        return f"it gave no answer: {reply.reason}"
    return str(reply.refusal()) if reply else ""
