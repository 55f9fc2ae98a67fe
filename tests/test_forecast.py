"""Forecasts: hints that never fail and never wait."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.faults import Faults

from offpoll.forecast import Forecast
from offpoll.queue import Envelope, MemoryQueue
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START, run_virtual


def forecast_of(queue: MemoryQueue, times: MemoryServiceTimes) -> Forecast:
    return Forecast(queue=queue, service_times=times, expected_service_time=5.0, concurrency=2)


def test_it_follows_what_is_measured() -> None:
    """The first forecast uses the guess and an empty queue; a moment later it knows better."""

    async def main() -> None:
        queue, times = MemoryQueue(), MemoryServiceTimes()
        await times.add("order", completions=4, seconds=80)
        for _ in range(5):
            await queue.send(Envelope(body="", attributes={}))
        forecast = forecast_of(queue, times)
        estimate, poll = forecast.accepted("order", now=START, lateness_weight=1.0)
        assert estimate.mean == START + timedelta(seconds=5)
        assert poll.not_before == START + timedelta(seconds=4.5)
        assert poll.interval == 2.0
        await asyncio.sleep(1)
        estimate, _ = forecast.accepted("order", now=START, lateness_weight=1.0)
        assert estimate.mean == START + timedelta(seconds=20 + 4 * 20 / 2)

    run_virtual(main())


def test_it_asks_rarely() -> None:
    """However often it is used, counters are read once in five seconds."""

    async def main() -> None:
        queue, times = MemoryQueue(), MemoryServiceTimes()
        on_queue, on_times = Faults(queue), Faults(times)
        forecast = forecast_of(queue, times)
        for _ in range(1000):
            forecast.accepted("order", now=START, lateness_weight=1.0)
            await asyncio.sleep(0.01)
        assert on_queue.count("depth") == on_times.count("mean") == 2

    run_virtual(main())


def test_outages_leave_the_last_word() -> None:
    """What cannot be read stays what it was."""

    async def main() -> None:
        queue, times = MemoryQueue(), MemoryServiceTimes()
        await times.add("order", completions=1, seconds=50)
        on_times = Faults(times)
        forecast = forecast_of(queue, times)
        forecast.mean("order")
        await asyncio.sleep(1)
        on_times.down()
        for _ in range(10):
            assert forecast.mean("order") == 50
            await asyncio.sleep(10)
        assert on_times.count("mean") >= 9

    run_virtual(main())


def test_a_running_operations_hint_counts_from_its_readers() -> None:
    """The next poll is planned from the moment at which this document is read."""

    async def main() -> None:
        forecast = forecast_of(MemoryQueue(), MemoryServiceTimes())
        due = START + timedelta(seconds=3)
        estimate, poll = forecast.running("order", now=START, due=due, elapsed=10, fraction=0.5, since=0.0, lateness_weight=1.0)
        assert estimate.mean == START + timedelta(seconds=10)
        assert poll.not_before > due
        assert poll.interval == pytest.approx((0.8 * 7) ** 0.5, abs=0.001)

    run_virtual(main())
