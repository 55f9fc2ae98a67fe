"""The client for async code: a thin driver of `flows`. Decides nothing itself; `blocking` is its twin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from random import random as uniform
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar, cast, overload

from offpoll.client.flows import Finished, Flows, advance, encode, new_key
from offpoll.client.gate import AsyncAuth, Gate, without_query
from offpoll.client.results import read_result
from offpoll.client.transport import AsyncHttpTransport, AsyncTransport
from offpoll.document import Document
from offpoll.exchange import Answer, Event, Fetch, Flow, Reply, Wait
from offpoll.ticket import Ticket

__all__ = ["AsyncClient"]

T = TypeVar("T")

OnUpdate: TypeAlias = Callable[[Document], object | Awaitable[object]]


class AsyncClient:
    """Submits operations and waits for them, awaited. `Client`'s methods document the rest; this waits by the running loop's time.

    Args:
        base_url: the API's address, as `https://api.example.com`.
        auth: as for `Client`; the callable may be async.
        transport: sends the requests; the network by default. One that is given is not closed.
        request_timeout, retry_timeout: seconds, as for `Client`.
        random: gives numbers from 0 to 1, for jitter.
        on_request: told of every request: method, URL without its query, status (0 where no answer came).

    Raises:
        ConfigurationError: `base_url` is not an address.
    """

    def __init__(
        self,
        base_url: str,
        *,
        auth: AsyncAuth | None = None,
        transport: AsyncTransport | None = None,
        request_timeout: float = 10.0,
        retry_timeout: float = 60.0,
        random: Callable[[], float] = uniform,
        on_request: Callable[[str, str, int], object] | None = None,
    ) -> None:
        self._gate = Gate(base_url=base_url.rstrip("/"), auth=auth, request_timeout=request_timeout)
        self._flows = Flows(base_url=self._gate.base_url, retry_timeout=retry_timeout, random=random, monotonic=_loop_time)
        self._owned = AsyncHttpTransport() if transport is None else None
        self._transport: AsyncTransport = transport or cast(AsyncTransport, self._owned)
        self._on_request = on_request

    async def submit(self, kind: str, input: Any, *, idempotency_key: str | None = None) -> Ticket:
        """Submit an operation; see `Client.submit`."""
        return await self._run(self._flows.submit(kind, encode(input), key=new_key() if idempotency_key is None else idempotency_key))

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
        return read_result(await self._run(self._flows.wait(ticket, timeout=timeout), on_update), result_type)

    async def poll(self, ticket: Ticket, *, timeout: float | None = 300.0) -> AsyncIterator[Document]:
        """Yield every new status document until the operation is done; see `Client.poll`."""
        flow, reply = self._flows.poll(ticket, timeout=timeout), cast(Reply, None)
        while not isinstance(event := advance(flow, reply), Finished):
            reply = await self._perform(event)
            if not isinstance(event, Fetch | Wait):
                yield event.document

    async def result(self, ticket: Ticket, *, result_type: Any = None) -> Any:
        """Return the result of an operation that is done; see `Client.result`."""
        return read_result(await self._run(self._flows.result(ticket)), result_type)

    async def cancel(self, ticket: Ticket) -> Document:
        """Cancel an operation and return its document; see `Client.cancel`."""
        return await self._run(self._flows.cancel(ticket))

    async def close(self) -> None:
        """Give connections back."""
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
            if on_update is not None and not isinstance(event, Fetch | Wait):
                told = on_update(event.document)
                if isinstance(told, Awaitable):
                    await told
        return event.value

    async def _perform(self, event: Event) -> Reply:
        if isinstance(event, Wait):
            await asyncio.sleep(event.seconds)
        elif isinstance(event, Fetch):
            fetch = await self._gate.complete_async(event)
            reply = await self._transport.send(fetch)
            if self._on_request is not None:
                self._on_request(fetch.method, without_query(fetch.url), reply.status if isinstance(reply, Answer) else 0)
            return reply
        return None


def _loop_time() -> float:
    return asyncio.get_running_loop().time()
