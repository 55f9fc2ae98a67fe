"""Drives a schedule of waits for a sync caller: threads send the requests, everything else happens in the caller's own.

Decides nothing: `schedule` says whose turn it is, and the client how a request is completed. `attend_async` is its twin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from offpoll.client.results import WaitResult
from offpoll.client.schedule import WaitSchedule
from offpoll.document import Document
from offpoll.errors import ClientError
from offpoll.exchange import Fetch, NoAnswer, Response, Shown

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Sender", "drive"]


class Sender:
    """Sends requests and hands back their replies.

    Args:
        send: sends one request and waits for its reply.
        threads: how many requests may be under way; with 0 they are sent by the caller's thread, one after another.
        sleep: how to wait where nothing is under way, seconds.

    Attributes:
        out: how many requests have no reply yet that was received.
    """

    def __init__(self, send: Callable[[Fetch], Response | NoAnswer], *, threads: int, sleep: Callable[[float], object]) -> None:
        self._send, self._sleep = send, sleep
        self._pool = _pool(threads) if threads else None
        self._replies: SimpleQueue[tuple[int, Fetch, Response | NoAnswer | BaseException]] = SimpleQueue()
        self.out = 0

    def send(self, number: int, fetch: Fetch) -> None:
        """Send a request, for the wait of this number."""
        self.out += 1
        if self._pool is None:
            self._carry(number, fetch)
        else:
            self._pool.submit(self._carry, number, fetch)

    def receive(self, *, within: float | None) -> tuple[int, Fetch, Response | NoAnswer] | None:
        """Return the next reply with its wait's number and its request; None where none came within so many seconds.

        Raises:
            Exception: what the transport raised.
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
            # Where requests are still out, somebody has lost interest in them: they end by themselves, within their timeouts.
            self._pool.shutdown(wait=not self.out, cancel_futures=True)

    def _carry(self, number: int, fetch: Fetch) -> None:
        reply: Response | NoAnswer | BaseException
        try:
            reply = self._send(fetch)
        except BaseException as error:  # raised where it is received, in the caller's own thread
            reply = error
        self._replies.put((number, fetch, reply))


def drive(
    schedule: WaitSchedule[Any],
    *,
    sender: Sender,
    complete: Callable[[Fetch], Fetch],
    noted: Callable[[Fetch, Response | NoAnswer], Response | NoAnswer],
    on_update: Callable[[Document], object] | None,
    max_in_flight: int,
) -> Iterator[tuple[int, WaitResult[Any]]]:
    """Give every wait its turns, and yield each that has ended with its number.

    Args:
        schedule: the waits.
        sender: carries their requests.
        complete: makes a request as it is to be sent.
        noted: takes note of a request and its reply, and returns that.
        on_update: told of every new document.
        max_in_flight: most requests under way at once.
    """

    def serve(number: int, event: Fetch | Shown | None) -> None:
        """Serve one wait until it has a request under way, or its turn is over."""
        while isinstance(event, Shown):
            if on_update is not None:
                on_update(event.document)
            event = schedule.go_on(number, None)
        if event is None:
            return
        try:
            sender.send(number, complete(event))
        except ClientError as error:
            schedule.fail(number, error)

    while schedule.left:
        for number, event in islice(schedule.turns(), max_in_flight - sender.out):
            serve(number, event)
        while schedule.ended:
            yield schedule.ended.popleft()
        if schedule.left and (came := sender.receive(within=schedule.pause() if sender.out < max_in_flight else None)) is not None:
            number, fetch, reply = came
            serve(number, schedule.go_on(number, noted(fetch, reply)))
    yield from schedule.ended


def _pool(threads: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - it costs the import of logging, and most clients wait for one

    return ThreadPoolExecutor(threads, thread_name_prefix="offpoll-client")
