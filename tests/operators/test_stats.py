"""Figures of a whole service, for its operators."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.support.lab import lab, single
from tests.support.service_time_spans import span

from offpoll.operators.stats import look, of_kind
from offpoll.testing import START

NOW = START + timedelta(hours=2)


async def handle(number: int) -> int:
    await asyncio.sleep(8)
    return number


def test_of_a_service() -> None:
    """The figures combine what workers reported for each kind with what the queues hold."""
    with lab(single(handle), concurrency=2) as one:
        for number in range(12):
            one.submit(number)
        one.system.advance(27)
        found = one.system.run(look(one.system.service.dependencies, ["order", "report"], now=one.system.loop.now()))
        order = found.kinds["order"]
        assert order.completions == pytest.approx(4)  # those of the first 20 s, as reported then
        assert order.mean == pytest.approx(8, rel=0.01)
        assert order.calibration.known == pytest.approx(4, rel=0.05)
        assert found.kinds["report"].mean is None
        assert (found.queue.visible, found.queue.in_flight, found.parking.visible) == (4, 2, 0)


def test_periods() -> None:
    """Completions cover the last hour and the rate the last five minutes, as far as workers have reported."""
    spans = [
        span(*[1.0] * 40, until=NOW - timedelta(seconds=5000)),
        span(*[1.0] * 30, until=NOW - timedelta(seconds=1000)),
        span(*[1.0] * 60, until=NOW - timedelta(seconds=100)),
        span(*[1.0] * 90, until=NOW),
    ]
    each = of_kind(spans, now=NOW)
    assert each.completions == pytest.approx(180)
    assert each.rate == pytest.approx(60 / 300)


def test_of_nothing() -> None:
    """Without any measurement the counts are 0 and the times are None."""
    each = of_kind([], now=NOW)
    assert (each.completions, each.rate, each.p10, each.p50, each.p90, each.mean, each.calibration.share) == (0, 0, *[None] * 5)
