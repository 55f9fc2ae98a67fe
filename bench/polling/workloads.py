"""Durations of operations in an M/G/c queue, by what an estimator knows when one arrives. Knows no plan and no client.

Operations arrive at random (Poisson) at c servers that take them in order. The estimator sees how many are in the system, as a queue's
counters tell it, and not how long those in service have run. For each such number the simulated durations, from submit to end, make a
distribution, and its p10 and mean are the best estimate that there can be. Everything is divided by the workload's mean duration, which is
therefore 1, and λ is how many polls one mean duration of lateness is worth.

The mixes of service times; in brackets the standard deviation over the mean:

    exponential (1)    the textbook's; with a free server the one for which evenly spaced polls are exactly the best
    lognormal (0.53)   one kind of work: a report, a call to a partner. Right-skewed, as measured service times are
    mixed (1.1)        the same, and every tenth takes five times as long: a cache that misses, a large order
    split (1.5)        two kinds of work under one name: nine in ten take half the mean, one in ten eleven times that; nothing between.
                       Not one of the three that the targets are for: it shows where a plan from p10 and mean alone ends
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

#: Arrivals that are not counted: the queue begins empty.
WARM_UP = 2_000

#: States that an estimate stands for with less than this probability are left out, for the plan and for the optimum alike.
RARE = 1e-3

Draw = Callable[[random.Random], float]


def _lognormal(dice: random.Random) -> float:
    return dice.lognormvariate(-0.125, 0.5)


#: Draw a service time with mean 1.
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
        share: of the operations that meet this.
        most: how many end before such an operation can begin, at most; more than in the state before.
        duration: of those.
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
    """One queue. Attributes: name; states: those that arrivals meet; service: the mean service time, where the mean duration is 1."""

    name: str
    states: Sequence[State]
    service: float

    def state(self, ahead: int) -> State:
        """Return what an operation meets that can begin when so many have ended."""
        return next((state for state in self.states if ahead <= state.most), self.states[-1])

    @cached_property
    def duration(self) -> Distribution:
        """The duration of any operation: what a client knows that is told nothing."""
        return mixture((state.share, state.duration) for state in self.states)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One estimate that clients may be given.

    An estimator that is wrong takes one state for another, so that the p10 it gives is that of the state which it believes in. The mean
    then says all that the estimate says, and the optimum, which knows `duration`, is given no less than our plan.

    Attributes:
        share: of the operations.
        earliest, mean: as estimated.
        states: what the truth may be, with its probability.
    """

    share: float
    earliest: float
    mean: float
    states: Sequence[tuple[float, State]]

    @cached_property
    def duration(self) -> Distribution:
        """What is known of the duration by whoever is given the estimate, and knows the queue and how wrong estimates are."""
        return mixture((share, state.duration) for share, state in self.states)


def simulate(name: str, draw: Draw, *, load: float, servers: int, arrivals: int, cell: float, seed: int) -> Workload:
    """Run one queue.

    Args:
        draw: a service time, mean 1.
        load: arrivals x service time / servers.
        arrivals: how many are counted.
        cell: width of the histograms' cells, mean durations.
    """
    by_queue = _durations(draw, load=load, servers=servers, arrivals=arrivals, dice=random.Random(f"{name} {load} {servers} {seed}"))
    mean = sum(map(sum, by_queue.values())) / arrivals
    states = [
        State(share=len(group) / arrivals, most=most, duration=_histogram([each / mean for each in group], cell=cell))
        for most, group in _groups(by_queue, least=max(300, arrivals // 70))
    ]
    return Workload(name=f"{name} at {load:.0%}", states=states, service=1 / mean)


def seen(workload: Workload, *, error: float, points: int) -> Iterator[Seen]:
    """Give the estimates of a workload.

    Args:
        error: the estimate is the truth times a lognormal factor with mean 1 and this spread; 0: the truth.
        points: how many different estimates, where they are wrong.
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
    """Return the estimates of an estimator that is as wrong, but knows how wrong, and widens what it says by that."""
    return [replace(each, earliest=each.duration.quantile(0.1), mean=each.duration.mean) for each in estimates]


def _earliest(workload: Workload, mean: float) -> float:
    """Return the p10 that goes with a mean: that of the state with the nearest mean, stretched."""
    believed = min(workload.states, key=lambda state: abs(math.log(state.duration.mean / mean)))
    return believed.earliest * mean / believed.duration.mean


def _durations(draw: Draw, *, load: float, servers: int, arrivals: int, dice: random.Random) -> dict[int, list[float]]:
    """Return the durations by how many end before the arriving operation can begin; with a free server that is 0."""
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
    """Put neighbours together, so that no distribution is made of a few operations; with the most ahead of each."""
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
