"""The heartbeat: it keeps lease and visibility, and stops a handler whose lease it cannot keep."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.heartbeats import EXPIRES_AT, LEASE, SUBMISSION, Beating, beating

from offpoll.operation import Outcome, Status
from offpoll.records import Claim, Undecided
from offpoll.testing import run_virtual
from offpoll.work.heartbeat import TICK
from offpoll.work.job import Job, Stop


@beating
async def test_lease_and_visibility_are_extended_together(at: Beating, job: Job) -> None:
    """Every third of the lease, lease and visibility are both extended, for as long as the handler runs."""
    await asyncio.sleep(3600)
    assert at.on_records.count("renew") == at.on_queue.count("hide") == pytest.approx(360, abs=10)
    assert (await at.queue.depth()).in_flight == 1
    assert not (await at.records.claim(SUBMISSION, seen=1, token="u", lease=LEASE, expires_at=EXPIRES_AT)).applied
    assert job.stop_reason is None


@beating
async def test_a_lost_claim(at: Beating, job: Job) -> None:
    """At the next renewal the heartbeat learns that another worker has taken the claim over."""
    record = at.records._records["a" * 32]
    at.records._records["a" * 32] = type(record)(
        submission=SUBMISSION, attempt=2, token="u", lease_until=record.lease_until, expires_at=record.expires_at
    )
    await asyncio.sleep(LEASE / 3 + 0.5)
    assert job.stop_reason is Stop.LOST


@beating
async def test_a_decided_operation(at: Beating, job: Job) -> None:
    """At the next renewal the heartbeat learns of a cancel."""
    await at.records.decide(SUBMISSION, Outcome(status=Status.CANCELED), guard=Undecided(), expires_at=EXPIRES_AT)
    await asyncio.sleep(LEASE / 3 + 0.5)
    assert job.stop_reason is Stop.DECIDED


@beating
async def test_a_lapse(at: Beating, job: Job) -> None:
    """With the records down, the heartbeat tries every second, and stops the handler a margin before the lease ends."""
    await asyncio.sleep(12)
    at.on_records.down()
    await asyncio.sleep(40)
    assert job.stop_reason is Stop.LAPSED
    assert at.stopped_at == pytest.approx(10 + LEASE - LEASE / 10, abs=0.6)
    assert at.on_records.count("renew") > 15


@beating
async def test_a_beat_that_hangs(at: Beating, job: Job) -> None:
    """A renewal that hangs also stops the handler before its lease ends."""
    at.on_records.meanwhile("renew", lambda: asyncio.sleep(1000))
    await asyncio.sleep(40)
    assert job.stop_reason is Stop.LAPSED
    assert at.stopped_at == pytest.approx(LEASE - LEASE / 10, abs=0.6)


@beating
async def test_a_short_outage_stops_nothing(at: Beating, job: Job) -> None:
    """An outage that ends within the lease does not stop the handler."""
    await asyncio.sleep(9)
    at.on_records.down()
    await asyncio.sleep(15)
    at.on_records.up()
    await asyncio.sleep(600)
    assert job.stop_reason is None


@beating
async def test_the_queue_alone_fails(at: Beating, job: Job) -> None:
    """If only the visibility cannot be extended, the lease still holds and the handler goes on."""
    at.on_queue.down()
    await asyncio.sleep(300)
    assert job.stop_reason is None


@beating
async def test_a_process_that_slept(at: Beating, job: Job) -> None:
    """After a pause longer than its lease, a holder renews before it stops, because it may still hold the claim."""
    job.lease_ends = -1000.0
    job.last_beat = -1000.0
    job.last_beat_try = -1000.0
    await asyncio.sleep(5)
    assert job.stop_reason is None
    assert job.lease_ends > LEASE - 1


@beating
async def test_a_closed_job_is_left_alone(at: Beating, job: Job) -> None:
    """`close` waits for a beat that is under way; afterwards the message is not hidden again."""
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
    """A lease that began long before the last beat, because the claim's answer was late, is renewed before it ends."""
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
    """A lease of a second or two is kept as long as renewals succeed, and given up before its end when one hangs."""

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
    """If a job is closed before its beat takes its first step, the beat does not hide the message."""

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
async def test_a_fault_in_offpoll(at: Beating, job: Job) -> None:
    """An unexpected exception costs one beat but not the heartbeat, and the lease holds."""
    at.on_records.fail("renew", error=ZeroDivisionError())
    await asyncio.sleep(300)
    assert job.stop_reason is None
    assert (await at.records.renew("a" * 32, held=Claim(attempt=1, token="t"), lease=LEASE)).applied


@beating
async def test_a_broken_job_does_not_cost_the_others(at: Beating, job: Job) -> None:
    """A job that breaks the heartbeat's look does not end the heartbeat of the others."""
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
