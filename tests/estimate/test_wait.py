"""The wait before an operation starts: compared with simulated queues, at its limits, and the normal quantile in it."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace
from statistics import NormalDist, fmean, quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.estimate.wait import Ahead, normal_quantile, queue_wait

AHEAD = Ahead(messages=0, slots=4, mean=10.0, variance=64.0)


def simulated(ahead: Ahead, times: int = 2000) -> list[float]:
    """Return sorted waits behind `messages` operations with log-normal service times, over slots that have long been full."""
    dice = random.Random(1)
    sigma = 0.7031  # of a log-normal distribution whose deviation is 0.8 of its mean

    def draw() -> float:
        return dice.lognormvariate(2.3026 - sigma**2 / 2, sigma)

    waits = []
    for _ in range(times):
        free = [draw() for _ in range(ahead.slots)]
        until = 300.0
        while free[0] < until:  # reach the steady state
            heapq.heapreplace(free, free[0] + draw())
        for _ in range(ahead.messages - ahead.slots):
            heapq.heapreplace(free, free[0] + draw())
        waits.append(free[0] - until)
    return sorted(waits)


@pytest.mark.parametrize("messages", [8, 24])
def test_it_agrees_with_a_simulated_queue(messages: int) -> None:
    """Mean, p10 and p90 lie within a tenth of the mean of a simulated queue's."""
    ahead = replace(AHEAD, messages=messages, counted=1e9)
    waits, wait = simulated(ahead), queue_wait(ahead)
    tenth = 0.1 * fmean(waits)
    tenths = quantiles(waits, n=10)
    assert wait.mean == pytest.approx(fmean(waits), abs=tenth)
    assert wait.points[1] == pytest.approx(tenths[0], abs=1.5 * tenth)
    assert wait.points[-2] == pytest.approx(tenths[-1], abs=1.5 * tenth)


@pytest.mark.parametrize("messages", [0, 1, 3])
def test_free_slots_mean_no_wait(messages: int) -> None:
    """While a slot is free, nothing waits, and neither does an idle system with old counters."""
    assert queue_wait(replace(AHEAD, messages=messages)).mean == 0.0
    assert queue_wait(replace(AHEAD, messages=0, age=60.0)).mean == 0.0


def test_old_counts_of_an_idle_system_are_over() -> None:
    """Four operations seen a minute ago, with little work, are done by now; if arrivals matched departures, they are not."""
    seen = replace(AHEAD, messages=6, age=60.0, variance=0.0)
    assert queue_wait(seen).mean < 0.5 * queue_wait(replace(seen, throughput=0.4)).mean


def test_the_measured_rate_beats_the_slots() -> None:
    """Workers that finish less than their slots promise make the wait longer."""
    slow = queue_wait(replace(AHEAD, messages=40, rate=0.1))
    assert slow.mean == pytest.approx(370, rel=0.01)
    assert queue_wait(replace(AHEAD, messages=40)).mean == pytest.approx(92.5, rel=0.01)


def test_uncertain_data_widens_the_wait() -> None:
    """Old counters and few completions widen the wait and leave its mean unchanged."""
    known = queue_wait(replace(AHEAD, messages=40, counted=1000))
    for less in (replace(AHEAD, messages=40, counted=10), replace(AHEAD, messages=40, counted=1000, age=60.0, throughput=0.4)):
        wide = queue_wait(less)
        assert wide.mean == pytest.approx(known.mean, rel=0.05)
        assert wide.points[-1] - wide.points[0] > 1.3 * (known.points[-1] - known.points[0])


@given(
    messages=st.integers(0, 10**8),
    slots=st.integers(1, 10_000),
    mean=st.floats(0.001, 1e6),
    spread=st.floats(0, 10),
    rate=st.none() | st.floats(1e-6, 1e6),
    age=st.floats(0, 60),
)
def test_every_wait_is_valid(messages: int, slots: int, mean: float, spread: float, rate: float | None, age: float) -> None:
    """Whatever the counters say, a wait is finite, not negative, ascending, and grows with the queue."""
    ahead = Ahead(messages=messages, slots=slots, mean=mean, variance=(spread * mean) ** 2, rate=rate, age=age)
    wait = queue_wait(ahead)
    assert 0 <= wait.points[0] <= wait.points[-1] < float("inf")
    assert list(wait.points) == sorted(wait.points)
    assert queue_wait(replace(ahead, messages=messages + 1)).mean >= wait.mean * 0.999999


@pytest.mark.parametrize("share", [1e-6, 0.01, 0.1, 1 / 30, 0.5, 0.9, 0.95, 0.999999])
def test_the_normal_quantile(share: float) -> None:
    """It equals the standard library's to nine digits, more than an estimate can use."""
    assert normal_quantile(share) == pytest.approx(NormalDist().inv_cdf(share), abs=1e-9)
