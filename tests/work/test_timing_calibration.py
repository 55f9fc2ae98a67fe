"""What a worker counts: whether operations end when their submitters were told they would."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.faults import Faults
from tests.support.lab import Lab, lab, single

from offpoll.errors import Fail
from offpoll.estimate.history import Span
from offpoll.operation import Operation, Outcome, Status
from offpoll.records import Undecided
from offpoll.service_times import REPORT_INTERVAL


def spans(one: Lab) -> list[Span]:
    return list(one.system.run(one.system.service_times.spans("order")))


def counts(one: Lab) -> tuple[int, int, int]:
    """Let the workers report, and return how many operations ended inside their estimate, early and late."""
    one.system.advance(REPORT_INTERVAL + 1)
    reported = spans(one)
    inside, early, late = (sum(getattr(span, name) for span in reported) for name in ("inside", "early", "late"))
    return inside, early, late


@pytest.mark.parametrize(("seconds", "expected"), [(0.25, (0, 1, 0)), (10.0, (1, 0, 0)), (60.0, (0, 0, 1))])
def test_an_end_is_judged_by_what_the_202_said(seconds: float, expected: tuple[int, int, int]) -> None:
    """An end is judged by the estimate in the 202, even if the document has shown a later one since."""

    async def handle(number: int, operation: Operation) -> int:
        for step in range(4):
            operation.progress(step / 4)
            await asyncio.sleep(seconds / 4)
        return number

    with lab(single(handle)) as one:
        one.until_done(one.submit())
        assert counts(one) == expected


def test_an_end_without_progress() -> None:
    """An operation that publishes no progress is judged too, and its document is still read only once."""

    async def handle(number: int) -> int:
        await asyncio.sleep(10)
        return number

    with lab(single(handle), max_updates=0) as one:
        one.until_done(one.submit())
        assert one.on_store.count("read") == 1
        assert counts(one) == (1, 0, 0)


def test_failures_end_too() -> None:
    """Operations that failed, or whose attempts are spent, count as ended too."""

    async def handle(number: int) -> int:
        await asyncio.sleep(10)
        if number == 1:
            raise Fail("no_stock", "There is none.")
        raise RuntimeError

    with lab(single(handle, attempts=1)) as one:
        for number in (1, 2):
            one.until_done(one.submit(number))
        assert counts(one) == (2, 0, 0)


def test_a_cancellation_does_not_count() -> None:
    """A canceled operation says nothing about the work, so neither its time nor its estimate counts."""

    async def handle(number: int) -> int:
        await asyncio.sleep(1000)
        return number

    with lab(single(handle, timeout=2000.0)) as one:
        operation_id = one.submit()
        one.system.advance(5)
        one.cancel(operation_id)
        one.system.advance(60)
        assert counts(one) == (0, 0, 0)
        assert spans(one) == []


def test_a_cancellation_just_before_the_result() -> None:
    """If a cancel is decided just before the result, the operation does not count either."""

    async def handle(number: int) -> int:
        await asyncio.sleep(2)
        return number

    with lab(single(handle)) as one:
        operation_id = one.submit()

        async def cancel() -> None:
            record = one.record(operation_id)
            assert record is not None
            canceled = Outcome(status=Status.CANCELED)
            await one.system.records.decide(record.submission, canceled, guard=Undecided(), expires_at=record.expires_at)

        one.on_records.meanwhile("decide", cancel)
        assert one.until_done(operation_id).status == "canceled"
        assert counts(one) == (0, 0, 0)
        assert spans(one) == []


def test_reports_are_rare() -> None:
    """However many operations end, a worker reports at most every ten seconds, and once when it ends."""

    async def handle(number: int) -> int:
        await asyncio.sleep(0.5)
        return number

    with lab(single(handle)) as one:
        on_times = Faults(one.system.service_times)
        for number in range(100):
            one.submit(number)
            one.system.advance(0.3)
        one.system.advance(5)
        assert 3 <= on_times.count("add") <= 4
        worker, _ = one.system._workers[0]
        worker.drain()
        one.system.advance(30)
        assert sum(span.completions for span in spans(one)) == 100
