"""What a client does, as generators: submit, resume, poll, wait, result, cancel.

Decides what is retried and for how long, and which error a caller sees. Does no I/O: `Client` and `AsyncClient` drive these, and time and
randomness are arguments. Polling an operation and retrying a request are never mixed: the first is `polling`, the second `_ask`.
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

#: Answers after which the same request is sent again: overloaded, or nobody behind the proxy, for now.
RETRIED = frozenset({429, 502, 503, 504})

#: Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): a random part of 0.2 s, doubled each time up to 10 s.
FIRST_BACKOFF = 0.2
MAX_BACKOFF = 10.0

#: The last look of a wait that runs out of time still gets as long as this, seconds: shorter, it would often be for nothing.
LAST_LOOK = 1.0

#: An operation's own address, and what it says: the API's, the kind, the id. A status link has a query, where its signature is.
_OPERATION_URL = re.compile(r"(https?://[^?#]*?)/([a-z][a-z0-9_-]{0,63})/([0-9a-f]{32})")

#: Where nobody says when a link ends.
_UNKNOWN = datetime.max.replace(tzinfo=UTC)

_JSON = {"Accept": "application/json"}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished(Generic[T]):
    """A flow's end, and what it returned."""

    value: T


def advance(flow: Flow[T], reply: Reply) -> Event | Finished[T]:
    """Give a flow the reply to its last event and return the next, or its end."""
    try:
        return flow.send(reply)
    except StopIteration as end:
        return Finished(value=end.value)


def api_of_url(url: str) -> str | None:
    """Return the API's address in an operation's own address; None where it is another URL, as a status link."""
    own = _OPERATION_URL.fullmatch(url)
    return None if own is None else own[1]


def api_of(document: Document) -> str | None:
    """Return the API's address that a document names; None where it names none."""
    return api_of_url(document.links.get("self", ""))


def new_key() -> str:
    """Return a new idempotency key: 128 random bits in hex, from the system, as no seed of a program may repeat one."""
    return os.urandom(16).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """What a client does.

    Args:
        base_url: the API's address.
        retry_timeout: how long a request is repeated while the API is unavailable, seconds.
        random: gives numbers from 0 to 1.
        monotonic: gives seconds that never go back.

    Raises:
        ConfigurationError: `retry_timeout` is not a number of seconds that ends.
    """

    base_url: str
    retry_timeout: float
    random: Callable[[], float]
    monotonic: Callable[[], float]

    def __post_init__(self) -> None:
        if not 0 <= self.retry_timeout < inf:
            raise ConfigurationError(f"retry_timeout is seconds, at least 0 and not for ever: {self.retry_timeout}")

    def submit(self, kind: str, body: bytes, *, key: str) -> Flow[Ticket]:
        """Submit an operation. A repeated request has the same key and body, so that it cannot become a second operation.

        Raises:
            ConfigurationError: `kind` cannot be the name of one.
        """
        if not is_kind(kind):
            raise ConfigurationError(f"a kind is a lowercase letter and then letters, digits, '_' or '-': {kind!r}")
        headers = {"Content-Type": "application/json", **_JSON, "Idempotency-Key": key}
        fetch = Fetch(to="api", method="POST", url=f"{self.base_url}/{kind}", headers=headers, body=body)
        try:
            answer = yield from self._ask(fetch)
        except ApiUnavailable as error:
            raise ApiUnavailable(f"{error}. The operation may have been accepted: repeat it with idempotency_key={key!r}") from None
        return Ticket.from_answer(status=answer.status, headers=answer.headers, body=answer.body, received=self.monotonic())

    def resume(self, url: str) -> Flow[Ticket]:
        """Return a ticket of an operation of which only the address is known, or only a status link.

        Raises:
            ApiError: neither API nor store knows it, or the link has ended.
            ConfigurationError: this is neither.
        """
        own = _OPERATION_URL.fullmatch(url)
        if own is None:
            return (yield from self._open(StatusLink(href=url, expires_at=_UNKNOWN)))
        if own[1] != self.base_url:
            raise ConfigurationError(f"{url} is not an operation of {self.base_url}: make a client for {own[1]}")
        answer = yield from self._ask(Fetch(to="api", method="POST", url=f"{url}/status-link", headers=_JSON, body=b""))
        if answer.status != 200:
            raise answer.refusal()
        try:
            link = StatusLink.from_dict(answer.json())
        except (ValueError, ArithmeticError) as error:
            raise ApiError(f"the API's answer is not offpoll's: {error}", status=answer.status) from error
        return (yield from self._open(link, url=url, kind=own[2], operation_id=own[3]))

    def poll(self, ticket: Ticket, *, timeout: float | None) -> Flow[Document]:
        """Poll until the operation is done, or the time is up; then look once more before giving up.

        Raises:
            ConfigurationError: `timeout` is negative, or no number.
        """
        if timeout is not None and not timeout >= 0:
            raise ConfigurationError(f"timeout is seconds, at least 0, or None for ever: {timeout}")
        start = self.monotonic()
        deadline = None if timeout is None else start + timeout
        polling = Polling(ticket=ticket, base_url=self.base_url, random=self.random)
        steps = polling.run(elapsed=0.0 if ticket.received is None else max(0.0, start - ticket.received))
        reply: Reply = None
        last = False
        while not isinstance(event := advance(steps, reply), Finished):
            left = None if deadline is None else deadline - self.monotonic()
            if left is not None and isinstance(event, Fetch):
                event = replace(event, timeout=min(event.timeout, max(LAST_LOOK, left)))
            elif left is not None and isinstance(event, Wait) and event.seconds >= left:
                if last:
                    raise _timed_out(polling, timeout or 0.0)
                last, event = True, Wait(seconds=max(0.0, left))
            reply = yield event
        return event.value

    def wait(self, ticket: Ticket, *, timeout: float | None) -> Flow[bytes]:
        """Poll until the operation is done and return its result, JSON."""
        document = yield from self.poll(ticket, timeout=timeout)
        _raise_for_end(document)
        if document.result is not None and "self" not in document.links:
            return json.dumps(document.result).encode()  # a board without an API: the document is all there is
        # The document is published from the record, so the API cannot know less; but one read of it may be behind (202).
        return (yield from self._result(document, retried=RETRIED | {202}))

    def result(self, ticket: Ticket) -> Flow[bytes]:
        """Return the result of an operation, JSON, without waiting for it."""
        return (yield from self._result(ticket.document, retried=RETRIED))

    def cancel(self, ticket: Ticket) -> Flow[Document]:
        """Cancel an operation and return its document."""
        url = operation_url(ticket.document, "cancel", base_url=self.base_url)
        answer = yield from self._ask(Fetch(to="api", method="POST", url=url, headers=_JSON, body=b""))
        if answer.status != 202:
            raise answer.refusal()
        try:
            document = Document.from_bytes(answer.body)
        except (MalformedDocument, ArithmeticError) as error:
            raise ApiError(f"the API's answer is not offpoll's: {error}", status=answer.status) from error
        if document.id != ticket.operation_id:
            raise ApiError(f"the API answered for another operation: {document.id}", status=answer.status)
        return document

    def _open(self, link: StatusLink, *, url: str = "", kind: str = "", operation_id: str = "") -> Flow[Ticket]:
        """Read a link's document and make a ticket of both; where the store gives none, ask the API, if its address is known."""
        reply = yield Fetch(to="store", url=link.href, max_bytes=MAX_STORE_BYTES)
        document = _document_in(reply, operation_id=operation_id)
        if document is None and url:
            reply = yield from self._ask(Fetch(to="api", url=url, headers=_JSON))
            seen_at = reply.date or link.expires_at
            unseen = Document(id=operation_id, kind=kind, status="", revision=0, created_at=seen_at, updated_at=seen_at)
            document = read_operation(reply, document=unseen) or _document_in(reply, operation_id=operation_id, status=202)
        if document is None:
            raise _unread(reply, api=bool(url))
        if link.expires_at is _UNKNOWN:  # a refusal will tell; a document's readers have until it is deleted
            link = replace(link, expires_at=document.expires_at or document.updated_at)
        return Ticket(document=document, link=link, location=url, retry_after=0)

    def _result(self, document: Document, *, retried: frozenset[int]) -> Flow[bytes]:
        url = operation_url(document, "self", base_url=self.base_url)
        answer = yield from self._ask(Fetch(to="api", url=url, headers=_JSON), retried=retried)
        ended = read_operation(answer, document=document)
        if ended is not None:
            _raise_for_end(ended)
            return answer.body
        if answer.status == 202:
            raise ApiError(f"operation {document.id} is not done yet: wait for it", status=202)
        if answer.status == 200:
            raise ApiError("the API's answer is not JSON, or too long: this is not how offpoll answers", status=200)
        raise answer.refusal()

    def _ask(self, fetch: Fetch, *, retried: frozenset[int] = RETRIED) -> Flow[Response]:
        """Send a request that may be repeated, until it is answered or the time is up."""
        deadline = self.monotonic() + self.retry_timeout
        for attempt in count():
            reply = yield fetch
            if isinstance(reply, Response) and reply.status not in retried:
                return reply
            pause = self.random() * min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 16))
            if isinstance(reply, Response):
                pause += reply.retry_after or 0
            if self.monotonic() + pause > deadline:
                raise ApiUnavailable(f"the API did not do it within {self.retry_timeout:g} s; last, {_words(reply)}")
            yield Wait(seconds=pause)
        raise AssertionError("count() does not end")


def _document_in(reply: Reply, *, operation_id: str, status: int = 200) -> Document | None:
    """Return the document in an answer; None where there is none, or not the operation's."""
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
    """Return the error of a wait whose time is up. Its ticket has the newest document and link, and a wait with it asks at once."""
    ticket = replace(polling.ticket, document=polling.document, link=polling.link, retry_after=0, answered_at=None)
    error = WaitTimeout(ticket, timeout)
    if polling.trouble:
        error.add_note(f"the last poll: {polling.trouble}")
    return error


def _words(reply: Reply) -> str:
    if isinstance(reply, NoAnswer):
        return f"it gave no answer: {reply.reason}"
    return str(reply.refusal()) if reply else ""
