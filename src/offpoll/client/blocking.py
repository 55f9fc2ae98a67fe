"""The blocking client: a thin driver of `flows`. `asynchronous` is its async twin."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter
from random import random as uniform
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast, overload

from offpoll.client.driver_blocking import OnUpdate, Sender, drive
from offpoll.client.flows import Finished, Flows, advance, new_key
from offpoll.client.references import Reference
from offpoll.client.request_guard import Auth, RequestGuard, api_address, without_query
from offpoll.client.results import WaitArguments, WaitResult, result_reader
from offpoll.client.schedule import WaitSchedule, capped, refuse_if
from offpoll.client.transport import Ca, HttpTransport, Transport, refuse_both
from offpoll.document import Document
from offpoll.exchange import Event, Fetch, Flow, NoAnswer, Reply, Response, Shown, Trouble, Wait, trouble_in
from offpoll.freezes import THIS_PROCESS, sleep
from offpoll.object_json import NO_INPUT, to_json
from offpoll.ticket import Ticket

__all__ = ["Client"]

#: The default of `wait_all` for requests under way at once, each with a thread and a connection.
MAX_IN_FLIGHT = 8

T = TypeVar("T")


class Client:
    """Submits operations and waits for them. It polls the object store, not the API.

    One client per API serves a whole process: it is thread-safe if its arguments are.

    Args:
        base_url: the API's address, such as `https://api.example.com`.
        auth: credentials for the API, never sent anywhere else: a bearer token, `(user, password)`, a mapping of headers, or a callable
            that returns one of them. It is called before every request, and once more if the API refuses what it returned (401).
        headers: further headers for the API, never sent anywhere else.
        transport: sends the requests; the network by default. The client does not close a transport that you pass.
        proxy: address of a proxy for every request, `http(s)://[user:password@]host[:port]`; None follows `HTTP_PROXY`, `HTTPS_PROXY` and
            `NO_PROXY`.
        ca: certificate authorities to trust besides the system's: the path of a PEM file, or its bytes.
        request_timeout: longest time for one request, seconds.
        retry_timeout: how long to repeat a request while the API is unavailable, seconds.
        random: returns numbers from 0 to 1, for jitter.
        sleep, monotonic: how this client waits, and its clock, seconds. By default both notice if the machine was suspended.
        on_request: called after every request with its method, its URL without the query, and the status (0 if no response came).
        on_trouble: called with a `Trouble`, which is a sentence as `str`, after every request without a usable response.
        on_wait: called before every wait of `wait`, `poll` and retries with its length, seconds.

    Raises:
        ConfigurationError: an argument is unusable; the message says which.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        transport: Transport | None = None,
        proxy: str | None = None,
        ca: Ca | None = None,
        request_timeout: float = 10.0,
        retry_timeout: float = 60.0,
        random: Callable[[], float] = uniform,
        sleep: Callable[[float], object] = sleep,
        monotonic: Callable[[], float] = time.monotonic,
        on_request: Callable[[str, str, int], object] | None = None,
        on_wait: Callable[[float], object] | None = None,
        on_trouble: Callable[[Trouble], object] | None = None,
    ) -> None:
        self._guard = RequestGuard(base_url=api_address(base_url), auth=auth, headers=headers or {}, request_timeout=request_timeout)
        missed = THIS_PROCESS.missed if monotonic is time.monotonic else float
        self._flows = Flows(base_url=self._guard.base_url, retry_timeout=retry_timeout, random=random, monotonic=monotonic, missed=missed)
        refuse_both(transport, proxy=proxy, ca=ca)
        self._owned = HttpTransport(proxy=proxy, ca=ca) if transport is None else None
        self._transport: Transport = transport or cast(Transport, self._owned)
        self._sleep, self._on_request, self._on_wait, self._on_trouble = sleep, on_request, on_wait, on_trouble
        self._closed = False

    def submit(self, kind: str, input: Any = NO_INPUT, *, idempotency_key: str | None = None) -> Ticket:
        """Submit an operation.

        Args:
            kind: its kind, as the app names it.
            input: a JSON value, JSON as bytes, or an object: a pydantic model, a dataclass, a NamedTuple or a msgspec Struct. An object
                that its own class would read back as a different one is refused. Leave it out if the kind takes no input.
            idempotency_key: the same key and input give the same operation, even days later and from another process. By default the
                client makes a key, so that a retry never submits twice.

        Raises:
            InvalidInput: the input has no JSON form, or loses something in it; nothing was sent.
            ApiError: the API refused, or this is not an offpoll API.
            ApiUnavailable: no response within `retry_timeout`. The message names the key to repeat the submit with.
        """
        return self._run(self._flows.submit(kind, to_json(input).encode(), key=new_key() if idempotency_key is None else idempotency_key))

    def resume(self, reference: Reference) -> Ticket:
        """Look an operation up, and return a ticket for it.

        Args:
            reference: the operation's address, from its `links.self` or the 202's `Location`, relative or absolute; a status link; a
                ticket; the API's 202 answer, as an object or as JSON.

        Raises:
            ApiError: the API knows no such operation, or the link has ended or leads elsewhere.
            ApiUnavailable: no response.
            ConfigurationError: the reference is none of these, or the operation is another API's.
        """
        return self._run(self._flows.resume(reference))

    @overload
    def wait(self, ticket: Reference, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: type[T]) -> T: ...
    @overload
    def wait(
        self, ticket: Reference, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: Any = None
    ) -> Any: ...
    def wait(self, ticket: Reference, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: Any = None) -> Any:
        """Wait until the operation is done and return its result.

        Args:
            ticket: the operation's, or anything that `resume` takes.
            timeout: seconds, None for no limit. When it is over, the client polls once more.
            on_update: called with every new status document, including the last.
            result_type: pydantic validates the result as this type; None for plain JSON.

        Raises:
            OperationFailed, OperationCanceled: how it ended.
            WaitTimeout: it is not done yet; wait again with the error's ticket.
            ApiError: the status is unreadable, and the API cannot help.
            ApiUnavailable: it succeeded, but the API did not return the result within `retry_timeout`.
        """
        read = result_reader(result_type)
        return read(self._run(self._flows.wait(ticket, timeout=timeout), on_update))

    @overload
    def wait_all(self, tickets: Iterable[Ticket], *, result_type: type[T], **rest: Unpack[WaitArguments]) -> list[WaitResult[T]]: ...
    @overload
    def wait_all(self, tickets: Iterable[Ticket], *, result_type: Any = None, **rest: Unpack[WaitArguments]) -> list[WaitResult[Any]]: ...
    def wait_all(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: OnUpdate | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> list[WaitResult[Any]]:
        """Wait for many operations and return how each wait ended, in the order of the tickets.

        Each wait keeps the schedule that `wait` would have. A poll is late only if more are due at once than the cap allows.

        Args:
            tickets: the operations'.
            timeout: seconds for all of them together, None for no limit. Unfinished operations then end with a `WaitTimeout`.
            on_update: called with every new status document; its `id` names the operation. An error that it raises ends all waits.
            result_type: as for `wait`, for all of them.
            max_in_flight: most requests under way at once, each with a thread and a connection. With your own `transport` it is 1.

        Returns:
            One `WaitResult` for each ticket: its `result()` returns or raises as `wait` would.

        Raises:
            ConfigurationError: an argument is unusable.
        """
        ended = self._drive(tickets, timeout=timeout, on_update=on_update, result_type=result_type, max_in_flight=max_in_flight)
        return [result for _, result in sorted(ended, key=itemgetter(0))]

    @overload
    def as_completed(
        self, tickets: Iterable[Ticket], *, result_type: type[T], **rest: Unpack[WaitArguments]
    ) -> Iterator[WaitResult[T]]: ...
    @overload
    def as_completed(
        self, tickets: Iterable[Ticket], *, result_type: Any = None, **rest: Unpack[WaitArguments]
    ) -> Iterator[WaitResult[Any]]: ...
    def as_completed(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: OnUpdate | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> Iterator[WaitResult[Any]]:
        """Wait for many operations and yield how each wait ended, as soon as it has. Arguments and errors are those of `wait_all`.

        While the caller handles one result, the client polls nothing; it makes up for due polls afterwards.
        """
        for _, result in self._drive(tickets, timeout=timeout, on_update=on_update, result_type=result_type, max_in_flight=max_in_flight):
            yield result

    def poll(self, ticket: Reference, *, timeout: float | None = 300.0) -> Iterator[Document]:
        """Yield every new status document until the operation is done. The last one is terminal, whatever its status.

        Raises:
            WaitTimeout, ApiError: as `wait`.
        """
        flow, reply = self._flows.poll(ticket, timeout=timeout), cast(Reply, None)
        while not isinstance(event := advance(flow, reply), Finished):
            reply = self._perform(event)
            if isinstance(event, Shown):
                yield event.document

    @overload
    def result(self, ticket: Reference, *, result_type: type[T]) -> T: ...
    @overload
    def result(self, ticket: Reference, *, result_type: Any = None) -> Any: ...
    def result(self, ticket: Reference, *, result_type: Any = None) -> Any:
        """Return the result of a finished operation.

        Raises:
            OperationFailed, OperationCanceled: how it ended.
            ApiError: it is not done yet, or the API knows no such operation.
            ApiUnavailable: no response within `retry_timeout`.
        """
        return result_reader(result_type)(self._run(self._flows.result(ticket)))

    def cancel(self, ticket: Reference) -> Document:
        """Cancel an operation and return its document. `canceled` does not mean that it had no effect.

        Raises:
            ApiError: it had already ended otherwise (409), or the API knows no such operation.
            ApiUnavailable: no response within `retry_timeout`.
        """
        return self._run(self._flows.cancel(ticket))

    def close(self) -> None:
        """Close the connections. Every later call raises ConfigurationError, and so does the next step of a wait."""
        self._closed = True
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        refuse_if(self._closed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def _run(self, flow: Flow[T], on_update: OnUpdate | None = None) -> T:
        reply: Reply = None
        while not isinstance(event := advance(flow, reply), Finished):
            reply = self._perform(event)
            if on_update is not None and isinstance(event, Shown):
                on_update(event.document)
        return event.value

    def _perform(self, event: Event) -> Reply:
        if not isinstance(event, Shown):
            refuse_if(self._closed)
        if isinstance(event, Wait):
            if self._on_wait is not None:
                self._on_wait(event.seconds)
            self._sleep(event.seconds)
        elif isinstance(event, Fetch):
            fetch = self._guard.complete(event)
            reply = self._noted(fetch, self._transport.send(fetch))
            again = self._guard.renewed(event, fetch, reply)
            return reply if again is None else self._noted(again, self._transport.send(again))
        return None

    def _noted(self, fetch: Fetch, reply: Response | NoAnswer) -> Response | NoAnswer:
        refuse_if(self._closed)
        if self._on_request is not None:
            self._on_request(fetch.method, without_query(fetch.url), reply.status if isinstance(reply, Response) else 0)
        if self._on_trouble is not None and (trouble := trouble_in(fetch, reply)):
            self._on_trouble(trouble)
        return reply

    def _drive(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None,
        on_update: OnUpdate | None,
        result_type: Any,
        max_in_flight: int,
    ) -> Iterator[tuple[int, WaitResult[Any]]]:
        refuse_if(self._closed)
        schedule = WaitSchedule.of(self._flows, tickets, timeout=timeout, result_type=result_type)
        most = capped(max_in_flight)
        threads = most if self._owned is not None else 0  # the caller's transport need not be thread-safe
        with Sender(self._transport.send, threads=threads, sleep=self._sleep) as sender:
            yield from drive(schedule, sender=sender, guard=self._guard, noted=self._noted, on_update=on_update, max_in_flight=threads or 1)
