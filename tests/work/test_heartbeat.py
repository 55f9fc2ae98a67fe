"""The heartbeat: leases, visibility, and what its failures mean for a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.forecast import Forecast
from offpoll.kind import Kind
from offpoll.operation import Outcome, Status, Submission
from offpoll.queue import MemoryQueue, Message
from offpoll.records import Claim, MemoryRecords, Undecided
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START, run_virtual
from offpoll.work.heartbeat import TICK, Heartbeat
from offpoll.work.job import Job, Stop
from offpoll.work.jobs import Jobs
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
    """A claimed job whose handler runs, and a heartbeat that tends it."""

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
        job = Job(
            delivery=delivery,
            message=message,
            kind=kind,
            token="t",
            record=update.record,
            last_beat=now,
            last_beat_try=now,
            lease_ends=now + LEASE,
        )
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


@beating
async def test_lease_and_visibility_are_extended_together(at: Beating, job: Job) -> None:
    """Every third of the lease both are extended, for as long as the handler runs."""
    await asyncio.sleep(3600)
    assert at.on_records.count("renew") == at.on_queue.count("hide") == pytest.approx(360, abs=10)
    assert (await at.queue.depth()).in_flight == 1
    assert not (await at.records.claim(SUBMISSION, seen=1, token="u", lease=LEASE, expires_at=EXPIRES_AT)).applied
    assert job.stop_reason is None


@beating
async def test_a_lost_claim(at: Beating, job: Job) -> None:
    """A claim that was overtaken is learned at the next renewal."""
    record = at.records._records["a" * 32]
    at.records._records["a" * 32] = type(record)(
        submission=SUBMISSION, attempt=2, token="u", lease_until=record.lease_until, expires_at=record.expires_at
    )
    await asyncio.sleep(LEASE / 3 + 0.5)
    assert job.stop_reason is Stop.LOST


@beating
async def test_a_decided_operation(at: Beating, job: Job) -> None:
    """A cancel is learned at the next renewal."""
    await at.records.decide(SUBMISSION, Outcome(status=Status.CANCELED), guard=Undecided(), expires_at=EXPIRES_AT)
    await asyncio.sleep(LEASE / 3 + 0.5)
    assert job.stop_reason is Stop.DECIDED


@beating
async def test_a_lapse(at: Beating, job: Job) -> None:
    """Records out of reach: tried every second, and a margin before the lease ends the handler is stopped."""
    await asyncio.sleep(12)
    at.on_records.down()
    await asyncio.sleep(40)
    assert job.stop_reason is Stop.LAPSED
    assert at.stopped_at == pytest.approx(10 + LEASE - LEASE / 10, abs=0.6)
    assert at.on_records.count("renew") > 15


@beating
async def test_a_beat_that_hangs(at: Beating, job: Job) -> None:
    """A renewal that is neither answered nor refused stops the handler before its lease ends, too."""
    at.on_records.meanwhile("renew", lambda: asyncio.sleep(1000))
    await asyncio.sleep(40)
    assert job.stop_reason is Stop.LAPSED
    assert at.stopped_at == pytest.approx(LEASE - LEASE / 10, abs=0.6)


@beating
async def test_a_short_outage_stops_nothing(at: Beating, job: Job) -> None:
    """An outage that ends within the lease is not noticed by the handler."""
    await asyncio.sleep(9)
    at.on_records.down()
    await asyncio.sleep(15)
    at.on_records.up()
    await asyncio.sleep(600)
    assert job.stop_reason is None


@beating
async def test_the_queue_alone_fails(at: Beating, job: Job) -> None:
    """Where only the visibility cannot be extended the lease still holds: the handler goes on."""
    at.on_queue.down()
    await asyncio.sleep(300)
    assert job.stop_reason is None


@beating
async def test_a_process_that_slept(at: Beating, job: Job) -> None:
    """After a pause longer than its lease a holder asks before it stops: nobody may have claimed meanwhile."""
    job.lease_ends = -1000.0
    job.last_beat = -1000.0
    job.last_beat_try = -1000.0
    await asyncio.sleep(5)
    assert job.stop_reason is None
    assert job.lease_ends > LEASE - 1


@beating
async def test_a_closed_job_is_left_alone(at: Beating, job: Job) -> None:
    """`close` waits for a beat that is under way; afterwards the message is not hidden any more."""
    at.on_queue.meanwhile("hide", lambda: asyncio.sleep(3))
    await asyncio.sleep(LEASE / 3 + 0.5)
    assert job.beating
    await job.close()
    assert not job.beating
    hides = at.on_queue.count("hide")
    await asyncio.sleep(100)
    assert at.on_queue.count("hide") == hides


@beating
async def test_a_claim_that_took_long(at: Beating, job: Job) -> None:
    """A lease that is older than the last beat, because its claim was answered late, is renewed before it ends."""
    await asyncio.sleep(1)
    job.last_beat = at.loop.time()
    job.lease_ends = at.loop.time() + 6
    await asyncio.sleep(2)
    assert job.lease_ends > LEASE
    await asyncio.sleep(100)
    assert job.stop_reason is None
    assert at.on_records.count("renew") <= 12


@pytest.mark.parametrize("lease", [1.0, 2.0])
def test_short_leases(lease: float) -> None:
    """A lease of a second or two is kept while renewals are answered, and given up before its end when one hangs."""

    async def main() -> None:
        at = Beating()
        at.heartbeat.lease = lease
        job = await at.begin()
        job.lease_ends = lease
        running = asyncio.create_task(at.heartbeat.run())
        await asyncio.sleep(60)
        assert job.stop_reason is None
        at.on_records.meanwhile("renew", lambda: asyncio.sleep(1000))
        await asyncio.sleep(lease * 2)
        assert job.stop_reason is Stop.LAPSED
        assert at.stopped_at is not None
        assert at.stopped_at < job.lease_ends
        running.cancel()
        await asyncio.wait({running})

    run_virtual(main())


def test_a_job_that_is_closed_before_its_beat_begins() -> None:
    """A job that its loop closes between the look and the beat's first step is not hidden any more."""

    async def main() -> None:
        at = Beating()
        job = await at.begin()
        job.last_beat = job.last_beat_try = -1000.0
        at.heartbeat.look()
        assert job.beating
        job.closed = True
        await asyncio.sleep(1)
        assert (job.beating, at.on_queue.count("hide")) == (False, 0)

    run_virtual(main())


@beating
async def test_a_fault_of_our_own(at: Beating, job: Job) -> None:
    """An exception that nobody expected costs one beat, and not the heartbeat: the lease holds."""
    at.on_records.fail("renew", error=ZeroDivisionError())
    await asyncio.sleep(300)
    assert job.stop_reason is None
    assert (await at.records.renew("a" * 32, held=Claim(attempt=1, token="t"), lease=LEASE)).applied


@beating
async def test_a_broken_job_does_not_cost_the_others(at: Beating, job: Job) -> None:
    """A job that cannot be looked at does not end the heartbeat of the rest."""
    broken = Job(delivery=job.delivery, message=job.message, kind=job.kind, token="b")
    broken.last_beat = None  # type: ignore[assignment]
    at.jobs.remove(job)
    at.jobs.add(broken)
    at.jobs.add(job)
    await asyncio.sleep(100)
    assert job.stop_reason is None
    assert at.on_records.count("renew") >= 9


def test_it_sleeps_while_there_is_no_job() -> None:
    """Without a job nothing wakes it; one that arrives wakes it at once and is kept alive; once that is gone it sleeps again."""

    async def main() -> None:
        at = Beating()
        running = asyncio.create_task(at.heartbeat.run())
        await asyncio.sleep(3600)
        assert at.looks == []
        job = await at.begin()
        await asyncio.sleep(0.01)
        assert at.looks == [3600]
        await asyncio.sleep(600)
        assert at.looks[-1] - at.looks[0] == pytest.approx((len(at.looks) - 1) * TICK)
        assert at.on_records.count("renew") == pytest.approx(60, abs=2)
        at.jobs.remove(job)
        await asyncio.sleep(TICK)
        looks = len(at.looks)
        await asyncio.sleep(3600)
        assert len(at.looks) == looks
        running.cancel()
        await asyncio.wait({running})

    run_virtual(main())
