"""The worker's buffer of service times: what it writes, and when."""

from __future__ import annotations

import asyncio
import io
import json
from datetime import datetime, timedelta

import pytest
from tests.support.faults import Faults

from offpoll.document import Estimate
from offpoll.estimate.history import Span
from offpoll.metrics import EmfMetrics
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START, run_virtual
from offpoll.work.timing import ServiceTimesBuffer

PROMISED = Estimate(earliest=START + timedelta(seconds=5), mean=START + timedelta(seconds=7), latest=START + timedelta(seconds=9))


def now() -> datetime:
    return START + timedelta(seconds=asyncio.get_running_loop().time())


async def only(times: MemoryServiceTimes) -> Span:
    (span,) = await times.spans("order")
    return span


def test_one_report_for_many_observations() -> None:
    """A flush writes once for each kind, with the time since the flush before; a flush of nothing writes nothing."""

    async def main() -> None:
        times = MemoryServiceTimes()
        faults = Faults(times)
        buffer = ServiceTimesBuffer(times, clock=now)
        await asyncio.sleep(10)
        await buffer.flush()
        await asyncio.sleep(4)
        for seconds in (2.0, 4.0):
            buffer.observe("order", seconds)
        buffer.observe("report", 9.0)
        await buffer.flush()
        assert faults.count("add") == 2
        span = await only(times)
        assert (span.completions, span.seconds) == (2, 6.0)
        assert (span.began_at, span.ended_at) == (START + timedelta(seconds=10), START + timedelta(seconds=14))

    run_virtual(main())


def test_a_flush_after_a_failed_one() -> None:
    """A flush writes what the failed flush before it could not, once."""

    async def main() -> None:
        times = MemoryServiceTimes()
        faults = Faults(times)
        buffer = ServiceTimesBuffer(times, clock=now)
        buffer.observe("order", 2)
        buffer.observe("order", 4)
        faults.fail("add")
        await buffer.flush()
        assert await times.spans("order") == ()
        buffer.observe("order", 9)
        await buffer.flush()
        await buffer.flush()
        span = await only(times)
        assert (span.completions, span.seconds) == (3, 15)
        assert faults.count("add") == 2

    run_virtual(main())


@pytest.mark.parametrize(("error", "level"), [(None, "WARNING"), (ZeroDivisionError("a bug"), "ERROR")])
def test_a_failed_flush_is_logged(error: Exception | None, level: str, caplog: pytest.LogCaptureFixture) -> None:
    """A failed flush raises nothing: an outage is logged as a warning, a fault in offpoll as an error with its traceback."""

    async def main() -> None:
        times = MemoryServiceTimes()
        buffer = ServiceTimesBuffer(times, clock=now)
        buffer.observe("order", 2)
        Faults(times).fail("add", error=error)
        await buffer.flush()

    run_virtual(main())
    (told,) = caplog.records
    assert (told.levelname, bool(told.exc_info)) == (level, error is not None)


@pytest.mark.parametrize(("after", "counts"), [(4.9, (0, 1, 0)), (5.0, (1, 0, 0)), (9.0, (1, 0, 0)), (9.1, (0, 0, 1)), (None, (0, 0, 0))])
def test_accuracy_of_estimates(after: float | None, counts: tuple[int, int, int]) -> None:
    """An end between earliest and latest is inside, else early or late; without an estimate or an instant it is not judged."""

    async def main() -> None:
        times = MemoryServiceTimes()
        buffer = ServiceTimesBuffer(times, clock=now)
        buffer.observe("order", 1.0, promised=PROMISED, finished_at=None if after is None else START + timedelta(seconds=after))
        buffer.observe("order", 1.0, promised=Estimate(mean=START), finished_at=START)
        buffer.observe("order", 1.0, promised=None, finished_at=START)
        await buffer.flush()
        span = await only(times)
        assert (span.inside, span.early, span.late) == counts

    run_virtual(main())


def test_metrics() -> None:
    """Each flush counts, for each kind, how many operations ended inside their estimate, before it and after it."""

    async def main() -> None:
        stream = io.StringIO()
        buffer = ServiceTimesBuffer(MemoryServiceTimes(), clock=now, metrics=EmfMetrics(stream.write, clock=now))
        for after in (6, 7, 20):
            buffer.observe("order", 1.0, promised=PROMISED, finished_at=START + timedelta(seconds=after))
        await buffer.flush()
        await buffer.flush()
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["kind"] for line in lines] == ["order", "order"]
        assert lines[0]["EndedInsideEstimate"] == 2
        assert lines[1]["EndedAfterEstimate"] == 1

    run_virtual(main())
