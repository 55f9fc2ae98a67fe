"""The store's time, as the dates of its responses bound it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offpoll.aws.store_clock import DRIFT, StoreClock

DATE = datetime(2026, 11, 23, 18, 0, 0, tzinfo=UTC)


def test_bounds_err_late() -> None:
    """The store's time lies between the bounds, whatever a response's Date was cut from and whenever it was written."""
    for cut in (0.0, 0.4, 0.999):
        for written in (10.0, 10.7, 12.0):  # between sending at 10 and receiving at 12
            now = [12.0]
            clock = StoreClock(lambda now=now: now[0])
            clock.learn(DATE, sent=10.0, received=12.0)
            for later in (12.0, 17.5, 100.0):
                now[0] = later
                true = DATE + timedelta(seconds=cut + later - written)
                assert clock.earliest() <= true <= clock.latest()


def test_bounds_narrow() -> None:
    """Responses just before and just after a full second narrow the time to a few milliseconds."""
    now = [20.0]
    clock = StoreClock(lambda: now[0])
    clock.learn(DATE, sent=10.0, received=10.01)
    assert clock.latest() - clock.earliest() > timedelta(seconds=1)
    clock.learn(DATE + timedelta(seconds=1), sent=10.02, received=10.03)
    assert clock.latest() - clock.earliest() < timedelta(seconds=0.05)


def test_bounds_widen_with_time() -> None:
    """Two clocks drift apart, so the bounds of an old reading widen."""
    now = [10.0]
    clock = StoreClock(lambda: now[0])
    clock.learn(DATE, sent=10.0, received=10.0)
    before = clock.latest() - clock.earliest()
    now[0] += 10_000.0
    assert clock.latest() - clock.earliest() == pytest.approx(before + timedelta(seconds=2 * DRIFT * 10_000), abs=timedelta(milliseconds=5))


def test_a_clock_that_was_set() -> None:
    """When responses contradict earlier ones, the newer ones count."""
    clock = StoreClock(lambda: 20.0)
    clock.learn(DATE, sent=19.0, received=19.0)
    clock.learn(DATE + timedelta(hours=1), sent=20.0, received=20.0)
    assert clock.earliest() >= DATE + timedelta(minutes=59)


@pytest.mark.parametrize("frozen", [1.5, 60.0, 1200.0, 1e6])
@pytest.mark.parametrize("when", ["before the request", "before the Date", "after the Date", "after the response"])
def test_bounds_hold_over_a_freeze(when: str, frozen: float) -> None:
    """A freeze that the monotonic clock misses leaves the store's time between the bounds, wherever in an exchange it falls."""
    now, missed = [10.0], [0.0]
    clock = StoreClock(lambda: now[0], clock=lambda: DATE + timedelta(seconds=now[0] + missed[0]))

    def stage(name: str, seconds: float) -> float:
        now[0] += seconds
        if name == when:
            missed[0] = frozen
        return now[0] + missed[0]

    stage("before the request", 1.0)
    clock.look()
    sent = now[0]
    written = stage("before the Date", 0.2)
    date = DATE + timedelta(seconds=written // 1)
    stage("after the Date", 0.2)
    clock.learn(date, sent=sent, received=now[0])
    for later in (0.0, 5.0, 100.0):
        true = DATE + timedelta(seconds=stage("after the response", later))
        assert clock.earliest() <= true <= clock.latest()
