"""The parts of bench/polling: the cost of a schedule, the optimum, the queues, and the clients' schedules."""

from __future__ import annotations

import itertools
import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from bench.polling.clients import PEERS, follow
from bench.polling.compare import best, peer, planned
from bench.polling.optimum import Distribution, Schedule, mixture, optimum
from bench.polling.workloads import MIXES, seen, simulate

from offpoll.document import PollHint
from offpoll.poll_plan import PollPlan, pause


def cells(count: int, width: float, cdf) -> Distribution:
    return Distribution([cdf((cell + 1) * width) - cdf(cell * width) for cell in range(count)], width=width)


def every(interval: float):
    return itertools.count(interval, interval)


class TestCost:
    def test_by_hand(self):
        """A duration uniform between 0 and 1, polled every quarter, takes 1 + 3/4 + 1/2 + 1/4 polls, an eighth late on average."""
        even = Distribution([1.0] * 10, width=0.1)
        made = Schedule.of(every(0.25), even)
        assert (made.polls, made.lateness) == pytest.approx((2.5, 0.125))
        assert made.cost(8) == pytest.approx(3.5)
        assert made.later_than(0.2, even) == pytest.approx(0.2)
        assert (even.mean, even.quantile(0.1), even.quantile(1.0)) == pytest.approx((0.5, 0.1, 1.0))

    def test_a_mixture(self):
        """A mixture's cells have the weighted masses of its parts."""
        mixed = mixture([(1, Distribution([1.0], width=0.5)), (3, Distribution([0.0, 2.0], width=0.5))])
        assert mixed.masses == [0.25, 0.75]


class TestOptimum:
    def test_against_all_schedules(self):
        """On small distributions, the optimum costs as much as the cheapest of all schedules, found by trying each."""
        dice = random.Random(1)
        for _ in range(40):
            duration = Distribution([dice.random() ** 3 * (dice.random() > 0.3) for _ in range(7)] + [0.1], width=0.3)
            weight = 10 ** dice.uniform(-1, 2)
            inner = [edge * 0.3 for edge in range(1, 8)]
            schedules = (chosen for count in range(8) for chosen in itertools.combinations(inner, count))
            least = min(Schedule.of(iter([*chosen, duration.end]), duration).cost(weight) for chosen in schedules)
            assert optimum(duration, weight=weight).cost(weight) == pytest.approx(least, abs=1e-9)

    @pytest.mark.parametrize("weight", [0.3, 1.0, 3.0, 30.0])
    def test_against_the_closed_form(self, weight):
        """If the end is equally likely at any time, the best polls are evenly spaced: e^Δ = 1 + Δ + 1/λ, and the cost is 1 + λ Δ."""
        low, high = 0.0, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if math.exp(middle) < 1 + middle + 1 / weight else (low, middle)
        exponential = cells(2_500, 0.01, lambda time: 1 - math.exp(-time))
        assert optimum(exponential, weight=weight).cost(weight) == pytest.approx(1 + weight * low, rel=1e-4)

    def test_polls_between_the_edges_would_not_be_cheaper(self):
        """With twice as many edges on the same distribution, the optimum costs the same, to one part in a thousand."""
        for mix in MIXES:
            coarse = simulate(mix, MIXES[mix], load=0.85, servers=4, arrivals=4_000, cell=0.02, seed=1).duration
            fine = Distribution([mass for mass in coarse.masses for _ in range(2)], width=0.01)
            for weight in (0.3, 3.0, 30.0):
                costs = [optimum(duration, weight=weight).cost(weight) for duration in (coarse, fine)]
                assert -1e-9 < costs[0] / costs[1] - 1 < 1e-3

    @pytest.mark.parametrize("error", [0.0, 0.3])
    def test_nothing_is_cheaper(self, error):
        """Neither our plan nor any client's schedule costs less than the optimum with the same estimate."""
        workload = simulate("mixed", MIXES["mixed"], load=0.85, servers=4, arrivals=6_000, cell=0.02, seed=1)
        known = list(seen(workload, error=error, points=12))
        for weight in (0.3, 3.0, 30.0):
            least = best(known, weight=weight).cost
            assert planned(known, weight=weight).cost > least
            for name, stretch in itertools.product(PEERS, (0.1, 0.3, 1.0)):
                polls, delay = peer(workload, name, stretch)
                assert polls + weight * delay > least


class TestWorkloads:
    def test_against_the_textbook(self):
        """M/M/1: the mean duration is service / (1 - load); with n ahead it is n + 1 service times."""
        made = simulate("exponential", MIXES["exponential"], load=0.7, servers=1, arrivals=60_000, cell=0.01, seed=1)
        assert made.service == pytest.approx(0.3, rel=0.05)
        assert made.duration.mean == pytest.approx(1.0, abs=0.01)
        assert sum(state.share for state in made.states) == pytest.approx(1.0)
        for ahead, state in enumerate(made.states[:3]):
            assert state.share == pytest.approx(0.3 * 0.7**ahead, rel=0.1)
            assert state.duration.mean == pytest.approx((ahead + 1) * made.service, rel=0.1)

    @pytest.mark.parametrize("error", [0.0, 0.3])
    def test_estimates_are_right_on_average(self, error):
        """However wrong single estimates are, their average and that of the durations behind them is the workload's mean."""
        made = simulate("lognormal", MIXES["lognormal"], load=0.85, servers=4, arrivals=6_000, cell=0.02, seed=1)
        known = list(seen(made, error=error, points=24))
        assert sum(each.share for each in known) == pytest.approx(1.0, abs=0.01)
        assert sum(each.share * each.mean for each in known) == pytest.approx(1.0, abs=0.02)
        assert sum(each.share * each.duration.mean for each in known) == pytest.approx(1.0, abs=0.02)
        assert all(each.earliest < each.mean for each in known)

    def test_an_error_has_the_spread_that_was_asked_for(self):
        """Estimates of one truth are spread by the given share of it."""
        made = simulate("lognormal", MIXES["lognormal"], load=0.85, servers=4, arrivals=6_000, cell=0.02, seed=1)
        state = made.states[0]
        weighed = [(each.share * {id(one): share for share, one in each.states}.get(id(state), 0.0), each.mean)
                   for each in seen(made, error=0.3, points=60)]  # fmt: skip
        total = sum(weight for weight, _ in weighed)
        mean = sum(weight * said for weight, said in weighed) / total
        spread = math.sqrt(sum(weight * (said - mean) ** 2 for weight, said in weighed) / total)
        assert mean == pytest.approx(state.duration.mean, rel=0.02)
        assert spread / mean == pytest.approx(0.3, rel=0.05)


class TestClients:
    @pytest.mark.parametrize("random_", [0.0, 0.25, 0.5, 1.0])
    def test_ours_waits_as_the_product_does(self, random_):
        """The bench spreads polls as `pause` does: the first one only later, the others to both sides."""

        class Dice(random.Random):
            def random(self) -> float:
                return random_

        start, made = datetime(2030, 1, 1, tzinfo=UTC), PollPlan(first=8.0, interval=3.0)
        hint = PollHint(not_before=start + timedelta(seconds=made.first), interval=made.interval)
        times = list(itertools.islice(follow(made, Dice()), 2))
        assert times[0] == pytest.approx(pause(hint, date=start, updated_at=start, random=lambda: random_))
        late = start + timedelta(seconds=times[0])
        assert times[1] - times[0] == pytest.approx(pause(hint, date=late, updated_at=start, random=lambda: random_))

    @pytest.mark.parametrize(
        ("name", "times"),
        [("fixed", [2, 4, 6, 8]), ("exponential", [2, 6, 14, 30]), ("azure-core", [0, 2, 4, 6]), ("boto3 waiter", [0, 2, 4, 6])],
    )
    def test_peers(self, name, times):
        """Some peers poll at once, some after their first pause."""
        assert list(itertools.islice(PEERS[name](2.0, random.Random(0)), 4)) == times

    def test_google(self):
        """google-api-core polls at once, then pauses for a part of 1, 1.5, 2.25 … up to 20 times the stretch."""
        draws = [list(itertools.islice(PEERS["google-api-core"](1.0, random.Random(draw)), 40)) for draw in range(200)]
        assert {times[0] for times in draws} == {0.0}
        for number, most in ((0, 1.0), (1, 1.5), (2, 2.25), (38, 20.0)):
            pauses = [times[number + 1] - times[number] for times in draws]
            assert 0.9 * most < max(pauses) <= most
