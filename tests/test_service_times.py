"""Service times in memory, and the worker's buffer in front of them."""

from __future__ import annotations

import pytest
from tests.faults import Faults

from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import run_virtual
from offpoll.work.timing import ServiceTimesBuffer


def test_means() -> None:
    """The mean is over all completions of a kind, and none where nothing was measured."""

    async def main() -> None:
        times = MemoryServiceTimes()
        await times.add("order", completions=3, seconds=30)
        await times.add("order", completions=1, seconds=2)
        assert await times.mean("order") == 8
        assert await times.mean("report") is None

    run_virtual(main())


def test_a_flush_that_fails_is_made_up_for() -> None:
    """What could not be written is written with what comes next, once."""

    async def main() -> None:
        times = MemoryServiceTimes()
        faults = Faults(times)
        buffer = ServiceTimesBuffer(times)
        buffer.observe("order", 2)
        buffer.observe("order", 4)
        faults.fail("add")
        await buffer.flush()
        assert await times.mean("order") is None
        buffer.observe("order", 9)
        await buffer.flush()
        await buffer.flush()
        assert await times.mean("order") == pytest.approx(5)
        assert faults.count("add") == 2

    run_virtual(main())
