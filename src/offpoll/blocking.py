"""`Service` and `StatusBoard` for code that does not await (Flask, Django, Celery, a script). Each wraps its async twin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack
from typing import Any, Self, TypeVar

from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document import Document, Estimate, PollHint
from offpoll.errors import ConfigurationError, DependencyUnavailable
from offpoll.link import StatusLink
from offpoll.lookup import Snapshot
from offpoll.object_json import NO_INPUT
from offpoll.operation import PUBLIC, Progress, Status
from offpoll.service import AsyncService
from offpoll.ticket import Ticket

__all__ = ["Service", "StatusBoard"]

T = TypeVar("T")


class _Blocking:
    """Runs async calls on an event loop in a separate thread. Threads may share it, but it does not survive a fork."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._closed = False
        self._scheduling, self._ending = threading.Lock(), threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="offpoll-blocking", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the connections and end the thread. Calls under way are cancelled; a second close waits for the first."""
        with self._ending:
            with self._scheduling:
                if self._closed:
                    return
                self._closed = True  # what was scheduled before is cancelled by `_end`, and nothing is scheduled after it
            try:
                self._result(asyncio.run_coroutine_threadsafe(_caught(self._end()), self._loop))
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _end(self) -> None:
        """Leave the contexts, then cancel what still runs here, as `asyncio.run` does: a read of the counters, say, that nobody awaits."""
        try:
            await self._stack.aclose()
        finally:
            while left := asyncio.all_tasks() - {asyncio.current_task()}:
                for task in left:
                    task.cancel()
                await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)  # dropped connections tell their protocols in the loop's next round

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        with self._scheduling:
            if self._closed:
                call.close()
                raise ConfigurationError("this was closed; make another one")
            future = asyncio.run_coroutine_threadsafe(_caught(call), self._loop)
        return self._result(future)

    @staticmethod
    def _result(future: Future[T | _Exit]) -> T:
        try:
            result = future.result()
        except CancelledError:
            raise DependencyUnavailable("offpoll", "it was closed during the call, whose effect is unknown") from None
        if isinstance(result, _Exit):
            raise result.error
        return result


class _Exit:
    """An order to leave the process, which belongs to the caller's thread: raised on the loop, it would end that."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


async def _caught(call: Coroutine[Any, Any, T]) -> T | _Exit:
    try:
        return await call
    except (SystemExit, KeyboardInterrupt) as error:
        return _Exit(error)


class Service(_Blocking):
    """An app connected to its stores, with calls that block. Make one with `offpoll.connect(app)`.

    It starts a thread and enters the app's lifespan at once; `close` ends both.

    Args:
        service: used only here, since its connections belong to one event loop.

    Attributes:
        settings: what it is connected with.
    """

    def __init__(self, service: AsyncService) -> None:
        super().__init__()
        self._service = service
        self.settings = service.settings
        try:
            self._wait(self._stack.enter_async_context(service.running()))
        except BaseException:
            self.close()
            raise

    def run(self, call: Callable[[AsyncService], Coroutine[Any, Any, T]]) -> T:
        """Wait for a coroutine of yours on this service's own loop. `call` makes it, given the async service."""
        return self._wait(call(self._service))

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


class StatusBoard(_Blocking):
    """A status board with calls that block. Make one with `offpoll.status_board()`.

    Args:
        board: used only here, since its connections belong to one event loop.
        close: ends its connections.
    """

    def __init__(self, board: AsyncStatusBoard, close: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._board = board
        self._stack.push_async_callback(close)

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
