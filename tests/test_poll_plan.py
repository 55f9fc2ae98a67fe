"""The poll plan made from p10 and mean, and the pauses that a client derives from it. tests/client tests more of `pause`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.document import PollHint
from offpoll.lateness import PerDuration
from offpoll.poll_plan import MAX_ESTIMATE, MAX_INTERVAL, MAX_SPREADS, MIN_INTERVAL, pause, plan


class TestFormula:
    """First poll and interval."""

    @pytest.mark.parametrize(("earliest", "mean", "weight"), [(2, 10, 1), (0.3, 3, 0.25), (10, 100, 4), (0, 5, 1)])
    def test_absolute(self, earliest, mean, weight):
        """The interval is sqrt(1.6 (mean - p10) / λ), and the first poll is one interval after p10."""
        made = plan(earliest=earliest, mean=mean, lateness_weight=weight)
        assert made.interval == pytest.approx(sqrt(1.6 * (mean - earliest) / weight))
        assert made.first == pytest.approx(earliest + made.interval)

    def test_relative(self):
        """With a relative weight, λ = μ / E: twice the duration gives twice the interval and equally many polls."""
        short, long = (
            plan(earliest=2.0 * times, mean=10.0 * times, lateness_weight=PerDuration(polls=30.0)) for times in (1, 2)
        )  # fmt: skip
        assert short.interval == pytest.approx(sqrt(1.6 * 8.0 * 10.0 / 30.0))
        assert (long.first, long.interval) == pytest.approx((2 * short.first, 2 * short.interval))

    def test_elapsed_time_counts_towards_the_duration(self):
        """A relative weight uses the operation's whole duration, not only the rest."""
        weight = PerDuration(polls=30.0)
        assert plan(earliest=1.0, mean=2.0, lateness_weight=weight, age=58.0).interval == pytest.approx(sqrt(1.6 * 60.0 / 30.0))
        assert plan(earliest=1.0, mean=2.0, lateness_weight=0.5, age=58.0) == plan(earliest=1.0, mean=2.0, lateness_weight=0.5)


class TestLimits:
    """Bounds of the plan, and odd values."""

    def test_floor_and_cap(self):
        """Every interval is between a fifth of a second and a minute, whatever the estimate."""
        assert plan(earliest=0.0, mean=0.0, lateness_weight=1.0).interval == MIN_INTERVAL
        assert plan(earliest=1.0, mean=1.01, lateness_weight=1e6).interval == MIN_INTERVAL
        assert plan(earliest=0.0, mean=1e9, lateness_weight=1.0).interval == MAX_INTERVAL

    def test_a_low_weight_does_not_defer_the_first_poll_for_ever(self):
        """Even with a tiny weight the first poll comes before the end has long been certain."""
        made = plan(earliest=6.0, mean=10.0, lateness_weight=1e-3)
        assert made.interval == MAX_SPREADS * 4.0 < sqrt(1.6 * 4.0 / 1e-3)

    @pytest.mark.parametrize(("earliest", "mean"), [(10.0, 10.0), (12.0, 10.0), (float("inf"), 10.0)])
    def test_an_end_that_is_certain(self, earliest, mean):
        """If p10 is not before the mean, the mean replaces it, and the first poll follows right after."""
        made = plan(earliest=earliest, mean=mean, lateness_weight=1.0)
        assert (made.first, made.interval) == (10.0 + MIN_INTERVAL, MIN_INTERVAL)

    @given(st.floats(), st.floats(), st.floats(), st.sampled_from([1e-6, 1.0, 1e6, PerDuration(polls=1e-6), PerDuration(polls=1e6)]))
    def test_nonsense_makes_a_plan(self, earliest, mean, age, weight):
        """Zero, negative, infinite and NaN estimates give a plan that can be written and followed."""
        made = plan(earliest=earliest, mean=mean, lateness_weight=weight, age=age)
        assert MIN_INTERVAL <= made.interval <= MAX_INTERVAL
        assert isfinite(made.first)
        assert MIN_INTERVAL <= made.first <= MAX_ESTIMATE + MAX_INTERVAL

    @pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), PerDuration(polls=0.0)])
    def test_weight_is_positive(self, weight):
        """A weight that is not positive is refused."""
        with pytest.raises(ValueError, match="lateness_weight"):
            plan(earliest=1.0, mean=2.0, lateness_weight=weight)

    def test_equal_estimates_share_one_plan(self):
        """Operations of a kind that are accepted between two readings of the counters share one plan, computed once."""
        before = plan.cache_info().hits
        first, second = (plan(earliest=1.25, mean=7.5, lateness_weight=PerDuration(polls=30.0)) for _ in range(2))
        assert first is second
        assert plan.cache_info().hits == before + 1


class TestPause:
    """The pause before a client's next poll."""

    @given(st.floats(0, 0.999), st.floats(0, 1), st.floats(1.5, 60))
    def test_a_poll_at_its_time_is_not_followed_by_another(self, fraction, random, interval):
        """`Date` is cut to whole seconds, so a poll right after `not_before` seems early. It is not repeated in the same second."""
        second = datetime(2030, 1, 1, tzinfo=UTC)
        hint = PollHint(not_before=second + timedelta(seconds=fraction), interval=interval)
        created = second - timedelta(seconds=30)
        assert pause(hint, date=second, updated_at=created, random=lambda: random) >= 0.9 * interval

    def test_within_a_second_the_document_knows(self):
        """A document written in the second of the response tells its fraction, and the client waits for a `not_before` in that second."""
        second = datetime(2030, 1, 1, tzinfo=UTC)
        hint = PollHint(not_before=second + timedelta(seconds=0.9), interval=20.0)
        assert pause(hint, date=second, updated_at=second + timedelta(seconds=0.4), random=lambda: 0.0) == pytest.approx(0.5)
