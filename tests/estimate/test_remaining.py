"""The time left of an operation, queued or running."""

from __future__ import annotations

import random
from collections import Counter
from statistics import quantiles

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.estimate.histogram import Histogram, bucket_of
from offpoll.estimate.remaining import of_queued, of_running, service_times
from offpoll.estimate.wait import QueueWait

DICE = random.Random(1)
TIMES = [DICE.lognormvariate(2.0, 0.8) for _ in range(20_000)]
SERVICE = Histogram(Counter(map(bucket_of, TIMES)), seconds=sum(TIMES))
NOW = QueueWait(points=(0.0,))


def measured(*times: float) -> Histogram:
    return Histogram(Counter(map(bucket_of, times)), seconds=sum(times))


def test_a_cold_start_is_a_wide_guess() -> None:
    """Without history the mean is the setting, with the widest spread for that mean."""
    rest = of_queued(NOW, service_times(Histogram({}), guess=5.0))
    assert rest.mean == 5.0
    assert (rest.earliest, rest.latest) == pytest.approx((0.527, 11.51), rel=0.02)


def test_one_measurement_is_not_certainty() -> None:
    """After one completion its time is the mean, and the spread stays; after many equal ones it is narrow."""
    one = of_queued(NOW, service_times(measured(20.0), guess=5.0))
    assert one.mean == pytest.approx(20.0)
    assert one.latest - one.earliest > 20
    many = of_queued(NOW, service_times(measured(*[20.0] * 144), guess=5.0))
    assert many.latest - many.earliest < 4


def test_without_a_wait_it_is_the_service_time() -> None:
    """Earliest, mean and latest are the service time's."""
    rest = of_queued(NOW, SERVICE)
    tenths = quantiles(TIMES, n=10)
    assert (rest.earliest, rest.mean, rest.latest) == pytest.approx((tenths[0], SERVICE.mean, tenths[-1]), rel=0.03)


def test_wait_and_service_time_are_independent() -> None:
    """The quantiles are those of the sum, not the sum of the quantiles."""
    wait = QueueWait(points=tuple(float(2 * number) for number in range(15)))
    rest = of_queued(wait, SERVICE)
    sums = quantiles([point + time for point in wait.points for time in TIMES[:5000]], n=10)
    assert (rest.earliest, rest.latest) == pytest.approx((sums[0], sums[-1]), rel=0.03)
    assert rest.mean == pytest.approx(wait.mean + SERVICE.mean)


def test_the_rest_follows_longer_operations() -> None:
    """A running operation's rest is distributed as that of the operations that took longer than it has so far."""
    rests = [time - 10 for time in TIMES if time > 10]
    tenths = quantiles(rests, n=10)
    rest = of_running(SERVICE, elapsed=10.0, fraction=None)
    assert rest.mean == pytest.approx(sum(rests) / len(rests), rel=0.05)
    assert rest.latest == pytest.approx(tenths[-1], rel=0.05)
    assert rest.earliest == pytest.approx(tenths[0], abs=0.5)


def test_progress_tells_more_than_history() -> None:
    """An operation that is nearly done after 30 s ends soon, and one that has hardly begun does not, whatever others took."""
    nearly, hardly = of_running(SERVICE, elapsed=30.0, fraction=0.95), of_running(SERVICE, elapsed=30.0, fraction=0.2)
    assert nearly.latest < 7
    assert hardly.mean > 40
    assert nearly.latest - nearly.earliest < hardly.latest - hardly.earliest


def test_progress_beyond_history() -> None:
    """A third done after 1000 s leaves about 2000 s, even if others took seconds."""
    assert of_running(SERVICE, elapsed=1000.0, fraction=1 / 3).mean == pytest.approx(2000, rel=0.25)


def test_too_little_progress_says_nothing() -> None:
    """One per cent after a moment does not predict a hundred moments."""
    assert of_running(SERVICE, elapsed=1.0, fraction=0.01) == of_running(SERVICE, elapsed=1.0, fraction=None)


def test_a_fraction_counts_from_when_it_was_reported() -> None:
    """Half done after 8 s and then silent for 3 s leaves five seconds or a little more, not eleven."""
    steady = Histogram(dict.fromkeys(range(-30, 60), 1.0))
    assert of_running(steady, elapsed=11.0, fraction=0.5, since=3.0).mean == pytest.approx(6, abs=1.0)


def test_longer_than_anything_measured() -> None:
    """Then the estimate adds a small share of the time spent, and at most as long again, so that few estimates follow."""
    rest = of_running(measured(1.0, 2.0), elapsed=100.0, fraction=None)
    assert 0 < rest.earliest < rest.mean < 50
    assert rest.latest == pytest.approx(100)


@given(
    times=st.lists(st.floats(0.001, 1e5), min_size=1, max_size=30),
    elapsed=st.floats(0, 1e6),
    fraction=st.none() | st.floats(0, 1),
    silent=st.floats(0, 1),
)
def test_every_rest_is_valid(times: list[float], elapsed: float, fraction: float | None, silent: float) -> None:
    """Whatever was measured and reported, a rest is finite, not negative, and has its earliest before its latest."""
    rest = of_running(service_times(measured(*times), guess=5.0), elapsed=elapsed, fraction=fraction, since=silent * elapsed)
    assert 0 <= rest.earliest <= rest.latest < float("inf")
    assert 0 <= rest.mean < float("inf")
