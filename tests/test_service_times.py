"""Service times in memory. The contract suite tests what every store of service times does."""

from __future__ import annotations

from tests.support.service_time_spans import span

from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import run_virtual


def test_reports_of_one_time_are_one_span() -> None:
    """Reports of the same ten seconds by two workers are merged into one span."""

    async def main() -> None:
        times = MemoryServiceTimes()
        await times.add("order", span(30.0, 30.0, inside=1))
        await times.add("order", span(2.0, late=1))
        (both,) = await times.spans("order")
        assert (both.completions, both.seconds, both.inside, both.late) == (3, 62.0, 1, 1)

    run_virtual(main())
