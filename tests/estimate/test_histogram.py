"""Service times in buckets of equal ratio."""

from __future__ import annotations

from collections import Counter
from statistics import fmean, pvariance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.estimate.histogram import RELATIVE_ERROR, Histogram, bucket_of, exponential

TIMES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=60)


def histogram(times: list[float]) -> Histogram:
    return Histogram(Counter(map(bucket_of, times)), seconds=sum(times))


@given(TIMES, st.floats(0.0, 1.0))
def test_quantiles_are_near(times: list[float], share: float) -> None:
    """A quantile differs from the true one by at most one bucket, so its relative error is bounded."""
    ordered = sorted(times)
    true = ordered[min(len(times) - 1, int(share * len(times)))]
    before = ordered[max(0, int(share * len(times)) - 1)]
    ratio = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR) / (1 - RELATIVE_ERROR) * 1.000001
    assert before / ratio <= histogram(times).quantile(share) <= true * ratio


@given(st.floats(0.001, 1e6))
def test_equal_times(seconds: float) -> None:
    """If every operation takes the same time, earliest and latest lie on either side of it, wherever in its bucket it is."""
    measured = histogram([seconds] * 50)
    assert measured.quantile(0.1) < seconds < measured.quantile(0.9)
    assert measured.quantile(0.9) - measured.quantile(0.1) < 0.1 * seconds


@given(TIMES, TIMES)
def test_merging_is_measuring_together(one: list[float], two: list[float]) -> None:
    """Two processes' histograms add up to the one that a single process would have made."""
    merged, together = histogram(one) + histogram(two), histogram(one + two)
    assert merged.weights == together.weights
    assert merged.mean == pytest.approx(together.mean)


def test_moments() -> None:
    """The mean is exact, the variance as precise as the buckets are narrow."""
    times = [0.5 * number for number in range(1, 200)]
    assert histogram(times).mean == pytest.approx(fmean(times))
    assert histogram(times).variance == pytest.approx(pvariance(times), rel=0.02)


@given(TIMES, st.floats(0.001, 1e6))
def test_shares_and_quantiles_agree(times: list[float], seconds: float) -> None:
    """The share below a quantile is the share that was asked for."""
    measured = histogram(times)
    share = measured.share_below(seconds)
    assert 0.0 <= share <= 1.0
    if 0.001 < share < 0.999:
        assert measured.share_below(measured.quantile(share)) == pytest.approx(share, abs=1e-6)


def test_shares_above_a_limit() -> None:
    """Of the bucket that contains the limit, only the part above counts."""
    measured = histogram([1.0] * 5 + [10.0] * 5)
    assert measured.beyond(0.5).total == 10
    assert measured.beyond(5.0).total == 5
    assert 0 < measured.beyond(10.0).total < 5
    assert measured.beyond(20.0).total == 0


def test_an_empty_histogram() -> None:
    """An empty histogram gives numbers, and never divides by zero."""
    nothing = Histogram({})
    assert (nothing.mean, nothing.variance, nothing.quantile(0.5), nothing.share_below(1.0)) == (0, 0, 0, 0)


@pytest.mark.parametrize("mean", [0.001, 5.0, 1e6])
def test_the_exponential_distribution(mean: float) -> None:
    """It has the right mean, deviation and quantiles."""
    guess = exponential(mean)
    assert guess.mean == mean
    assert guess.variance**0.5 == pytest.approx(mean, rel=0.02)
    assert guess.quantile(0.1) == pytest.approx(0.10536 * mean, rel=0.01)
    assert guess.quantile(0.9) == pytest.approx(2.30259 * mean, rel=0.01)


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, 1e12])
def test_durations_out_of_range(seconds: float) -> None:
    """A clock that went backwards, or an operation of centuries, falls into the first or last bucket."""
    assert bucket_of(seconds) in {bucket_of(1e-4), bucket_of(3.2e7)}
