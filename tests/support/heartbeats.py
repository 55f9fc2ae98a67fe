"""A claimed job and the heartbeat that keeps it alive, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.forecast import Forecast
from offpoll.kind import Kind
from offpoll.operation import Submission
from offpoll.queue import MemoryQueue, Message
from offpoll.records import MemoryRecords
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START, run_virtual
from offpoll.work.heartbeat import Heartbeat
from offpoll.work.job import Job, Jobs
from offpoll.work.publish import Publisher

LEASE = 30.0
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=START)
EXPIRES_AT = START + timedelta(days=14)


def handler(number: int) -> int:
    return number


@dataclass(kw_only=True)
class _Counted(Heartbeat):
    """A heartbeat that says when it looks."""

    on_look: Callable[[], None]

    def look(self) -> None:
        self.on_look()
        super().look()


class Beating:
    """A claimed job whose handler runs, and a heartbeat for it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        clock = lambda: START + timedelta(seconds=self.loop.time())  # noqa: E731
        self.records, self.queue = MemoryRecords(clock=clock), MemoryQueue(visibility=LEASE)
        self.on_records, self.on_queue = Faults(self.records), Faults(self.queue)
        forecast = Forecast(queue=self.queue, service_times=MemoryServiceTimes(), expected_service_time=5, concurrency=1)
        board = AsyncStatusBoard(store=MemoryDocumentStore(clock=clock), clock=clock)
        self.stopped_at: float | None = None
        self.jobs = Jobs()
        self.looks: list[float] = []
        self.heartbeat = _Counted(
            on_look=lambda: self.looks.append(self.loop.time()),
            jobs=self.jobs,
            records=self.records,
            queue=self.queue,
            publisher=Publisher(board=board, forecast=forecast, max_updates=0, clock=clock),
            lease=LEASE,
            monotonic=self.loop.time,
        )

    async def begin(self) -> Job:
        message = Message(submission=SUBMISSION, body="1")
        await self.queue.send(message.to_envelope())
        (delivery,) = await self.queue.receive(limit=1, wait=0)
        update = await self.records.claim(SUBMISSION, seen=0, token="t", lease=LEASE, expires_at=EXPIRES_AT)
        kind = Kind.of("order", handler)
        now = self.loop.time()
        job = Job(delivery=delivery, message=message, kind=kind, token="t", record=update.record, last_beat=now, last_beat_try=now)
        job.lease_ends = now + LEASE
        self.jobs.add(job)

        def stopped() -> None:
            self.stopped_at = self.loop.time()

        job.begin(now=self.loop.time(), on_stop=stopped)
        return job


def beating(test: Callable[[Beating, Job], Any]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            at = Beating()
            job = await at.begin()
            running = asyncio.create_task(at.heartbeat.run())
            await test(at, job)
            running.cancel()
            await asyncio.wait({running})

        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
