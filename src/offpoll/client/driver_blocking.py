"""Drives a schedule of waits for a blocking caller: threads send the requests, and the caller's thread does the rest.

`schedule` decides which wait is due, and the client completes the requests. `driver_async` is its async twin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from offpoll.client.request_guard import RequestGuard
from offpoll.client.results import WaitResult
from offpoll.client.schedule import WaitSchedule
from offpoll.document import Document
from offpoll.errors import ClientError
from offpoll.exchange import Fetch, NoAnswer, Response, Shown

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["OnUpdate", "Sender", "drive"]

OnUpdate: TypeAlias = Callable[[Document], object]


class Sender:
    """Sends requests in threads, and hands back their replies.

    Args:
        send: sends one request and waits for its reply.
        threads: how many requests may be under way. With 0 the caller's thread sends them, one after another.
        sleep: waits while no request is under way, for seconds.

    Attributes:
        out: how many requests still have no received reply.
    """

    def __init__(self, send: Callable[[Fetch], Response | NoAnswer], *, threads: int, sleep: Callable[[float], object]) -> None:
        self._send, self._sleep = send, sleep
        self._pool = _pool(threads) if threads else None
        self._replies: SimpleQueue[tuple[int, Fetch, Response | NoAnswer | BaseException]] = SimpleQueue()
        self.out = 0

    def send(self, number: int, fetch: Fetch) -> None:
        """Send a request of wait `number`."""
        self.out += 1
        if self._pool is None:
            self._carry(number, fetch)
        else:
            self._pool.submit(self._carry, number, fetch)

    def receive(self, *, within: float | None) -> tuple[int, Fetch, Response | NoAnswer] | None:
        """Return the next reply with its wait's number and its request; None if none came within `within` seconds.

        Raises:
            Exception: raised by the transport.
        """
        if not self.out:
            self._sleep(within or 0.0)
            return None
        try:
            number, fetch, reply = self._replies.get(timeout=within)
        except Empty:
            return None
        self.out -= 1
        if isinstance(reply, BaseException):
            raise reply
        return number, fetch, reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._pool is not None:
            # If requests are still out, the caller has left early: they end by themselves, within their timeouts.
            self._pool.shutdown(wait=not self.out, cancel_futures=True)

    def _carry(self, number: int, fetch: Fetch) -> None:
        reply: Response | NoAnswer | BaseException
        try:
            reply = self._send(fetch)
        except BaseException as error:  # `receive` raises it, in the caller's thread
            reply = error
        self._replies.put((number, fetch, reply))


def drive(
    schedule: WaitSchedule[Any],
    *,
    sender: Sender,
    guard: RequestGuard,
    noted: Callable[[Fetch, Response | NoAnswer], Response | NoAnswer],
    on_update: OnUpdate | None,
    max_in_flight: int,
) -> Iterator[tuple[int, WaitResult[Any]]]:
    """Give every wait its turns, and yield each finished one with its number.

    `noted` notes a request with its reply, and returns the reply.
    """
    asked: dict[int, Fetch] = {}  # the requests under way, without credentials

    def serve(number: int, event: Fetch | Shown | None) -> None:
        """Serve one wait until it has a request under way, or its turn is over."""
        while isinstance(event, Shown):
            if on_update is not None:
                on_update(event.document)
            event = schedule.go_on(number, None)
        if event is None:
            return
        try:
            sender.send(number, guard.complete(event))
            asked[number] = event
        except ClientError as error:
            schedule.fail(number, error)

    def received(number: int, fetch: Fetch, reply: Response | NoAnswer) -> None:
        """Go on with a wait, or send its request once more with fresh credentials."""
        event = asked.pop(number, None)
        try:
            again = None if event is None else guard.renewed(event, fetch, reply)
        except ClientError as error:
            schedule.fail(number, error)
            return
        if again is None:
            serve(number, schedule.go_on(number, reply))
        else:
            sender.send(number, again)

    while schedule.left:
        for number, event in islice(schedule.turns(), max_in_flight - sender.out):
            serve(number, event)
        while schedule.ended:
            yield schedule.ended.popleft()
        if schedule.left and (came := sender.receive(within=schedule.pause() if sender.out < max_in_flight else None)) is not None:
            number, fetch, reply = came
            received(number, fetch, noted(fetch, reply))
    yield from schedule.ended


def _pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - it costs the import of logging, and most clients wait for one

    return ThreadPoolExecutor(threads, thread_name_prefix="offpoll-client")
