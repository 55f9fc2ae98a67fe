"""What a client does, as generators: submit, poll, wait, result, cancel.

Decides what is retried and for how long, and which error a caller sees. Does no I/O: `Client` and `AsyncClient` drive these, and time and
randomness are arguments. Polling an operation and retrying a request are never mixed: the first is `offpoll.polling`, the second `_ask`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Generic, TypeVar

from offpoll.document import Document
from offpoll.errors import ApiError, ApiUnavailable, ConfigurationError, MalformedDocument, OperationCanceled, OperationFailed, WaitTimeout
from offpoll.exchange import Answer, Event, Fetch, Flow, NoAnswer, Reply, Wait
from offpoll.operation import Status, is_kind
from offpoll.polling import Polling, operation_url, read_operation
from offpoll.ticket import Ticket

__all__ = ["Finished", "Flows", "advance", "encode", "new_key"]

#: Answers after which the same request is sent again: overloaded, or nobody behind the proxy, for now.
RETRIED = frozenset({429, 502, 503, 504})

#: Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"): a random part of 0.2 s, doubled each time up to 10 s.
FIRST_BACKOFF = 0.2
MAX_BACKOFF = 10.0

#: The last look of a wait that runs out of time still gets as long as this, seconds: shorter, it would often be for nothing.
LAST_LOOK = 1.0

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


def encode(value: Any) -> bytes:
    """Return an input as JSON: a JSON value, or an object with `model_dump(mode="json")`, as pydantic's models.

    Raises:
        TypeError, ValueError: it cannot be written as JSON.
    """
    dump = getattr(value, "model_dump", None)
    return json.dumps(value if dump is None else dump(mode="json"), separators=(",", ":"), allow_nan=False).encode()


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
    """

    base_url: str
    retry_timeout: float
    random: Callable[[], float]
    monotonic: Callable[[], float]

    def submit(self, kind: str, body: bytes, *, key: str) -> Flow[Ticket]:
        """Submit an operation. A repeated request has the same key and body, so that it cannot become a second operation.

        Raises:
            ConfigurationError: `kind` cannot be the name of one.
        """
        if not is_kind(kind):
            raise ConfigurationError(f"a kind is a lowercase letter and then letters, digits, '_' or '-': {kind!r}")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Idempotency-Key": key}
        fetch = Fetch(to="api", method="POST", url=f"{self.base_url}/{kind}", headers=headers, body=body)
        try:
            answer = yield from self._ask(fetch)
        except ApiUnavailable as error:
            raise ApiUnavailable(f"{error}. The operation may have been accepted: repeat it with idempotency_key={key!r}") from None
        ticket = Ticket.from_answer(status=answer.status, headers=answer.headers, body=answer.body)
        return replace(ticket, received=self.monotonic())

    def poll(self, ticket: Ticket, *, timeout: float | None) -> Flow[Document]:
        """Poll until the operation is done, or the time is up; then look once more before giving up."""
        start = self.monotonic()
        deadline = None if timeout is None else start + timeout
        polling = Polling(ticket=ticket, base_url=self.base_url, random=self.random)
        steps = polling.run(elapsed=0.0 if ticket.received is None else max(0.0, start - ticket.received))
        reply: Reply = None
        last = False
        while not isinstance(event := advance(steps, reply), Finished):
            left = None if deadline is None else deadline - self.monotonic()
            if left is not None and isinstance(event, Fetch):
                event = replace(event, timeout=max(LAST_LOOK, left))
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
        answer = yield from self._ask(Fetch(to="api", method="POST", url=url, headers={"Accept": "application/json"}, body=b""))
        if answer.status != 202:
            raise answer.refusal()
        try:
            document = Document.from_bytes(answer.body)
        except (MalformedDocument, ArithmeticError) as error:
            raise ApiError(f"the API's answer is not offpoll's: {error}", status=answer.status) from error
        if document.id != ticket.operation_id:
            raise ApiError(f"the API answered for another operation: {document.id}", status=answer.status)
        return document

    def _result(self, document: Document, *, retried: frozenset[int]) -> Flow[bytes]:
        url = operation_url(document, "self", base_url=self.base_url)
        answer = yield from self._ask(Fetch(to="api", url=url, headers={"Accept": "application/json"}), retried=retried)
        ended = read_operation(answer, document=document)
        if ended is not None:
            _raise_for_end(ended)
            return answer.body
        if answer.status == 202:
            raise ApiError(f"operation {document.id} is not done yet: wait for it", status=202)
        if answer.status == 200:
            raise ApiError("the API's answer is not JSON, or too long: this is not how offpoll answers", status=200)
        raise answer.refusal()

    def _ask(self, fetch: Fetch, *, retried: frozenset[int] = RETRIED) -> Flow[Answer]:
        """Send a request that may be repeated, until it is answered or the time is up."""
        deadline = self.monotonic() + self.retry_timeout
        for attempt in count():
            reply = yield fetch
            if isinstance(reply, Answer) and reply.status not in retried:
                return reply
            pause = self.random() * min(MAX_BACKOFF, FIRST_BACKOFF * 2 ** min(attempt, 16))
            if isinstance(reply, Answer):
                pause += reply.retry_after or 0
            if self.monotonic() + pause > deadline:
                raise ApiUnavailable(f"the API did not do it within {self.retry_timeout:g} s; last, {_words(reply)}")
            yield Wait(seconds=pause)
        raise AssertionError("count() does not end")


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
