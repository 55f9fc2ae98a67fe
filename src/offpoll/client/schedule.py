"""Many waits at once: whose turn it is, and how each of them ended.

Decides the order of turns: by the time they are due, from one heap, so that a wait costs no task, no thread and no timer of its own. Does
no I/O: `attend_async` and `attend_blocking` send what comes out of it, as many requests at a time as they are allowed, and give the replies
back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

from offpoll.client.results import WaitResult
from offpoll.errors import ClientError, ConfigurationError
from offpoll.exchange import Fetch, Flow, Reply, Shown, Wait
from offpoll.ticket import Ticket

__all__ = ["WaitSchedule", "capped"]

#: Turns after which a driver looks elsewhere: beginning ten thousand waits takes a good part of a second, and others live on that loop.
AT_A_TIME = 100

T = TypeVar("T")


class WaitSchedule(Generic[T]):
    """Waits that take turns. For one thread at a time.

    Args:
        tickets: of the operations.
        begin: makes the flow of one wait.
        read: makes a result of what the flow returns.
        monotonic: gives seconds that never go back.

    Attributes:
        left: how many waits have not ended.
        ended: those that have, with their numbers, oldest first; for the driver to take away.
    """

    def __init__(
        self,
        tickets: Sequence[Ticket],
        *,
        begin: Callable[[Ticket], Flow[bytes]],
        read: Callable[[bytes], T],
        monotonic: Callable[[], float],
    ) -> None:
        self._tickets, self._read, self._monotonic = tickets, read, monotonic
        self._flows: list[Flow[bytes] | None] = [begin(ticket) for ticket in tickets]
        now = monotonic()
        self._due: list[tuple[float, int]] = [(now, number) for number in range(len(tickets))]  # a heap already
        self.left = len(tickets)
        self.ended: deque[tuple[int, WaitResult[T]]] = deque()

    def pause(self) -> float | None:
        """Seconds until the next turn, None where every wait has a request under way or has ended."""
        return max(0.0, self._due[0][0] - self._monotonic()) if self._due else None

    def turns(self) -> Iterator[tuple[int, Fetch | Shown]]:
        """Yield each wait whose turn it is and what it wants, the longest due first; at most a slice of them, so look again."""
        for _ in range(AT_A_TIME):
            if not self._due or self._due[0][0] > self._monotonic():
                return
            number = heappop(self._due)[1]
            event = self.go_on(number, None)
            if event is not None:
                yield number, event

    def go_on(self, number: int, reply: Reply) -> Fetch | Shown | None:
        """Give a wait the reply to what it wanted; return what it wants next, None if its turn is over."""
        flow = self._flows[number]
        if flow is None:
            raise ValueError(f"wait {number} has ended")
        try:
            event = flow.send(reply)
        except StopIteration as end:
            self._succeed(number, end.value)
        except ClientError as error:
            self.fail(number, error)
        else:
            if not isinstance(event, Wait):
                return event
            heappush(self._due, (self._monotonic() + event.seconds, number))
        return None

    def fail(self, number: int, error: ClientError) -> None:
        """End a wait with an error."""
        self._end(number, WaitResult(ticket=self._tickets[number], _error=error))

    def _succeed(self, number: int, body: bytes) -> None:
        try:
            value = self._read(body)
        except ClientError as error:
            self.fail(number, error)
        else:
            self._end(number, WaitResult(ticket=self._tickets[number], _value=value))

    def _end(self, number: int, waited: WaitResult[T]) -> None:
        self._flows[number] = None
        self.left -= 1
        self.ended.append((number, waited))


def capped(max_in_flight: Any) -> int:
    """Return a cap on requests in flight.

    Raises:
        ConfigurationError: it is no whole number from 1 on.
    """
    if not isinstance(max_in_flight, int) or max_in_flight < 1:
        raise ConfigurationError(f"max_in_flight is a whole number, at least 1: {max_in_flight!r}")
    return max_in_flight
