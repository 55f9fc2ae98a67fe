"""Decides which fault happens when: one source of randomness, and the share of each fault."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

__all__ = ["CALLS", "REQUESTS", "Dice", "Shares"]

#: Shares of a machine's calls to store, queue and records. `latency` is no fault: it lets others act before and after the effect.
CALLS: Mapping[str, float] = {
    "latency": 0.1,
    "error_without_effect": 0.006,
    "error_with_effect": 0.006,
    "timeout_without_effect": 0.001,
    "timeout_with_effect": 0.002,
    "effect_after_timeout": 0.002,
    "slow_call": 0.002,
    "crash_before_effect": 0.0002,
    "crash_after_effect": 0.0002,
}

#: Shares of a client's requests to the API and to the store. An operation makes about three.
REQUESTS: Mapping[str, float] = {
    "latency": 0.1,
    "request_lost": 0.006,
    "answer_lost": 0.006,
    "status_500_without_effect": 0.003,
    "status_500_with_effect": 0.003,
    "status_503_without_effect": 0.006,
    "status_503_with_effect": 0.006,
}


class Shares:
    """Maps a number from 0 to 1 to a name, most often to none. Cheap, because every call draws one."""

    def __init__(self, shares: Mapping[str, float]) -> None:
        self.any, self._bounds = 0.0, list[tuple[float, str]]()
        for name, share in sorted(shares.items(), key=lambda each: each[1]):
            self.any += share
            self._bounds.append((self.any, name))

    def pick(self, number: float) -> str:
        """Return the name for a number below `any`."""
        for bound, name in self._bounds:
            if number < bound:
                return name
        return self._bounds[-1][1]


class Dice:
    """The randomness of one world. While `on` is False, nothing goes wrong.

    Args:
        seed: the same seed gives the same world.
    """

    def __init__(self, seed: str) -> None:
        self.source = random.Random(seed)
        self.random = self.source.random
        self.on = True

    def happens(self, share: float) -> bool:
        """Tell whether something happens that has this share."""
        return self.on and self.random() < share

    def between(self, low: float, high: float) -> float:
        """Return a number between the two."""
        return low + (high - low) * self.random()

    def about(self, mean: float) -> float:
        """Return an exponentially distributed number, at most ten times its mean."""
        return min(10 * mean, self.source.expovariate(1 / mean))

    def one_of(self, things: Sequence[str]) -> str:
        """Return one of them."""
        return things[int(self.random() * len(things))]
