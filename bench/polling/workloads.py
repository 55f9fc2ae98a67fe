"""Simulates the durations of operations in an M/G/c queue, grouped by what an estimator knows when an operation arrives.

Operations arrive at random (Poisson) at c servers that take them in order. Like a queue's counters, the estimator sees how many are in the
system, but not how long those in service have run. For each number, the simulated durations from submit to end form a distribution, whose
p10 and mean are the best possible estimate. All times are divided by the workload's mean duration, which is therefore 1, and λ is how many
polls one mean duration of lateness is worth.

The mixes of service times, with the standard deviation over the mean in brackets:

    exponential (1)    the textbook's. With a free server, evenly spaced polls are exactly the best for it
    lognormal (0.53)   one kind of work: a report, a call to a partner. Right-skewed, as measured service times are
    mixed (1.1)        the same, but every tenth takes five times as long: a cache that misses, a large order
    split (1.5)        two kinds of work under one name: nine in ten take half the mean, one in ten eleven times that, and nothing between.
                       The goals do not cover it: it shows the limits of a plan from p10 and mean alone
"""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from heapq import heappop, heappush

from bench.polling.optimum import Distribution, mixture

__all__ = ["LOADS", "MIXES", "SPLIT", "Seen", "State", "Workload", "calibrated", "seen", "simulate"]

LOADS = (0.7, 0.85, 0.95)

#: Arrivals that are not counted, because the queue begins empty.
WARM_UP = 2_000

#: Less probable states behind an estimate are left out, for the plan and for the optimum alike.
RARE = 1e-3

Draw = Callable[[random.Random], float]


def _lognormal(dice: random.Random) -> float:
    return dice.lognormvariate(-0.125, 0.5)


#: By name: draws a service time with mean 1.
MIXES: Mapping[str, Draw] = {
    "exponential": lambda dice: dice.expovariate(1.0),
    "lognormal": _lognormal,
    "mixed": lambda dice: _lognormal(dice) * (1.0 if dice.random() < 0.9 else 5.0) / 1.4,
}

SPLIT: Mapping[str, Draw] = {"split": lambda dice: dice.gammavariate(10, 0.1) * (0.5 if dice.random() < 0.9 else 5.5)}


@dataclass(frozen=True, kw_only=True)
class State:
    """What the estimator knows when an operation arrives, and how long the operation then takes.

    Attributes:
        share: of the operations that arrive in this state.
        most: the most operations that must end before such an operation can begin; it grows from state to state.
        duration: of these operations.
    """

    share: float
    most: int
    duration: Distribution

    @cached_property
    def earliest(self) -> float:
        """The p10 of the duration."""
        return self.duration.quantile(0.1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """One queue.

    Attributes:
        name: for people.
        states: that arrivals meet.
        service: the mean service time, in mean durations.
    """

    name: str
    states: Sequence[State]
    service: float

    def state(self, ahead: int) -> State:
        """Return the state of an operation that can begin once this many have ended."""
        return next((state for state in self.states if ahead <= state.most), self.states[-1])

    @cached_property
    def duration(self) -> Distribution:
        """The duration of any operation: all that a client without an estimate could know."""
        return mixture((state.share, state.duration) for state in self.states)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One estimate that clients may get.

    A wrong estimator takes one state for another, and gives the p10 of the state that it believes in. The p10 therefore adds nothing to the
    mean, and the optimum, which knows `duration`, gets no less than our plan.

    Attributes:
        share: of the operations.
        earliest, mean: as estimated.
        states: the possible truths, each with its probability.
    """

    share: float
    earliest: float
    mean: float
    states: Sequence[tuple[float, State]]

    @cached_property
    def duration(self) -> Distribution:
        """The duration, for a reader who has the estimate and knows the queue and how wrong estimates are."""
        return mixture((share, state.duration) for share, state in self.states)


def simulate(name: str, draw: Draw, *, load: float, servers: int, arrivals: int, cell: float, seed: int) -> Workload:
    """Simulate one queue.

    Args:
        draw: draws a service time with mean 1.
        load: arrivals x service time / servers.
        arrivals: how many to count.
        cell: width of the histograms' cells, in mean durations.
    """
    by_queue = _durations(draw, load=load, servers=servers, arrivals=arrivals, dice=random.Random(f"{name} {load} {servers} {seed}"))
    mean = sum(map(sum, by_queue.values())) / arrivals
    states = [
        State(share=len(group) / arrivals, most=most, duration=_histogram([each / mean for each in group], cell=cell))
        for most, group in _groups(by_queue, least=max(300, arrivals // 70))
    ]
    return Workload(name=f"{name} at {load:.0%}", states=states, service=1 / mean)


def seen(workload: Workload, *, error: float, points: int) -> Iterator[Seen]:
    """Yield the estimates of a workload.

    Args:
        error: an estimate is the truth times a lognormal factor with mean 1 and this spread; 0 gives the truth.
        points: how many different wrong estimates.
    """
    if not error:
        for state in workload.states:
            yield Seen(share=state.share, earliest=state.earliest, mean=state.duration.mean, states=[(1.0, state)])
        return
    sigma = math.sqrt(math.log1p(error**2))
    centres = [math.log(state.duration.mean) - sigma**2 / 2 for state in workload.states]
    low, high = min(centres) - 3 * sigma, max(centres) + 3 * sigma
    logs = [low + (high - low) * (point + 0.5) / points for point in range(points)]
    joint = [
        [state.share * math.exp(-(((log - centre) / sigma) ** 2) / 2) for state, centre in zip(workload.states, centres, strict=True)]
        for log in logs
    ]
    total = sum(map(sum, joint))
    for log, shares in zip(logs, joint, strict=True):
        here = sum(shares)
        if here > RARE * total / points:
            states = [(share / here, state) for share, state in zip(shares, workload.states, strict=True) if share > RARE * here]
            mean = math.exp(log)
            yield Seen(share=here / total, earliest=_earliest(workload, mean), mean=mean, states=states)


def calibrated(estimates: Sequence[Seen]) -> list[Seen]:
    """Return the estimates of an estimator that is just as wrong, but knows how wrong, and widens its estimates accordingly."""
    return [replace(each, earliest=each.duration.quantile(0.1), mean=each.duration.mean) for each in estimates]


def _earliest(workload: Workload, mean: float) -> float:
    """Return the p10 for a mean: that of the state with the nearest mean, stretched."""
    believed = min(workload.states, key=lambda state: abs(math.log(state.duration.mean / mean)))
    return believed.earliest * mean / believed.duration.mean


def _durations(draw: Draw, *, load: float, servers: int, arrivals: int, dice: random.Random) -> dict[int, list[float]]:
    """Return durations by how many operations must end before the arriving one can begin: 0 with a free server."""
    now, free, leaving = 0.0, [0.0] * servers, list[float]()
    found: dict[int, list[float]] = defaultdict(list)
    for number in range(-WARM_UP, arrivals):
        now += dice.expovariate(load * servers)
        while leaving and leaving[0] <= now:
            heappop(leaving)
        ahead = max(0, len(leaving) - servers + 1)
        end = max(now, heappop(free)) + draw(dice)
        heappush(free, end)
        heappush(leaving, end)
        if number >= 0:
            found[ahead].append(end - now)
    return found


def _groups(by_queue: Mapping[int, Sequence[float]], *, least: int) -> list[tuple[int, list[float]]]:
    """Merge neighbours, so that no distribution rests on a few operations. Return each group with its largest number ahead."""
    groups: list[tuple[int, list[float]]] = []
    for ahead in sorted(by_queue):
        if groups and len(groups[-1][1]) < least:
            groups[-1] = (ahead, groups[-1][1] + list(by_queue[ahead]))
        else:
            groups.append((ahead, list(by_queue[ahead])))
    if len(groups) > 1 and len(groups[-1][1]) < least:
        (most, last), (_, before) = groups.pop(), groups.pop()
        groups.append((most, before + last))
    return groups


def _histogram(durations: Sequence[float], *, cell: float) -> Distribution:
    masses = [0.0] * (int(max(durations) / cell) + 1)
    for each in durations:
        masses[int(each / cell)] += 1
    return Distribution(masses, width=cell)
