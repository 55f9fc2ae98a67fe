"""One delivery, from claim to deletion: what a worker does with its claim, its lease and its release."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.lab import Lab, lab, single
from tests.support.scripted_handler import ScriptedHandler

from offpoll.operation import Operation, Outcome, Status
from offpoll.records import Undecided
from offpoll.work.handle import Ended, Stopped
from offpoll.work.job import Job, Stop
from offpoll.work.loop import LONG_POLL


def delivery_processor(one: Lab) -> Any:
    return one.system._workers[0][0]._loops[0].work.__self__  # type: ignore[attr-defined]


def jobs(one: Lab) -> list[Job]:
    return list(one.system._workers[0][0]._jobs)


def sleeping(seconds: float) -> Callable[[], Awaitable[None]]:
    return lambda: asyncio.sleep(seconds)


# --- claim and lease ----------------------------------------------------------------------------


def test_a_claim_that_lapsed_before_it_was_known() -> None:
    """If an outage outlasts a claim whose answer was lost, the claim is renewed, as the same attempt, before the handler begins."""
    live: list[bool] = []
    with lab(Handlers.watching(live)) as one:
        Handlers.lab = one
        one.on_records.fail("claim", after=True)
        one.on_records.fail("claim", times=8)
        operation_id = one.submit()
        one.system.advance(60)
        assert live == []
        document = one.until_done(operation_id)
        assert (document.attempt, live) == (1, [True] * 100)


class Handlers:
    """A handler that keeps checking whether its lease is live."""

    lab: Lab

    @classmethod
    def watching(cls, live: list[bool]) -> Any:
        async def handle(number: int, operation: Operation) -> int:
            for _ in range(100):
                record = cls.lab.record(operation.id)
                assert record is not None
                assert record.lease_until is not None
                live.append(record.lease_until > cls.lab.system.loop.now())
                await asyncio.sleep(0.25)
            return number

        return single(handle)


def test_a_claim_that_was_lost_before_it_was_known() -> None:
    """If another worker has claimed by the time this one asks, it begins no handler and leaves the message alone."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        one.on_records.fail("claim", after=True)
        one.on_records.fail("claim", times=8)

        async def other() -> None:
            (operation_id,) = one.system.records._records
            record = one.system.records._records[operation_id]
            lease_until = one.system.loop.now() + timedelta(seconds=500)
            one.system.records._records[operation_id] = replace(record, attempt=2, token="other", lease_until=lease_until)

        one.on_records.meanwhile("renew", other)
        one.submit()
        one.system.advance(120)
        assert (one.on_records.count("renew"), handler.began, one.messages) == (1, [], 1)


def test_the_lease_counts_from_before_the_claim() -> None:
    """The lease counts from before the claim's call, because a late answer does not say when the claim took effect."""
    with lab(single(ScriptedHandler(seconds=100).function())) as one:
        one.on_records.meanwhile("claim", sleeping(5), after=True)
        one.submit()
        one.system.advance(5.2)
        (job,) = jobs(one)
        assert job.running
        assert job.lease_ends == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize(("timeout", "status"), [(110, "failed"), (130, "succeeded")])
def test_a_rerun_gets_the_rest_of_the_timeout(timeout: float, status: str) -> None:
    """After a lapse the handler runs again for the rest of its attempt's timeout; the outage in between does not count."""
    handler = ScriptedHandler(seconds=100)
    with lab(single(handler.function(), timeout=timeout)) as one:
        operation_id = one.submit()
        one.system.advance(5)
        one.on_records.down()
        one.system.advance(400)
        assert handler.ended == ["cancelled"]  # after 27 s
        one.on_records.up()
        document = one.until_done(operation_id, within=200)
        assert (document.status, document.attempt, handler.began) == (status, 1, [1, 1])
        assert document.error is None or document.error["code"] == "timed_out"


# --- decided while a thread runs on -------------------------------------------------------------


class RunsOn:
    """A runner whose handler was told to stop, and runs on until it is let go."""

    def __init__(self, reason: Stop) -> None:
        self.reason, self.go, self.let_go = reason, asyncio.Event(), asyncio.Event()

    async def run(self, job: Job) -> Stopped | Ended:
        if self.go.is_set():
            return Ended(outcome=Outcome(status=Status.SUCCEEDED, result="2"))
        await self.go.wait()
        return Stopped(reason=self.reason)

    async def vacated(self, job: Job) -> None:
        await self.let_go.wait()


def test_a_cancel_does_not_wait_for_a_thread() -> None:
    """After a cancel, the outcome is published and the message deleted while the handler still runs; only the slot waits."""
    with lab(single(ScriptedHandler().function()), concurrency=1) as one:
        runner = RunsOn(Stop.DECIDED)
        object.__setattr__(delivery_processor(one), "runner", runner)
        operation_id = one.submit()
        one.system.advance(1)
        record = one.record(operation_id)
        assert record is not None
        canceled = Outcome(status=Status.CANCELED)  # by a canceller that dies before it publishes
        one.system.run(one.system.records.decide(record.submission, canceled, guard=Undecided(), expires_at=record.expires_at))
        runner.go.set()
        one.system.advance(1)
        assert one.document(operation_id).status == "canceled"
        assert one.messages == 0
        one.submit(2)
        one.system.advance(60)
        assert len(one.system._workers[0][0]._loops[0]._tasks) == 1
        assert one.messages == 1
        runner.let_go.set()
        one.system.advance(60)
        assert one.on_records.count("claim") == 2


# --- release ------------------------------------------------------------------------------------


def test_a_copy_meets_the_backoff() -> None:
    """A second copy of the message, delivered right after a failed attempt, starts nothing before the backoff has ended."""
    handler = ScriptedHandler(RuntimeError(), seconds=0.0)
    with lab(single(handler.function()), workers=2) as one:
        operation_id = one.submit(key="k")
        one.system.advance(0.5)
        assert one.submit(key="k") == operation_id
        one.system.advance(1.4)  # the backoff lasts 2 to 4 s
        assert one.on_records.count("claim") >= 2
        assert handler.began == [1]
        assert one.until_done(operation_id, within=10).attempt == 2
        one.system.advance(60)
        one.assert_settled(operation_id)


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 2.0), (1.0, 4.0)])
def test_the_backoffs_jitter(random: float, seconds: float) -> None:
    """A backoff lasts between half and all of its limit."""
    with lab(single(ScriptedHandler(RuntimeError(), seconds=0.0).function()), workers=0) as one:
        one.system._random = SimpleNamespace(random=lambda: random)  # type: ignore[assignment]
        one.system.start_worker()
        began = one.system.loop.now()
        operation_id = one.submit()
        one.system.advance(0.1)
        record = one.record(operation_id)
        assert record is not None
        assert record.token is None
        assert record.lease_until is not None
        assert (record.lease_until - began).total_seconds() == pytest.approx(seconds, abs=0.05)


def test_a_release_that_came_too_late() -> None:
    """If another attempt began before the release, this worker does not hide the message, which is the other's now."""
    handler = ScriptedHandler(RuntimeError(), seconds=1.0)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()

        async def overtake() -> None:
            record = one.system.records._records[operation_id]
            one.system.records._records[operation_id] = replace(record, attempt=2, token="other")

        one.on_records.meanwhile("release", overtake)
        one.system.advance(5)
        assert one.on_records.count("release") == 1
        assert one.on_queue.count("hide") == 0
        assert one.messages == 1


def test_a_release_after_a_decision() -> None:
    """If the operation was decided before the release, its outcome is published and the message deleted at once."""
    with lab(single(ScriptedHandler(RuntimeError()).function())) as one:
        operation_id = one.submit()

        async def cancel() -> None:
            record = one.system.records._records[operation_id]
            canceled = Outcome(status=Status.CANCELED)
            await one.system.records.decide(record.submission, canceled, guard=Undecided(), expires_at=record.expires_at)

        one.on_records.meanwhile("release", cancel)
        one.system.advance(1.5)
        assert one.outcome(operation_id).status == "canceled"
        one.assert_settled(operation_id)


def test_a_release_whose_answer_was_lost() -> None:
    """A release whose answer was lost counts: the message comes back after the backoff, not after its visibility timeout."""
    handler = ScriptedHandler(RuntimeError(), seconds=0.0)
    with lab(single(handler.function())) as one:
        one.on_records.fail("release", after=True)
        operation_id = one.submit()
        assert one.until_done(operation_id, within=12).attempt == 2


# --- the message --------------------------------------------------------------------------------


def test_a_beat_under_way_does_not_undo_the_giving_back() -> None:
    """Giving a message back waits for a heartbeat that is just hiding it, so the next attempt begins after its backoff."""
    handler = ScriptedHandler(RuntimeError(), seconds=12.0)
    with lab(single(handler.function())) as one:
        one.on_queue.meanwhile("hide", sleeping(3))
        one.submit()
        one.system.advance(25)
        assert handler.began == [1, 2]


def test_a_beat_under_way_does_not_meet_the_deletion() -> None:
    """A heartbeat that is under way at the end finishes before the message is deleted, and no other one begins."""
    with lab(single(ScriptedHandler(seconds=12.0).function())) as one:
        one.on_queue.meanwhile("hide", sleeping(3))
        seen: list[tuple[bool, bool]] = []

        async def look() -> None:
            seen.extend((job.closed, job.beating) for job in jobs(one))

        one.on_queue.meanwhile("delete", look)
        one.until_done(one.submit())
        one.system.advance(5)
        assert seen == [(True, False)]


def test_a_delivery_that_comes_while_stopping() -> None:
    """A message received while the worker is stopping is given back at once, unclaimed."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=1) as one:
        one.system.advance(1)
        worker, processor = one.system._workers[0][0], delivery_processor(one)
        worker.stop()
        one.system.advance(LONG_POLL)
        one.submit()
        (delivery,) = one.system.run(one.system.queue.receive(limit=1, wait=0))
        one.system.run(processor.process(delivery))
        assert one.system.run(one.system.queue.depth()).visible == 1
        assert (one.on_records.calls, handler.began, worker.held) == ([], [], 0)
