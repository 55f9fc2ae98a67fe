"""Forecasts: hints that never fail and never wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.support.faults import Faults
from tests.support.service_time_spans import span

from offpoll.document import Estimate, PollHint
from offpoll.forecast import FARTHEST, Forecast
from offpoll.poll_plan import plan
from offpoll.queue import Envelope, MemoryQueue
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START, run_virtual


class Kit:
    """A forecast over an empty queue and no history, on virtual time."""

    def __init__(self, *, concurrency: int = 2, kinds: tuple[str, ...] = ("order",)) -> None:
        self.loop = asyncio.get_running_loop()
        self.queue, self.times = MemoryQueue(visibility=10_000), MemoryServiceTimes()
        self.on_queue, self.on_times = Faults(self.queue), Faults(self.times)
        self.forecast = Forecast(
            queue=self.queue,
            service_times=self.times,
            expected_service_time=5.0,
            concurrency=concurrency,
            kinds=kinds,
            clock=self.now,
        )

    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time())

    async def enqueue(self, count: int, *, take: int = 0) -> None:
        for _ in range(count):
            await self.queue.send(Envelope(body="", attributes={}))
        for _ in range(take):
            await self.queue.receive(limit=1, wait=0)

    async def said(self, kind: str = "order") -> tuple[float, float, float]:
        """Return earliest, mean and latest, seconds from now, after a look at the counters."""
        accepted(self.forecast, kind)
        await asyncio.sleep(1)
        return offsets(accepted(self.forecast, kind)[0])


def accepted(forecast: Forecast, kind: str, *, lateness_weight: float = 1.0) -> tuple[Estimate, PollHint]:
    return forecast.accepted(kind, now=START, lateness_weight=lateness_weight, loop=asyncio.get_running_loop())


def offsets(estimate: Estimate) -> tuple[float, float, float]:
    assert estimate.earliest is not None
    assert estimate.mean is not None
    assert estimate.latest is not None
    earliest, mean, latest = ((each - START).total_seconds() for each in (estimate.earliest, estimate.mean, estimate.latest))
    return earliest, mean, latest


def virtual(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Kit())

        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@virtual
async def test_a_cold_start_is_the_setting_and_wide(kit: Kit) -> None:
    """Without history and with an idle system it is the setting, with an exponential's quantiles around it, and no wait."""
    assert await kit.said() == pytest.approx((0.527, 5.0, 11.51), rel=0.02)


@virtual
async def test_it_follows_what_is_measured(kit: Kit) -> None:
    """The first forecast uses the guess and an empty queue; a moment later it knows better, of the wait too."""
    await kit.times.add("order", span(*[20.0] * 100))
    await kit.enqueue(7, take=2)
    accepted(kit.forecast, "order")
    await asyncio.sleep(1)
    earliest, mean, latest = offsets(accepted(kit.forecast, "order")[0])
    assert mean == pytest.approx(20 + 6 * 20 / 2, rel=0.05)
    assert 60 < earliest < mean < latest < 110


@virtual
async def test_the_hint_is_the_plan(kit: Kit) -> None:
    """The first poll and the interval are the poll plan's for the same estimate."""
    await kit.times.add("order", span(*(float(seconds) for seconds in range(10, 60))))
    await kit.said()
    estimate, poll = accepted(kit.forecast, "order", lateness_weight=0.5)
    earliest, mean, _ = offsets(estimate)
    wanted = plan(earliest=earliest, mean=mean, lateness_weight=0.5)
    assert (poll.not_before - START).total_seconds() == pytest.approx(wanted.first, abs=0.01)
    assert poll.interval == pytest.approx(wanted.interval, abs=0.001)


@virtual
async def test_the_wait_is_for_all_kinds_of_work(kit: Kit) -> None:
    """An operation waits for all work ahead of it, of every kind, and then takes its own kind's service time."""
    forecast = kit.forecast = Forecast(
        queue=kit.queue, service_times=kit.times, expected_service_time=5.0, concurrency=2, kinds=("order", "report"), clock=kit.now
    )
    await kit.times.add("order", span(*[1.0] * 50))
    await kit.times.add("report", span(*[19.0] * 50))
    await kit.enqueue(41, take=2)
    accepted(forecast, "order")
    await asyncio.sleep(1)
    assert offsets(accepted(forecast, "order")[0])[1] == pytest.approx(1 + 40 * 10 / 2, rel=0.05)
    assert offsets(accepted(forecast, "report")[0])[1] == pytest.approx(19 + 40 * 10 / 2, rel=0.05)


@virtual
async def test_the_rate_is_what_workers_really_finish(kit: Kit) -> None:
    """While work waits, completions tell the rate, even if slots and service times promise five times as much."""
    await kit.enqueue(1000, take=2)
    for _ in range(30):
        await kit.times.add("order", span(*[0.2] * 20, until=kit.now()))  # 2 a second; the slots promise 10
        accepted(kit.forecast, "order")
        await asyncio.sleep(10)
    assert (await kit.said())[1] == pytest.approx(999 / 2, rel=0.1)


@virtual
async def test_where_nothing_finished_lately_the_slots_tell(kit: Kit) -> None:
    """A queue that stands still has no rate: then what is in flight works at the speed it once had."""
    await kit.times.add("order", span(*[4.0] * 200))
    await kit.enqueue(104, take=4)
    for _ in range(60):
        accepted(kit.forecast, "order")
        await asyncio.sleep(10)
    assert (await kit.said())[1] == pytest.approx(4 + 101 * 4 / 4, rel=0.1)


@virtual
async def test_more_work_than_can_ever_be_done(kit: Kit) -> None:
    """However much is submitted, an estimate is a valid instant, no further away than a message lives."""
    await kit.times.add("order", span(*[40_000.0] * 50))
    await kit.enqueue(5000)
    assert await kit.said() == (FARTHEST, FARTHEST, FARTHEST)


@virtual
async def test_it_asks_rarely(kit: Kit) -> None:
    """However often it is used, counters are read once in five seconds."""
    for _ in range(1000):
        accepted(kit.forecast, "order")
        await asyncio.sleep(0.01)
    assert kit.on_queue.count("depth") == kit.on_times.count("spans") == 2


@virtual
async def test_between_two_looks_everybody_is_told_the_same(kit: Kit) -> None:
    """Between two readings of the counters a forecast is computed once; it follows each reading, kind and weight."""
    await kit.said()
    same = [accepted(kit.forecast, "order") for _ in range(2)]
    assert same[0] == same[1]
    assert accepted(kit.forecast, "order", lateness_weight=4.0)[1] != same[0][1]
    await kit.enqueue(50, take=2)
    await asyncio.sleep(5)
    assert (await kit.said())[1] > 50


@virtual
async def test_outages_leave_the_last_word(kit: Kit) -> None:
    """A value that cannot be read again stays as it was."""
    await kit.times.add("order", span(*[50.0] * 100))
    before = await kit.said()
    kit.on_times.down()
    for _ in range(10):
        assert await kit.said() == before
        await asyncio.sleep(10)
    assert kit.on_times.count("spans") >= 9


@virtual
async def test_old_counters_of_an_idle_system(kit: Kit) -> None:
    """If an idle system's counters are a minute old, a forecast does not wait for work that has long been done."""
    await kit.times.add("order", span(*[4.0] * 100, until=START - timedelta(seconds=300)))
    await kit.enqueue(4, take=2)
    await kit.said()
    await asyncio.sleep(60)
    assert offsets(accepted(kit.forecast, "order")[0])[1] == pytest.approx(4, abs=0.5)


@virtual
async def test_a_running_operations_hint_counts_from_its_readers(kit: Kit) -> None:
    """The next poll is planned from the moment at which this document is read, for what is left then."""
    due = START + timedelta(seconds=3)
    estimate, poll = kit.forecast.running(
        "order", now=START, due=due, created_at=START, elapsed=10, fraction=0.5, since=0.0, lateness_weight=1.0
    )
    earliest, mean, latest = offsets(estimate)
    assert earliest < mean < latest
    assert mean == pytest.approx(10, rel=0.3)
    wanted = plan(earliest=max(0.0, earliest - 3), mean=mean - 3, lateness_weight=1.0, age=3.0)
    assert (poll.not_before - due).total_seconds() == pytest.approx(wanted.first, abs=0.01)


@virtual
async def test_measurements_count_while_the_queue_is_silent(kit: Kit) -> None:
    """If the depth of the queue cannot be read, a forecast still follows the workers' measurements."""
    kit.on_queue.down()
    assert (await kit.said())[1] == 5.0
    await kit.times.add("order", span(*[20.0] * 100))
    await asyncio.sleep(5)
    assert (await kit.said())[1] == pytest.approx(20, rel=0.05)
