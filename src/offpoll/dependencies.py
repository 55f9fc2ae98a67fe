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
    """Close nothing, check nothing: what is in memory needs neither."""


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """The stores and queues of a service.

    Attributes:
        board: the status documents.
        queue: carries the operations.
        dead_letters: where the queue puts what was delivered too often.
        parking: where messages go that nobody can read.
        records: the authority.
        service_times: what workers measured.
        metrics: counts what alarms are made of.
        check: asks each one a cheap question; raises DependencyRefused or ConfigurationError where a name, a permission or a key is wrong.
        close: ends connections.
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
