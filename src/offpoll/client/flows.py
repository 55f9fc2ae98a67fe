"""The client's operations as generators: submit, resume, poll, wait, result, cancel.

They decide what to retry, for how long, and which error the caller sees. They do no I/O: `Client` and `AsyncClient` drive them, and time
and randomness are arguments. Polling an operation and retrying a request stay separate: the first is `polling`, the second `_ask`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import Generic, TypeVar

from offpoll.arguments import is_number, shown
from offpoll.client.addresses import OperationAddress, operation_at
from offpoll.client.answers import document_in, raise_for_end, unread, unseen, words_of
from offpoll.client.polling import Polling
from offpoll.client.references import Reference, referred
from offpoll.client.results import shows_result
from offpoll.document import Document
from offpoll.errors import (
    ApiError,
    ApiUnavailable,
    ConfigurationError,
    MalformedDocument,
    WaitTimeout,
)
from offpoll.exchange import MAX_STORE_BYTES, Event, Fetch, Flow, NoAnswer, Reply, Response, Wait, operation_url, read_operation
from offpoll.link import StatusLink
from offpoll.operation import is_kind
from offpoll.poll_plan import MAX_INTERVAL
from offpoll.ticket import Ticket

__all__ = ["Finished", "Flows", "advance", "new_key"]

#: Statuses after which the client repeats the request: overloaded, or no server behind the proxy, for now.
RETRIED = frozenset({429, 502, 503, 504})

#: Equal jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): half of 0.4 s and a random part of the other half, doubled each
#: time up to 10 s. The fixed half is a floor: without it, some of many clients would come back at once.
FIRST_BACKOFF = 0.4
MAX_BACKOFF = 10.0

#: By how much of a `Retry-After` a retry may be later than that, so that clients with the same value do not come back together.
RETRY_AFTER_JITTER = 0.25

#: The least time that the last poll of a wait gets, seconds: a shorter one would often fail.
LAST_LOOK = 1.0

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


def new_key() -> str:
    """Return a new idempotency key: 128 random bits in hex. They come from the system, so that no program's seed can repeat a key."""
    return os.urandom(16).hex()


@dataclass(frozen=True, kw_only=True, slots=True)
class Flows:
    """The operations of one client. Arguments are those of `Client`.

    Args:
        monotonic: for retries: the client retries a request for that much time in which this machine runs.
        missed: what that clock missed while the machine was suspended, seconds; waits count it too.

    Raises:
        ConfigurationError: `retry_timeout` is negative or infinite.
    """

    base_url: str
    retry_timeout: float
    random: Callable[[], float]
    monotonic: Callable[[], float]
    missed: Callable[[], float] = float

    def __post_init__(self) -> None:
        if not is_number(self.retry_timeout, least=0):
            raise ConfigurationError(f"retry_timeout is seconds, at least 0 and finite, not {shown(self.retry_timeout)}")

    def elapsed(self) -> float:
        """Return the time that waits are measured in."""
        return self.monotonic() + self.missed()

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
            if error.sent:
                raise ApiUnavailable(f"{error}. The operation may have been accepted: repeat it with idempotency_key={key!r}") from None
            raise ApiUnavailable(f"{error}. Nothing was sent", sent=False) from None
        return Ticket.from_answer(status=response.status, headers=response.headers, body=response.body, received=self.elapsed())

    def resume(self, reference: Reference) -> Flow[Ticket]:
        """Look an operation up, and return a ticket for it.

        Raises:
            ApiError: neither API nor store knows the operation, or the link has ended.
            ConfigurationError: the reference is none, or names another API.
        """
        found = referred(reference)
        if isinstance(found, Ticket):
            return (yield from self._open(found.link, url=found.document.links.get("self", ""), of=found.document))
        if isinstance(found, StatusLink):
            return (yield from self._open(found))
        own = self._operation(found)
        if own is None and "://" not in found:
            raise ConfigurationError("this is not an operation's address, which ends in /{kind}/{id}, and an id is 32 lowercase hex digits")
        if own is None:
            return (yield from self._open(StatusLink(href=found, expires_at=_UNKNOWN)))
        response = yield from self._ask(Fetch(to="api", method="POST", url=f"{own.url}/status-link", headers=_JSON, body=b""))
        if response.status != 200:
            raise response.refusal()
        try:
            link = StatusLink.from_dict(response.json())
        except (ValueError, ArithmeticError) as error:
            raise ApiError(f"the API's response is not offpoll's: {error}", status=response.status) from error
        return (yield from self._open(link, url=own.url, of=unseen(own, link.expires_at)))

    def poll(self, reference: Reference, *, timeout: float | None) -> Flow[Document]:
        """Poll until the operation is done or the time is up, and poll once more before giving up.

        Raises:
            ConfigurationError: `timeout` is negative, or not a number.
        """
        if timeout is not None and not is_number(timeout, least=0, infinite=True):
            raise ConfigurationError(f"timeout is seconds, at least 0, or None for no limit, not {shown(timeout)}")
        ticket = yield from self._ticket(reference)
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

    def wait(self, reference: Reference, *, timeout: float | None) -> Flow[bytes]:
        """Poll until the operation is done, and return its result as JSON."""
        document = yield from self.poll(reference, timeout=timeout)
        raise_for_end(document)
        if shows_result(document):
            return json.dumps(document.result).encode()
        # The document is made from the record, so the API cannot know less. But one read of the record may lag behind (202).
        return (yield from self._result(document, retried=RETRIED | {202}))

    def result(self, reference: Reference) -> Flow[bytes]:
        """Return an operation's result as JSON, without waiting for it."""
        document = yield from self._named(reference)
        if document.done and shows_result(document):
            raise_for_end(document)
            return json.dumps(document.result).encode()
        return (yield from self._result(document, retried=RETRIED))

    def cancel(self, reference: Reference) -> Flow[Document]:
        """Cancel an operation and return its document."""
        named = yield from self._named(reference)
        url = operation_url(named, "cancel", base_url=self.base_url)
        response = yield from self._ask(Fetch(to="api", method="POST", url=url, headers=_JSON, body=b""))
        if response.status != 202:
            raise response.refusal()
        try:
            document = Document.from_bytes(response.body)
        except (MalformedDocument, ArithmeticError) as error:
            raise ApiError(f"the API's response is not offpoll's: {error}", status=response.status) from error
        if document.id != named.id:
            raise ApiError(f"the API answered for another operation: {document.id}", status=response.status)
        return document

    def _operation(self, address: str) -> OperationAddress | None:
        """Return the operation of this API that an address names; None for a status link.

        Raises:
            ConfigurationError: it is no address, or another API's.
        """
        try:
            own = operation_at(address, base_url=self.base_url)
        except ValueError as error:
            raise ConfigurationError(f"this is neither an operation's address nor a status link: {error}") from None
        if own is not None and own.api != self.base_url:
            raise ConfigurationError(f"{own.url} is not an operation of {self.base_url}: make a client for {own.api}")
        return own

    def _ticket(self, reference: Reference) -> Flow[Ticket]:
        found = referred(reference)
        return found if isinstance(found, Ticket) else (yield from self.resume(reference))

    def _named(self, reference: Reference) -> Flow[Document]:
        """Return a document of the operation, which need not be its newest one: the API is asked next."""
        found = referred(reference)
        own = self._operation(found) if isinstance(found, str) else None
        return (yield from self._ticket(reference)).document if own is None else unseen(own, _UNKNOWN)

    def _open(self, link: StatusLink, *, url: str = "", of: Document | None = None) -> Flow[Ticket]:
        """Read a link's document and make a ticket of both. If the store has no document, ask the API at `url`, if that is known.

        `of`: the operation, as far as it is known.
        """
        operation_id = "" if of is None else of.id
        reply = yield Fetch(to="store", url=link.href, max_bytes=MAX_STORE_BYTES)
        document = document_in(reply, operation_id=operation_id)
        if document is None and url and of is not None:
            reply = yield from self._ask(Fetch(to="api", url=url, headers=_JSON))
            document = read_operation(reply, document=of) or document_in(reply, operation_id=operation_id, status=202)
        if document is None:
            raise unread(reply, api=bool(url))
        if of is not None and document.links != of.links:  # a writer of documents must not redirect credentials
            document = replace(document, links=of.links)
        answered_at = reply.date if isinstance(reply, Response) else None
        if link.expires_at is _UNKNOWN:  # a refusal will show its end; until then assume the document's
            link = replace(link, expires_at=document.expires_at or document.updated_at)
        # Without a `Date` the plan cannot be placed in time; with one, `retry_after` plays no part.
        pause = 0 if document.poll is None else int(min(MAX_INTERVAL, max(1.0, document.poll.interval)))
        return Ticket(document=document, link=link, location=url, retry_after=pause, answered_at=answered_at, received=self.elapsed())

    def _result(self, document: Document, *, retried: frozenset[int]) -> Flow[bytes]:
        url = operation_url(document, "self", base_url=self.base_url)
        response = yield from self._ask(Fetch(to="api", url=url, headers=_JSON), retried=retried)
        ended = read_operation(response, document=document)
        if ended is not None:
            raise_for_end(ended)
            return response.body
        if response.status == 202:
            raise ApiError(f"operation {document.id} is not done yet: wait for it", status=202)
        if response.status == 200:
            raise ApiError("the API's response is not JSON, or too long: it is not offpoll's", status=200)
        raise response.refusal()

    def _ask(self, fetch: Fetch, *, retried: frozenset[int] = RETRIED) -> Flow[Response]:
        """Send a repeatable request until the API responds or `retry_timeout` is over."""
        deadline = self.monotonic() + self.retry_timeout
        sent = False
        for attempt in count():
            reply = yield fetch
            if isinstance(reply, Response) and reply.status not in retried:
                return reply
            sent = sent or not isinstance(reply, NoAnswer) or reply.sent
            if isinstance(reply, NoAnswer) and reply.hopeless:
                raise ApiUnavailable(f"{self.base_url}: {reply.reason}", sent=sent)
            backoff = (0.5 + 0.5 * self.random()) * min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 16))
            if isinstance(reply, Response) and reply.retry_after:
                backoff += reply.retry_after * (1 + RETRY_AFTER_JITTER * self.random())  # many clients got the same value
            if self.monotonic() + backoff > deadline:
                words = f"the API at {self.base_url} gave no usable answer in {self.retry_timeout:g} s; the last time, {words_of(reply)}"
                raise ApiUnavailable(words, sent=sent)
            yield Wait(seconds=backoff)
        raise AssertionError("count() does not end")


def _timed_out(polling: Polling, timeout: float) -> WaitTimeout:
    """Return the error of a wait whose time is up. Its ticket has the newest document and link, and counts as a saved one."""
    ticket = replace(polling.ticket, document=polling.document, link=polling.link, retry_after=0, answered_at=None, received=None)
    error = WaitTimeout(ticket, timeout)
    if polling.trouble:
        error.add_note(f"the last poll: {polling.trouble}")
    return error
