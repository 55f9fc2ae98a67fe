"""A histogram of durations in buckets of equal ratio, so the relative error of any quantile is bounded, and small.

All processes use the same buckets, so histograms merge by addition. The weights may be counts, faded counts or probabilities.

The buckets are DDSketch's logarithmic mapping (Masson, Rim, Lee: DDSketch, VLDB 12, 2019, section 2.1); why its library is not used:
docs/decisions/0013-own-histogram.md.

    bucket       …     -1        0         1         2     …
    seconds   ─────┼─────────┼─────────┼─────────┼────────►       r = (1 + e) / (1 - e)
                  1/r²      1/r        1         r

If the sum of the measured durations is known, one factor between 1 - e and 1 + e moves all buckets, so that their mean becomes the measured
one. For operations that always take the same time, this moves the bucket's middle to that time.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from itertools import accumulate
from operator import mul

__all__ = ["RELATIVE_ERROR", "Histogram", "bucket_of", "exponential"]

#: e: the largest distance between a bucket's middle and a duration in it, as a share. Estimates are wrong by more than 5 % for other
#: reasons, and service times that spread over two orders of magnitude fill 46 buckets: some hundred bytes.
RELATIVE_ERROR = 0.05

#: r: a bucket's upper edge divided by its lower one.
RATIO = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)

_LOG_RATIO = math.log(RATIO)

#: Durations below 0.1 ms share a bucket, and so do those above a year, seconds: there are at most 264 buckets.
SHORTEST, LONGEST = 1e-4, 3.2e7

#: How many means an exponential distribution reaches: a millionth of it is cut off.
TAIL = -math.log(1e-6)


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration."""
    return math.ceil(math.log(min(LONGEST, max(SHORTEST, seconds))) / _LOG_RATIO)


class Histogram:
    """A distribution of durations, even within each bucket. Never change it once it is made.

    A quantile is off by at most a bucket and the factor that moves all buckets, together 2 x `RELATIVE_ERROR` from the middle of its
    bucket. It is off by that much only if every bucket is filled at one edge.

    Args:
        weights: by bucket, each at least 0.
        seconds: the weighted sum of the measured durations, if known more exactly than by the buckets.
    """

    def __init__(self, weights: Mapping[int, float], *, seconds: float | None = None) -> None:
        self.weights = {bucket: weight for bucket, weight in sorted(weights.items()) if weight > 0}
        self.total = sum(self.weights.values())
        self._seconds = seconds

    @cached_property
    def mean(self) -> float:
        """The mean, seconds; 0 if the histogram is empty."""
        return self._scale * self._unscaled_sum / self.total if self.total else 0.0

    @cached_property
    def variance(self) -> float:
        """The variance, seconds²; 0 if the histogram is empty."""
        if not self.total:
            return 0.0
        squares = sum(weight * _middle(bucket) ** 2 for bucket, weight in self.weights.items())
        return self._scale**2 * max(0.0, squares / self.total - (self._unscaled_sum / self.total) ** 2)

    def share_below(self, seconds: float) -> float:
        """Return the share of durations up to this one: the distribution function."""
        lower, upper, below = self._edges
        seconds /= self._scale
        if not lower or seconds <= lower[0]:
            return 0.0
        at = bisect_left(upper, seconds)
        if at == len(upper):
            return 1.0
        part = max(0.0, seconds - lower[at]) / (upper[at] - lower[at])
        return (below[at] + part * (below[at + 1] - below[at])) / self.total

    def quantile(self, share: float) -> float:
        """Return the longest duration of the fastest `share` (0 to 1), seconds; 0 if the histogram is empty."""
        lower, upper, below = self._edges
        if not lower:
            return 0.0
        sought = share * self.total
        at = min(len(upper) - 1, max(0, bisect_left(below, sought) - 1))
        part = (sought - below[at]) / (below[at + 1] - below[at])
        return self._scale * (lower[at] + min(1.0, max(0.0, part)) * (upper[at] - lower[at]))

    def beyond(self, seconds: float) -> Histogram:
        """Return the part of the distribution above a duration. The duration's own bucket counts with the share above it."""
        weights: dict[int, float] = {}
        limit = seconds / self._scale
        for bucket, weight in self.weights.items():
            low, high = _upper_edge(bucket - 1), _upper_edge(bucket)
            if high > limit:
                weights[bucket] = weight * min(1.0, (high - limit) / (high - low))
        return Histogram(weights, seconds=self._scale * _sum(weights))

    def scaled(self, weight: float) -> Histogram:
        """Return the same distribution with another total weight."""
        by = weight / self.total if self.total else 0.0
        return Histogram({bucket: each * by for bucket, each in self.weights.items()}, seconds=self.mean * weight)

    def __add__(self, other: Histogram) -> Histogram:
        """Merge with another one."""
        weights = dict(self.weights)
        for bucket, weight in other.weights.items():
            weights[bucket] = weights.get(bucket, 0.0) + weight
        return Histogram(weights, seconds=self.mean * self.total + other.mean * other.total)

    def middles(self) -> Iterable[tuple[float, float]]:
        """Yield the middle of each bucket and its weight."""
        for bucket, weight in self.weights.items():
            yield self._scale * _middle(bucket), weight

    @cached_property
    def _scale(self) -> float:
        """The factor that moves all buckets."""
        if self._seconds is None or not self._unscaled_sum:
            return 1.0
        return min(1 + RELATIVE_ERROR, max(1 - RELATIVE_ERROR, self._seconds / self._unscaled_sum))

    @cached_property
    def _unscaled_sum(self) -> float:
        """The weighted sum of the durations according to the unmoved buckets, seconds."""
        return _sum(self.weights)

    @cached_property
    def _edges(self) -> tuple[list[float], list[float], list[float]]:
        """The lower edges, the upper edges, and the weight below each lower edge, followed by the total."""
        lower = [_upper_edge(bucket - 1) for bucket in self.weights]
        upper = [_upper_edge(bucket) for bucket in self.weights]
        return lower, upper, list(accumulate(self.weights.values(), initial=0.0))


def exponential(mean: float) -> Histogram:
    """Return the exponential distribution with a mean in seconds and total weight 1.

    Of all distributions with a given mean it assumes least (maximum entropy; Cover, Thomas: Elements of Information Theory, 2nd ed.,
    example 12.2.5), so it is the honest guess if only a mean is known.
    """
    first, last = bucket_of(mean * 1e-3), bucket_of(mean * TAIL)
    below = [0.0, *(-math.expm1(-_upper_edge(bucket) / mean) for bucket in range(first, last)), 1.0]
    weights = {bucket: high - low for bucket, low, high in zip(range(first, last + 1), below, below[1:], strict=False)}
    return Histogram(weights, seconds=mean)


@cache
def _upper_edge(bucket: int) -> float:
    return RATIO**bucket


@cache
def _middle(bucket: int) -> float:
    return (_upper_edge(bucket - 1) + _upper_edge(bucket)) / 2


def _sum(weights: Mapping[int, float]) -> float:
    """Return the weighted sum of the buckets' middles, seconds."""
    return sum(map(mul, weights.values(), map(_middle, weights)), 0.0)
