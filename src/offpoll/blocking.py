"""The service and the board for code that does not await (Flask, Django, Celery, a script): thin faces over the async ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self, TypeVar

from offpoll.board import StatusBoard
from offpoll.document import Document
from offpoll.inquire import Order
from offpoll.link import StatusLink
from offpoll.operation import PUBLIC, Status
from offpoll.ticket import Ticket

if TYPE_CHECKING:
    from offpoll.service import Service

__all__ = ["BlockingBoard", "BlockingService"]

T = TypeVar("T")


class _Blocking:
    """A loop in a thread of its own, on which async calls are made. Safe to share between threads, not to carry over a fork."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        self._thread = threading.Thread(target=self._loop.run_forever, name="offpoll-blocking", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connections and the thread."""
        if self._thread.is_alive():
            try:
                self._wait(self._end())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _end(self) -> None:
        """Leave the contexts; then end what still runs here, as `asyncio.run` does: a look at the counters, for which nobody waits."""
        try:
            await self._stack.aclose()
        finally:
            left = asyncio.all_tasks() - {asyncio.current_task()}
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            await asyncio.sleep(0)  # connections that were dropped tell their protocols in the loop's next round

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()


class BlockingService(_Blocking):
    """A service whose calls block. The app's lifespan is entered at once, and left by `close`.

    Args:
        service: used here and nowhere else: connections belong to one event loop.
    """

    def __init__(self, service: Service) -> None:
        super().__init__()
        self._service = service
        try:
            self._wait(self._stack.enter_async_context(service.running()))
        except BaseException:
            self.close()
            raise

    def submit(self, kind: str, input: Any, **options: Any) -> Ticket:
        """Accept an operation; see `Service.submit`."""
        return self._wait(self._service.submit(kind, input, **options))

    def order(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Order:
        """Return an operation; see `Service.order`."""
        return self._wait(self._service.order(kind, operation_id, owner=owner))

    def status_link(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> StatusLink:
        """Return a fresh status link; see `Service.status_link`."""
        return self._wait(self._service.status_link(kind, operation_id, owner=owner))

    def cancel(self, kind: str, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Cancel an operation; see `Service.cancel`."""
        return self._wait(self._service.cancel(kind, operation_id, owner=owner))

    def resubmit(self, operation_id: str, *, owner: str = PUBLIC) -> Document:
        """Submit a failed operation again; see `Service.resubmit`."""
        return self._wait(self._service.resubmit(operation_id, owner=owner))


class BlockingBoard(_Blocking):
    """A status board whose calls block.

    Args:
        board: used here and nowhere else: connections belong to one event loop.
        close: ends its connections.
    """

    def __init__(self, board: StatusBoard, close: Callable[[], Awaitable[None]]) -> None:
        super().__init__()
        self._board = board
        self._stack.push_async_callback(close)

    def open(self, operation_id: str, *, kind: str, **options: Any) -> StatusLink:
        """Create the document of an operation and return a link to it; see `StatusBoard.open`."""
        return self._wait(self._board.open(operation_id, kind=kind, **options))

    def publish(self, operation_id: str, *, status: Status | str, **options: Any) -> Document:
        """Publish what a worker knows; see `StatusBoard.publish`."""
        return self._wait(self._board.publish(operation_id, status=status, **options))
