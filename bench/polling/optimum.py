"""Computes the cost of a schedule of polls, and the cheapest possible schedule, for a given distribution of the duration.

A poll costs 1, being late costs λ for each unit of time. Polls go on until the first at or after the end. With F the distribution function
of the duration, S = 1 - F and G = ∫ F, a poll at s that follows one at t happens with probability S(t), and ends the expected lateness

    ∫(t..s) (s - x) dF(x) = G(s) - G(t) - (s - t) F(t)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Distribution", "Schedule", "mixture", "optimum"]

#: A schedule ends at the first poll that is less probable than this.
NEGLIGIBLE = 1e-9


class Distribution:
    """A distribution given by a histogram: each cell's mass is spread evenly over the cell.

    Args:
        masses: of the cells [0, width), [width, 2 width) …; they are scaled to a sum of 1.
        width: of a cell.
    """

    def __init__(self, masses: Sequence[float], *, width: float) -> None:
        total = sum(masses)
        self.width = width
        self.masses = [mass / total for mass in masses]
        self.cdf = [0.0, *accumulate(self.masses)]
        self.cdf[-1] = 1.0
        self.area = [0.0, *accumulate(width * (low + high) / 2 for low, high in zip(self.cdf, self.cdf[1:], strict=False))]
        self.end = width * len(masses)
        self.mean = self.end - self.area[-1]

    def at(self, time: float) -> tuple[float, float]:
        """Return F and G at a time."""
        if time >= self.end:
            return 1.0, self.area[-1] + time - self.end
        cell = int(time / self.width)
        part = time / self.width - cell
        low, mass = self.cdf[cell], self.masses[cell]
        return low + mass * part, self.area[cell] + self.width * part * (low + mass * part / 2)

    def quantile(self, share: float) -> float:
        """Return the time by which this share has ended."""
        cell = next(cell for cell, high in enumerate(self.cdf[1:]) if high >= share)
        return self.width * (cell + (share - self.cdf[cell]) / max(self.masses[cell], 1e-300))


def mixture(parts: Iterable[tuple[float, Distribution]]) -> Distribution:
    """Return the weighted mixture of distributions whose cells have the same width."""
    drawn = [(weight, part) for weight, part in parts if weight > 0]
    masses = [0.0] * max(len(part.masses) for _, part in drawn)
    for weight, part in drawn:
        for cell, mass in enumerate(part.masses):
            masses[cell] += weight * mass
    return Distribution(masses, width=drawn[0][1].width)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """The times of the polls, against one distribution of the duration.

    Attributes:
        times: of all polls that can happen.
        polls, lateness: expected values.
    """

    times: tuple[float, ...]
    polls: float
    lateness: float

    @classmethod
    def of(cls, times: Iterator[float], duration: Distribution) -> Schedule:
        """Follow an endless schedule until the operation has surely ended."""
        made: list[float] = []
        polls = lateness = before = f = g = 0.0
        while 1 - f > NEGLIGIBLE:
            time = next(times)
            polls += 1 - f
            f_next, g_next = duration.at(time)
            lateness += g_next - g - (time - before) * f
            made.append(time)
            before, f, g = time, f_next, g_next
        return cls(times=tuple(made), polls=polls, lateness=lateness)

    def cost(self, weight: float) -> float:
        """Return polls + λ x lateness."""
        return self.polls + weight * self.lateness

    def later_than(self, delay: float, duration: Distribution) -> float:
        """Return the probability that the poll that sees the end comes more than `delay` after it."""
        before = above = 0.0
        for time in self.times:
            if time - delay > before:
                above += duration.at(time - delay)[0] - duration.at(before)[0]
            before = time
        return above


def optimum(duration: Distribution, *, weight: float) -> Schedule:
    """Return the cheapest schedule, by dynamic programming over the edges of the cells.

    V(t) is the cost still to be paid after a poll at t found nothing, times S(t):

        V(t) = min over s > t of  S(t) + λ (G(s) - G(t) - (s - t) F(t)) + V(s)
             = S(t) + λ (t F(t) - G(t)) + min over s of  [λ G(s) + V(s)] - λ s F(t)

    The minimum is over straight lines in F(t). From the last edge to the first, slopes only grow and F only falls, so the lines that can
    still win form a queue, and one pass suffices. The result is exact for polls at the edges. A test halves the width, and so shows that
    polls between the edges would not be cheaper.
    """
    edges = len(duration.masses)
    value, following = [0.0] * (edges + 1), [edges] * (edges + 1)
    lines: list[tuple[float, float, int]] = []  # slope, intercept, edge: the lower envelope, the one for the largest F first
    first = 0
    for edge in range(edges - 1, -1, -1):
        later = edge + 1
        line = (-weight * later * duration.width, weight * duration.area[later] + value[later], later)
        while len(lines) - first >= 2 and _never_lowest(lines[-2], lines[-1], line):
            lines.pop()
        lines.append(line)
        f = duration.cdf[edge]
        while len(lines) - first >= 2 and _at(lines[first + 1], f) <= _at(lines[first], f):
            first += 1
        following[edge] = lines[first][2]
        value[edge] = 1 - f + weight * (edge * duration.width * f - duration.area[edge]) + _at(lines[first], f)
    return Schedule.of(_along(following, duration.width), duration)


def _at(line: tuple[float, float, int], f: float) -> float:
    return line[0] * f + line[1]


def _never_lowest(before: tuple[float, float, int], middle: tuple[float, float, int], after: tuple[float, float, int]) -> bool:
    """Tell whether the middle one of three lines, whose slopes grow, is nowhere the lowest."""
    return (after[1] - before[1]) * (middle[0] - before[0]) <= (middle[1] - before[1]) * (after[0] - before[0])


def _along(following: Sequence[int], width: float) -> Iterator[float]:
    edge = 0
    while True:
        edge = following[edge]
        yield edge * width
