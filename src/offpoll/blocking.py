"""`Service` and `StatusBoard` for code that does not await (Flask, Django, Celery, a script). Each wraps its async twin."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from inspect import isawaitable
from typing import Any, TypeVar

from offpoll.arguments import need
from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document import Document, Estimate, PollHint
from offpoll.errors import ConfigurationError
from offpoll.link import StatusLink
from offpoll.lookup import Snapshot
from offpoll.loop_thread import LoopThread
from offpoll.object_json import NO_INPUT
from offpoll.operation import PUBLIC, Progress, Status
from offpoll.service import AsyncService
from offpoll.ticket import Ticket

__all__ = ["Service", "StatusBoard"]

T = TypeVar("T")


class Service(LoopThread):
    """An app connected to its stores, with calls that block. Make one with `offpoll.connect(app)`.

    It starts a thread and enters the app's lifespan at once; `close` ends both. A forked child does the same at its first call.

    Args:
        service: used only here, since its connections belong to one event loop.

    Attributes:
        settings: what it is connected with.
    """

    def __init__(self, service: AsyncService) -> None:
        need(service, AsyncService, what="a Service is made of an AsyncService, or by connect(app)")
        super().__init__()
        self._service = service
        self.settings = service.settings
        self._start()

    async def _enter(self) -> None:
        await self._stack.enter_async_context(self._service.running())

    def run(self, call: Callable[[AsyncService], Coroutine[Any, Any, T]]) -> T:
        """Wait for a coroutine of yours on this service's own loop. `call` makes it, given the async service."""
        if not callable(call) or not isawaitable(made := call(self._service)):
            raise ConfigurationError("run takes a function that returns a coroutine, given the async service")
        return self._wait(made)

    def submit(
        self,
        kind: str,
        input: object = NO_INPUT,
        *,
        owner: str = PUBLIC,
        idempotency_key: str | None = None,
        base_url: str = "",
        traceparent: str = "",
        tracestate: str = "",
    ) -> Ticket:
        """Accept an operation; see `AsyncService.submit`."""
        submitting = self._service.submit(
            kind,
            input,
            owner=owner,
            idempotency_key=idempotency_key,
            base_url=base_url,
            traceparent=traceparent,
            tracestate=tracestate,
        )
        return self._wait(submitting)

    def get(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Snapshot:
        """Return an operation and, if it succeeded, its result; see `AsyncService.get`."""
        return self._wait(self._service.get(kind, operation_id, owner=owner))

    def status_link(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> StatusLink:
        """Return a fresh status link; see `AsyncService.status_link`."""
        return self._wait(self._service.status_link(kind, operation_id, owner=owner))

    def cancel(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Cancel an operation; see `AsyncService.cancel`."""
        return self._wait(self._service.cancel(kind, operation_id, owner=owner))

    def resubmit(self, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Submit a failed operation again; see `AsyncService.resubmit`."""
        return self._wait(self._service.resubmit(operation_id, owner=owner))


class StatusBoard(LoopThread):
    """A status board with calls that block. Make one with `offpoll.status_board()`.

    It starts a thread at its first call, in each process; `close` ends it.

    Args:
        board: used only here, since its connections belong to one event loop.
        close: ends its connections.
    """

    def __init__(self, board: AsyncStatusBoard, close: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._board, self._close_connections = board, close

    async def _enter(self) -> None:
        self._stack.push_async_callback(self._close_connections)

    def open(
        self,
        operation_id: str,
        *,
        kind: str,
        owner: str = PUBLIC,
        base_url: str = "",
        mean: float = 10.0,
        interval: float = 2.0,
    ) -> StatusLink:
        """Create the document of an operation and return a link to it; see `AsyncStatusBoard.open`."""
        opening = self._board.open(operation_id, kind=kind, owner=owner, base_url=base_url, mean=mean, interval=interval)
        return self._wait(opening)

    def key(self, operation_id: str, *, owner: str = PUBLIC) -> str:
        """Return the key of an operation's document; see `AsyncStatusBoard.key`."""
        self._refuse_if_closed()
        return self._board.key(operation_id, owner=owner)

    def link(self, key: str, *, estimate: Estimate | None = None) -> StatusLink:
        """Return a fresh link to a document; see `AsyncStatusBoard.link`."""

        async def sign() -> StatusLink:  # on the board's own thread, as credentials may be refreshed there
            return self._board.link(key, estimate=estimate)

        return self._wait(sign())

    def read(self, key: str) -> Stored | None:
        """Read a document, None if there is none; see `AsyncStatusBoard.read`."""
        return self._wait(self._board.read(key))

    def publish(
        self,
        operation_id: str,
        *,
        status: Status | str,
        owner: str = PUBLIC,
        attempt: int = 1,
        progress: Progress | None = None,
        result: object = None,
        error: Mapping[str, Any] | None = None,
        poll: PollHint | None = None,
    ) -> Document:
        """Publish what your own worker knows; see `AsyncStatusBoard.publish`."""
        publishing = self._board.publish(
            operation_id,
            status=status,
            owner=owner,
            attempt=attempt,
            progress=progress,
            result=result,
            error=error,
            poll=poll,
        )
        return self._wait(publishing)
