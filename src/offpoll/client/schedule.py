"""Schedules many waits: which is due next, and how each ended.

Due waits come from one heap, so that no wait needs its own task, thread or timer. The schedule does no I/O: `driver_async` and
`driver_blocking` send its requests, up to a limit at once, and give the replies back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, Generic, TypeVar

from offpoll.arguments import is_number, need, shown
from offpoll.client.flows import Flows
from offpoll.client.results import WaitResult, result_reader
from offpoll.errors import ClientError, ConfigurationError
from offpoll.exchange import Fetch, Flow, Reply, Shown, Wait
from offpoll.ticket import Ticket

__all__ = ["WaitSchedule", "capped", "refuse_if"]

#: Most turns in a row: beginning ten thousand waits takes a good part of a second, and other tasks share the driver's loop.
AT_A_TIME = 100

#: No wait needs more requests at once, whatever number a caller gives.
MOST = 1_000_000

T = TypeVar("T")


class WaitSchedule(Generic[T]):
    """Waits that take turns. Use it from one thread at a time.

    Args:
        begin: returns the flow of one wait.
        read: turns the flow's JSON into a result.

    Attributes:
        left: how many waits have not ended.
        ended: finished waits with their numbers, oldest first; the driver removes them.
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

    @classmethod
    def of(cls, flows: Flows, tickets: Iterable[Ticket], *, timeout: float | None, result_type: Any) -> WaitSchedule[Any]:
        """Return a schedule of one `flows.wait` for each ticket.

        Raises:
            ConfigurationError: there are no tickets to go through, or an argument is unusable.
        """
        need(tickets, Iterable, what="tickets is a list of tickets, or of other things that wait takes")
        return WaitSchedule(
            list(tickets),
            begin=lambda ticket: flows.wait(ticket, timeout=timeout),
            read=result_reader(result_type),
            monotonic=flows.elapsed,
        )

    def pause(self) -> float | None:
        """Return the seconds until the next turn; None if every wait has a request under way or has ended."""
        return max(0.0, self._due[0][0] - self._monotonic()) if self._due else None

    def turns(self) -> Iterator[tuple[int, Fetch | Shown]]:
        """Yield the number and next event of each due wait, longest due first. Call it again: it yields at most AT_A_TIME."""
        for _ in range(AT_A_TIME):
            if not self._due or self._due[0][0] > self._monotonic():
                return
            number = heappop(self._due)[1]
            event = self.go_on(number, None)
            if event is not None:
                yield number, event

    def go_on(self, number: int, reply: Reply) -> Fetch | Shown | None:
        """Give a wait the reply to its last event, and return its next event; None if its turn is over."""
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

    def _end(self, number: int, result: WaitResult[T]) -> None:
        self._flows[number] = None
        self.left -= 1
        self.ended.append((number, result))


def capped(max_in_flight: Any) -> int:
    """Return a valid cap on requests in flight.

    Raises:
        ConfigurationError: it is not a whole number, or less than 1.
    """
    if not isinstance(max_in_flight, int) or not is_number(max_in_flight, least=1):
        raise ConfigurationError(f"max_in_flight is a whole number, at least 1, not {shown(max_in_flight)}")
    return min(max_in_flight, MOST)


def refuse_if(closed: bool) -> None:
    """Refuse a step of a closed client. An operation that it waits for goes on, and another client can wait for it.

    Raises:
        ConfigurationError: `closed`.
    """
    if closed:
        raise ConfigurationError("this client was closed; make another one, and wait again with the ticket")
