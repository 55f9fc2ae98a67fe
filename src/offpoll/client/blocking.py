"""The client for sync code: a thin driver of `flows`. Decides nothing itself; `asynchronous` is its twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from operator import itemgetter
from random import random as uniform
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from offpoll.client.driver_blocking import Sender, drive
from offpoll.client.flows import Finished, Flows, advance, new_key
from offpoll.client.request_guard import Auth, RequestGuard, without_query
from offpoll.client.results import WaitResult, result_reader
from offpoll.client.schedule import WaitSchedule, capped
from offpoll.client.transport import Ca, HttpTransport, Transport, refuse_both
from offpoll.document import Document
from offpoll.exchange import Event, Fetch, Flow, NoAnswer, Reply, Response, Shown, Wait
from offpoll.json_types import to_json
from offpoll.ticket import Ticket

__all__ = ["Client"]

#: Requests that `wait_all` has under way at once, unless it is told otherwise: as many threads, and as many connections.
MAX_IN_FLIGHT = 8

T = TypeVar("T")


class Client:
    """Submits operations and waits for them. The waiting happens at the object store, not at the API.

    Thread-safe as far as its arguments are; one client per API serves a whole process.

    Args:
        base_url: the API's address, as `https://api.example.com`.
        auth: credentials for the API, never sent anywhere else: a mapping of headers, `(user, password)`, or a callable that returns
            headers and is asked before every request.
        transport: sends the requests; the network by default. One that is given is not closed.
        proxy: address of a proxy for every request, `http(s)://[user:password@]host[:port]`; None for what `HTTP_PROXY`, `HTTPS_PROXY` and
            `NO_PROXY` say.
        ca: authorities to trust beside the system's: the path of a PEM file, or its bytes.
        request_timeout: longest time for one request, seconds.
        retry_timeout: how long a request to the API is repeated while it is unavailable, seconds.
        random: gives numbers from 0 to 1, for jitter.
        sleep, monotonic: how this client waits, and by which clock, seconds.
        on_request: told of every request: method, URL without its query, status (0 where no answer came).
        on_wait: told before every wait of `wait`, `poll` and retries how long it will be, seconds.

    Raises:
        ConfigurationError: an argument cannot be used; the message says which.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        transport: Transport | None = None,
        proxy: str | None = None,
        ca: Ca | None = None,
        request_timeout: float = 10.0,
        retry_timeout: float = 60.0,
        random: Callable[[], float] = uniform,
        sleep: Callable[[float], object] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        on_request: Callable[[str, str, int], object] | None = None,
        on_wait: Callable[[float], object] | None = None,
    ) -> None:
        self._guard = RequestGuard(base_url=base_url.rstrip("/"), auth=auth, request_timeout=request_timeout)
        self._flows = Flows(base_url=self._guard.base_url, retry_timeout=retry_timeout, random=random, monotonic=monotonic)
        refuse_both(transport, proxy=proxy, ca=ca)
        self._owned = HttpTransport(proxy=proxy, ca=ca) if transport is None else None
        self._transport: Transport = transport or cast(Transport, self._owned)
        self._sleep, self._monotonic = sleep, monotonic
        self._on_request, self._on_wait = on_request, on_wait

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
        return self._run(self._flows.submit(kind, to_json(input).encode(), key=new_key() if idempotency_key is None else idempotency_key))

    def resume(self, url: str) -> Ticket:
        """Return a ticket of an operation of which only the address, or a status link, is known. `Ticket.from_json` needs neither.

        Args:
            url: the operation's own address, as its `links.self` or the 202's `Location` say it, or a status link.

        Raises:
            ApiError: the API knows no such operation, or the link has ended or leads elsewhere.
            ApiUnavailable: no answer.
            ConfigurationError: this is an operation of another API.
        """
        return self._run(self._flows.resume(url))

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
        read = result_reader(result_type)
        return read(self._run(self._flows.wait(ticket, timeout=timeout), on_update))

    @overload
    def wait_all(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: type[T],
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> list[WaitResult[T]]: ...
    @overload
    def wait_all(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> list[WaitResult[Any]]: ...
    def wait_all(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> list[WaitResult[Any]]:
        """Wait for many operations and return how each wait ended, in the order of the tickets.

        Each has its own schedule, exactly as with `wait`; a poll is late only where so many are due at once that the cap holds it back.

        Args:
            tickets: of the operations.
            timeout: seconds for all of them together, None for ever. What is not done by then ends with a `WaitTimeout`.
            on_update: called with every new status document; its `id` says whose it is. What it raises ends all the waits.
            result_type: as for `wait`, for all of them.
            max_in_flight: requests under way at once, and so threads and connections. With a `transport` that was given it is one.

        Returns:
            One `WaitResult` for each ticket: its `result()` returns or raises what `wait` would have.

        Raises:
            ConfigurationError: an argument cannot be used.
        """
        ended = list(self._attend(tickets, timeout=timeout, on_update=on_update, result_type=result_type, max_in_flight=max_in_flight))
        return [waited for _, waited in sorted(ended, key=itemgetter(0))]

    @overload
    def as_completed(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: type[T],
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> Iterator[WaitResult[T]]: ...
    @overload
    def as_completed(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> Iterator[WaitResult[Any]]: ...
    def as_completed(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: Callable[[Document], object] | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> Iterator[WaitResult[Any]]:
        """Wait for many operations and yield how each wait ended, as soon as it has. Arguments and errors are those of `wait_all`.

        While the caller looks at one, nobody is asked about the others; their polls are made up for afterwards.
        """
        for _, waited in self._attend(tickets, timeout=timeout, on_update=on_update, result_type=result_type, max_in_flight=max_in_flight):
            yield waited

    def poll(self, ticket: Ticket, *, timeout: float | None = 300.0) -> Iterator[Document]:
        """Yield every new status document until the operation is done; the last one is terminal, however it ended.

        Raises:
            WaitTimeout, ApiError: as `wait`.
        """
        flow, reply = self._flows.poll(ticket, timeout=timeout), cast(Reply, None)
        while not isinstance(event := advance(flow, reply), Finished):
            reply = self._perform(event)
            if isinstance(event, Shown):
                yield event.document

    def result(self, ticket: Ticket, *, result_type: Any = None) -> Any:
        """Return the result of an operation that is done.

        Raises:
            OperationFailed, OperationCanceled: it ended so.
            ApiError: it is not done yet, or the API knows no such operation.
            ApiUnavailable: no answer within `retry_timeout`.
        """
        return result_reader(result_type)(self._run(self._flows.result(ticket)))

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
            if on_update is not None and isinstance(event, Shown):
                on_update(event.document)
        return event.value

    def _perform(self, event: Event) -> Reply:
        if isinstance(event, Wait):
            if self._on_wait is not None:
                self._on_wait(event.seconds)
            self._sleep(event.seconds)
        elif isinstance(event, Fetch):
            fetch = self._guard.complete(event)
            return self._noted(fetch, self._transport.send(fetch))
        return None

    def _noted(self, fetch: Fetch, reply: Response | NoAnswer) -> Response | NoAnswer:
        if self._on_request is not None:
            self._on_request(fetch.method, without_query(fetch.url), reply.status if isinstance(reply, Response) else 0)
        return reply

    # --- many at once ----------------------------------------------------------------------------

    def _attend(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None,
        on_update: Callable[[Document], object] | None,
        result_type: Any,
        max_in_flight: int,
    ) -> Iterator[tuple[int, WaitResult[Any]]]:
        schedule = WaitSchedule(
            list(tickets),
            begin=lambda ticket: self._flows.wait(ticket, timeout=timeout),
            read=result_reader(result_type),
            monotonic=self._monotonic,
        )
        most = capped(max_in_flight)
        threads = most if self._owned is not None else 0  # a transport of the caller's need not bear threads
        with Sender(self._transport.send, threads=threads, sleep=self._sleep) as sender:
            yield from drive(
                schedule, sender=sender, complete=self._guard.complete, noted=self._noted, on_update=on_update, max_in_flight=threads or 1
            )
