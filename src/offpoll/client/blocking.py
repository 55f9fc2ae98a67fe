"""The client for sync code: a thin driver of `flows`. Decides nothing itself; `asynchronous` is its twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import random as uniform
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from offpoll.client.flows import Finished, Flows, advance, encode, new_key
from offpoll.client.gate import Auth, Gate, without_query
from offpoll.client.results import read_result
from offpoll.client.transport import HttpTransport, Transport
from offpoll.document import Document
from offpoll.exchange import Answer, Event, Fetch, Flow, Reply, Wait
from offpoll.ticket import Ticket

__all__ = ["Client"]

T = TypeVar("T")


class Client:
    """Submits operations and waits for them. The waiting happens at the object store, not at the API.

    Thread-safe as far as its arguments are; one client per API serves a whole process.

    Args:
        base_url: the API's address, as `https://api.example.com`.
        auth: credentials for the API, never sent anywhere else: a mapping of headers, `(user, password)`, or a callable that returns
            headers and is asked before every request.
        transport: sends the requests; the network by default. One that is given is not closed.
        request_timeout: longest time for one request, seconds.
        retry_timeout: how long a request to the API is repeated while it is unavailable, seconds.
        random: gives numbers from 0 to 1, for jitter.
        sleep, monotonic: how this client waits, and by which clock, seconds.
        on_request: told of every request: method, URL without its query, status (0 where no answer came).

    Raises:
        ConfigurationError: `base_url` is not an address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        transport: Transport | None = None,
        request_timeout: float = 10.0,
        retry_timeout: float = 60.0,
        random: Callable[[], float] = uniform,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        on_request: Callable[[str, str, int], object] | None = None,
    ) -> None:
        self._gate = Gate(base_url=base_url.rstrip("/"), auth=auth, request_timeout=request_timeout)
        self._flows = Flows(base_url=self._gate.base_url, retry_timeout=retry_timeout, random=random, monotonic=monotonic)
        self._owned = HttpTransport() if transport is None else None
        self._transport: Transport = transport or cast(Transport, self._owned)
        self._sleep = sleep
        self._on_request = on_request

    def submit(self, kind: str, input: Any, *, idempotency_key: str | None = None) -> Ticket:
        """Submit an operation.

        Args:
            kind: its kind, as the service names it.
            input: a JSON value, or an object with `model_dump(mode="json")`, as pydantic's models.
            idempotency_key: the same key and input give the same operation, also tomorrow and from elsewhere. One is made where none is
                given, so that a retry never submits twice.

        Raises:
            ApiError: the API refused, or this is not an offpoll API.
            ApiUnavailable: no answer within `retry_timeout`; the key to repeat it with is in the message.
        """
        return self._run(self._flows.submit(kind, encode(input), key=new_key() if idempotency_key is None else idempotency_key))

    @overload
    def wait(
        self, ticket: Ticket, *, timeout: float | None = 300.0, on_update: Callable[[Document], object] | None = None, result_type: type[T]
    ) -> T: ...
    @overload
    def wait(
        self,
        ticket: Ticket,
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
    ) -> Any: ...
    def wait(
        self,
        ticket: Ticket,
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
    ) -> Any:
        """Wait until the operation is done and return its result.

        Args:
            ticket: of the operation.
            timeout: seconds, None for ever. When it is up, one last poll is made.
            on_update: called with every new status document, the last one included.
            result_type: a type that pydantic validates the result to; None for plain JSON.

        Raises:
            OperationFailed, OperationCanceled: it ended so.
            WaitTimeout: it is not done yet; wait again with the error's ticket.
            ApiError: the status cannot be read, and the API cannot help.
            ApiUnavailable: it succeeded, but the API did not give the result within `retry_timeout`.
        """
        return read_result(self._run(self._flows.wait(ticket, timeout=timeout), on_update), result_type)

    def poll(self, ticket: Ticket, *, timeout: float | None = 300.0) -> Iterator[Document]:
        """Yield every new status document until the operation is done; the last one is terminal, however it ended.

        Raises:
            WaitTimeout, ApiError: as `wait`.
        """
        flow, reply = self._flows.poll(ticket, timeout=timeout), cast(Reply, None)
        while not isinstance(event := advance(flow, reply), Finished):
            reply = self._perform(event)
            if not isinstance(event, Fetch | Wait):
                yield event.document

    def result(self, ticket: Ticket, *, result_type: Any = None) -> Any:
        """Return the result of an operation that is done.

        Raises:
            OperationFailed, OperationCanceled: it ended so.
            ApiError: it is not done yet, or the API knows no such operation.
            ApiUnavailable: no answer within `retry_timeout`.
        """
        return read_result(self._run(self._flows.result(ticket)), result_type)

    def cancel(self, ticket: Ticket) -> Document:
        """Cancel an operation and return its document. `canceled` does not mean that it had no effect.

        Raises:
            ApiError: it ended otherwise (409), or the API knows no such operation.
            ApiUnavailable: no answer within `retry_timeout`.
        """
        return self._run(self._flows.cancel(ticket))

    def close(self) -> None:
        """Give connections back."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _run(self, flow: Flow[T], on_update: Callable[[Document], object] | None = None) -> T:
        reply: Reply = None
        while not isinstance(event := advance(flow, reply), Finished):
            reply = self._perform(event)
            if on_update is not None and not isinstance(event, Fetch | Wait):
                on_update(event.document)
        return event.value

    def _perform(self, event: Event) -> Reply:
        if isinstance(event, Wait):
            self._sleep(event.seconds)
        elif isinstance(event, Fetch):
            fetch = self._gate.complete(event)
            reply = self._transport.send(fetch)
            if self._on_request is not None:
                self._on_request(fetch.method, without_query(fetch.url), reply.status if isinstance(reply, Answer) else 0)
            return reply
        return None
