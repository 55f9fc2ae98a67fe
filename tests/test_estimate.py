"""When an operation will probably end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.estimate import expected_duration, remaining

COUNT = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("waiting", "in_flight", "concurrency", "expected"),
    [(0, 0, 1, 4), (0, 0, 8, 4), (1, 0, 1, 8), (7, 0, 8, 4), (8, 0, 8, 4.5), (0, 1, 1, 8), (16, 16, 8, 8.25)],
)
def test_expected_duration(waiting: int, in_flight: int, concurrency: int, expected: float) -> None:
    """One service time, and the time that those ahead without a free slot need; more in flight than configured means more workers."""
    assert expected_duration(waiting=waiting, in_flight=in_flight, mean=4, concurrency=concurrency) == expected


@given(waiting=COUNT, in_flight=COUNT, mean=st.floats(0.001, 1e5), concurrency=st.integers(1, 1000))
def test_an_estimate_is_a_time(waiting: int, in_flight: int, mean: float, concurrency: int) -> None:
    """It is never less than one service time, and grows with the queue."""
    given_ = {"in_flight": in_flight, "mean": mean, "concurrency": concurrency}
    shorter = expected_duration(waiting=waiting, **given_)  # type: ignore[arg-type]
    assert mean <= shorter <= expected_duration(waiting=waiting + 1, **given_)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("elapsed", "fraction", "expected"),
    [(0, None, 10), (4, None, 6), (4, 0.05, 6), (4, 0.5, 4), (4, 1.0, 0.8), (100, None, 20), (0, 0.9, 10)],
)
def test_remaining(elapsed: float, fraction: float | None, expected: float) -> None:
    """What the mean leaves, or what the progress says where it says enough; never nothing while it runs on."""
    assert remaining(mean=10, elapsed=elapsed, fraction=fraction) == pytest.approx(expected)


def test_a_fraction_counts_from_when_it_was_reported() -> None:
    """Half done after 8 s, and silent for 3 s: five more seconds, not eleven."""
    assert remaining(mean=100, elapsed=11, fraction=0.5, since=3) == pytest.approx(5)
