"""The async client: a thin driver of `flows`. `blocking` is its blocking twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterable
from operator import itemgetter
from random import random as uniform
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack, cast, overload

from offpoll.client.driver_async import OnUpdate, drive, tell
from offpoll.client.flows import Finished, Flows, advance, new_key
from offpoll.client.request_guard import AsyncAuth, RequestGuard, without_query
from offpoll.client.results import WaitArguments, WaitResult, result_reader
from offpoll.client.schedule import WaitSchedule, capped
from offpoll.client.transport import AsyncHttpTransport, AsyncTransport, Ca, refuse_both
from offpoll.document import Document
from offpoll.exchange import Event, Fetch, Flow, Reply, Response, Shown, Wait
from offpoll.freezes import NAP, THIS_PROCESS
from offpoll.object_json import NO_INPUT, to_json
from offpoll.ticket import Ticket

__all__ = ["AsyncClient"]

#: The default of `wait_all` for requests under way at once, each with a connection: a burst that any store accepts.
MAX_IN_FLIGHT = 32

T = TypeVar("T")


class AsyncClient:
    """Submits operations and waits for them, awaited. `Client` documents the methods, arguments and errors.

    Two things differ: the `auth` callable may be async, and the running loop's time replaces `sleep` and `monotonic`.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: AsyncAuth | None = None,
        transport: AsyncTransport | None = None,
        proxy: str | None = None,
        ca: Ca | None = None,
        request_timeout: float = 10.0,
        retry_timeout: float = 60.0,
        random: Callable[[], float] = uniform,
        on_request: Callable[[str, str, int], object] | None = None,
        on_wait: Callable[[float], object] | None = None,
    ) -> None:
        self._guard = RequestGuard(base_url=base_url.rstrip("/"), auth=auth, request_timeout=request_timeout)
        self._flows = Flows(
            base_url=self._guard.base_url, retry_timeout=retry_timeout, random=random, monotonic=_loop_time, elapsed=_elapsed
        )
        refuse_both(transport, proxy=proxy, ca=ca)
        self._owned = AsyncHttpTransport(proxy=proxy, ca=ca) if transport is None else None
        self._transport: AsyncTransport = transport or cast(AsyncTransport, self._owned)
        self._on_request, self._on_wait = on_request, on_wait

    async def submit(self, kind: str, input: Any = NO_INPUT, *, idempotency_key: str | None = None) -> Ticket:
        """Submit an operation; see `Client.submit`."""
        return await self._run(
            self._flows.submit(kind, to_json(input).encode(), key=new_key() if idempotency_key is None else idempotency_key)
        )

    async def resume(self, url: str) -> Ticket:
        """Return a ticket for an operation's address or status link; see `Client.resume`."""
        return await self._run(self._flows.resume(url))

    @overload
    async def wait(
        self, ticket: Ticket, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: type[T]
    ) -> T: ...
    @overload
    async def wait(
        self, ticket: Ticket, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: Any = None
    ) -> Any: ...
    async def wait(
        self, ticket: Ticket, *, timeout: float | None = 300.0, on_update: OnUpdate | None = None, result_type: Any = None
    ) -> Any:
        """Wait until the operation is done and return its result; see `Client.wait`. `on_update` may be async."""
        read = result_reader(result_type)
        return read(await self._run(self._flows.wait(ticket, timeout=timeout), on_update))

    @overload
    async def wait_all(self, tickets: Iterable[Ticket], *, result_type: type[T], **rest: Unpack[WaitArguments]) -> list[WaitResult[T]]: ...
    @overload
    async def wait_all(
        self, tickets: Iterable[Ticket], *, result_type: Any = None, **rest: Unpack[WaitArguments]
    ) -> list[WaitResult[Any]]: ...
    async def wait_all(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: OnUpdate | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> list[WaitResult[Any]]:
        """Wait for many operations and return how each wait ended, in the order of the tickets; see `Client.wait_all`."""
        schedule = WaitSchedule.of(self._flows, tickets, timeout=timeout, result_type=result_type)
        await self._drive(schedule, on_update=on_update, max_in_flight=max_in_flight)
        return [result for _, result in sorted(schedule.ended, key=itemgetter(0))]

    @overload
    def as_completed(
        self, tickets: Iterable[Ticket], *, result_type: type[T], **rest: Unpack[WaitArguments]
    ) -> AsyncGenerator[WaitResult[T], None]: ...
    @overload
    def as_completed(
        self, tickets: Iterable[Ticket], *, result_type: Any = None, **rest: Unpack[WaitArguments]
    ) -> AsyncGenerator[WaitResult[Any], None]: ...
    async def as_completed(
        self,
        tickets: Iterable[Ticket],
        *,
        timeout: float | None = 300.0,
        on_update: OnUpdate | None = None,
        result_type: Any = None,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> AsyncGenerator[WaitResult[Any], None]:
        """Wait for many operations and yield how each wait ended, as soon as it has; see `Client.as_completed`.

        The other waits go on while the caller handles one result. To leave the loop early, close the generator (`contextlib.aclosing`).
        """
        schedule = WaitSchedule.of(self._flows, tickets, timeout=timeout, result_type=result_type)
        news = asyncio.Event()
        driving = asyncio.create_task(self._drive(schedule, on_update=on_update, max_in_flight=max_in_flight, news=news))
        driving.add_done_callback(lambda _: news.set())
        try:
            while schedule.ended or not driving.done():
                if schedule.ended:
                    yield schedule.ended.popleft()[1]
                else:
                    await news.wait()
                    news.clear()
            driving.result()
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    async def poll(self, ticket: Ticket, *, timeout: float | None = 300.0) -> AsyncIterator[Document]:
        """Yield every new status document until the operation is done; see `Client.poll`."""
        flow, reply = self._flows.poll(ticket, timeout=timeout), cast(Reply, None)
        while not isinstance(event := advance(flow, reply), Finished):
            reply = await self._perform(event)
            if isinstance(event, Shown):
                yield event.document

    @overload
    async def result(self, ticket: Ticket, *, result_type: type[T]) -> T: ...
    @overload
    async def result(self, ticket: Ticket, *, result_type: Any = None) -> Any: ...
    async def result(self, ticket: Ticket, *, result_type: Any = None) -> Any:
        """Return the result of a finished operation; see `Client.result`."""
        return result_reader(result_type)(await self._run(self._flows.result(ticket)))

    async def cancel(self, ticket: Ticket) -> Document:
        """Cancel an operation and return its document; see `Client.cancel`."""
        return await self._run(self._flows.cancel(ticket))

    async def close(self) -> None:
        """Close the connections."""
        if self._owned is not None:
            await self._owned.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.close()

    async def _run(self, flow: Flow[T], on_update: OnUpdate | None = None) -> T:
        reply: Reply = None
        while not isinstance(event := advance(flow, reply), Finished):
            reply = await self._perform(event)
            if isinstance(event, Shown) and on_update is not None:
                await tell(on_update, event.document)
        return event.value

    async def _perform(self, event: Event) -> Reply:
        if isinstance(event, Wait):
            if self._on_wait is not None:
                self._on_wait(event.seconds)
            await _sleep(event.seconds)
        elif isinstance(event, Fetch):
            fetch = await self._guard.complete_async(event)
            reply = await self._transport.send(fetch)
            if self._on_request is not None:
                self._on_request(fetch.method, without_query(fetch.url), reply.status if isinstance(reply, Response) else 0)
            return reply
        return None

    def _drive(
        self, schedule: WaitSchedule[Any], *, on_update: OnUpdate | None, max_in_flight: int, news: asyncio.Event | None = None
    ) -> Coroutine[Any, Any, None]:
        return drive(schedule, perform=self._perform, on_update=on_update, max_in_flight=capped(max_in_flight), news=news)


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


def _elapsed() -> float:
    return _loop_time() + THIS_PROCESS.missed()


async def _sleep(seconds: float) -> None:
    """Sleep in parts: the loop's timers do not count the time for which the machine is suspended."""
    until = _elapsed() + seconds
    while seconds > NAP:
        await asyncio.sleep(NAP)
        seconds = until - _elapsed()
    await asyncio.sleep(max(0.0, seconds))
