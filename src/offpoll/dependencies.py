"""What a process talks to, as protocols: one bundle for one event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from offpoll.board import AsyncStatusBoard
from offpoll.metrics import Metrics, NoMetrics
from offpoll.queue import Queue
from offpoll.records import Records
from offpoll.service_times import ServiceTimes

__all__ = ["Dependencies"]


async def _nothing() -> None:
    """Do nothing: stores in memory need no check and no closing."""


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """The stores and queues of a service.

    Attributes:
        board: the status documents.
        queue: carries the operations.
        dead_letters: takes messages that the queue delivered too often.
        parking: takes messages that nobody can read.
        records: the authority on every operation.
        service_times: what workers measured.
        metrics: counts what alarms watch.
        check: asks each store a cheap question; raises DependencyRefused or ConfigurationError if a name, a permission or a key is wrong.
        close: ends the connections.
    """

    board: AsyncStatusBoard
    queue: Queue
    dead_letters: Queue
    parking: Queue
    records: Records
    service_times: ServiceTimes
    metrics: Metrics = field(default_factory=NoMetrics)
    check: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing
