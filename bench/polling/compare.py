"""Computes expected polls, delay and cost of our plan, of the peers and of the optimum on one workload. Tunes each peer in its favour."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from bench.polling.clients import PEERS, SECONDS, follow, ours
from bench.polling.optimum import Distribution, Schedule, optimum
from bench.polling.workloads import Seen, Workload

__all__ = ["Outcome", "best", "cheapest", "curve", "peer", "planned", "same_delay"]

#: Draws that represent a random schedule. Ours varies little (a tenth of an interval), google-api-core's much.
DRAWS = {"offpoll": 4, "google-api-core": 12}

#: The stretches to try for a peer, in mean durations: 0.008 to 5. Neighbours are 5 % apart, because costs are flat near the best one.
STRETCHES = [0.008 * 1.05**step for step in range(132)]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a schedule costs.

    Attributes:
        parts: for each group of operations: its share, its λ, its schedule, its duration.
    """

    parts: Sequence[tuple[float, float, Schedule, Distribution]]

    @property
    def polls(self) -> float:
        """Expected polls of one operation."""
        return sum(share * schedule.polls for share, _, schedule, _ in self.parts)

    @property
    def delay(self) -> float:
        """Expected time from the end to the poll that sees it, in mean durations."""
        return sum(share * schedule.lateness for share, _, schedule, _ in self.parts)

    @property
    def cost(self) -> float:
        """Expected polls + λ x delay."""
        return sum(share * schedule.cost(weight) for share, weight, schedule, _ in self.parts)

    def delay_quantile(self, share: float) -> float:
        """Return the delay that this share of the operations stays below."""
        low, high = 0.0, 10.0
        while high - low > 1e-3:
            middle = (low + high) / 2
            above = sum(part * schedule.later_than(middle, duration) for part, _, schedule, duration in self.parts)
            low, high = (middle, high) if above > 1 - share else (low, middle)
        return high


def planned(estimates: Sequence[Seen], *, weight: float, relative: bool = False, seconds: float = SECONDS) -> Outcome:
    """Follow our plan.

    Args:
        weight: λ for one mean duration.
        relative: whether λ is instead for each operation's own estimated duration.
        seconds: of a mean duration; they matter, since the plan has a floor and a cap.
    """
    return Outcome(parts=list(_planned(estimates, weight=weight, relative=relative, seconds=seconds)))


def _planned(
    estimates: Sequence[Seen], *, weight: float, relative: bool, seconds: float
) -> Iterator[tuple[float, float, Schedule, Distribution]]:
    dice = random.Random(1)
    for seen in estimates:
        here = weight / seen.mean if relative else weight
        made = ours(earliest=seen.earliest, mean=seen.mean, weight=here, seconds=seconds)
        for _ in range(DRAWS["offpoll"]):
            yield seen.share / DRAWS["offpoll"], here, Schedule.of(follow(made, dice), seen.duration), seen.duration


def best(estimates: Sequence[Seen], *, weight: float, relative: bool = False) -> Outcome:
    """Take the cheapest schedule for each estimate."""
    parts = []
    for seen in estimates:
        here = weight / seen.mean if relative else weight
        parts.append((seen.share, here, optimum(seen.duration, weight=here), seen.duration))
    return Outcome(parts=parts)


@cache
def peer(workload: Workload, name: str, stretch: float) -> tuple[float, float]:
    """Return the expected polls and delay of a peer."""
    draws = DRAWS.get(name, 1)
    made = [Schedule.of(PEERS[name](stretch, random.Random(draw)), workload.duration) for draw in range(draws)]
    return sum(each.polls for each in made) / draws, sum(each.lateness for each in made) / draws


def cheapest(workload: Workload, name: str, *, weight: float) -> float:
    """Return a peer's least cost over all stretches."""
    return min(polls + weight * delay for polls, delay in curve(workload, name))


def same_delay(workload: Workload, name: str, *, delay: float) -> float:
    """Return a peer's fewest polls over the stretches with at most this delay; infinity if there are none."""
    return min((polls for polls, late in curve(workload, name) if late <= delay), default=math.inf)


def curve(workload: Workload, name: str) -> list[tuple[float, float]]:
    """Return a peer's polls and delay over all stretches."""
    return [peer(workload, name, stretch) for stretch in STRETCHES]
