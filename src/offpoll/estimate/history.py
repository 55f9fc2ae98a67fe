"""The workers' recent measurements, in spans of time: how spans are merged, and how they fade.

A completion counts half as much after an hour, or after a hundred newer completions, whichever is sooner.

Each process writes what it measured since its last report. Spans of the last quarter minute become one. Older ones merge wherever that
blurs least in proportion to their age, so a handful describe the last minute in quarter minutes and yesterday in hours:

    age    6 h ├──────────────┼───────┼────┼──┼─┼┼┤ now

Spans fade when they are read: only the spans of all processes together show how many completions are newer.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

from offpoll.estimate.histogram import Histogram

__all__ = ["HALF_LIFE", "HALF_LIFE_COMPLETIONS", "Calibration", "Span", "calibration", "completions", "extended", "faded"]

#: Age at which a completion counts half, seconds.
HALF_LIFE = 3600.0

#: Number of newer completions of its kind after which a completion counts half, if that is sooner. The weights add up to about 144: a mean
#: of service times whose deviation equals their mean is then off by 8 %. 200 completions under new conditions have 3/4 of the weight.
HALF_LIFE_COMPLETIONS = 100.0

#: Reports within this time become one span, seconds.
SPAN = 15.0

#: Most spans kept in one place: with 12, each is about as long as 60 % of its age.
MAX_SPANS = 12

#: A span with this many newer completions counts for less than a thousandth and is dropped.
FORGOTTEN = 10 * HALF_LIFE_COMPLETIONS


@dataclass(frozen=True, kw_only=True)
class Span:
    """Completions of one kind within some time.

    Attributes:
        began_at, ended_at: that time.
        buckets: the number of completions by the bucket of their service time (see `histogram.bucket_of`).
        seconds: the sum of their service times.
        inside, early, late: how many ended between the earliest and the latest end that their submitter was told, before, and after it.
            For some this is not known.
    """

    began_at: datetime
    ended_at: datetime
    buckets: Mapping[int, int] = field(default_factory=dict)
    seconds: float = 0.0
    inside: int = 0
    early: int = 0
    late: int = 0

    @property
    def completions(self) -> int:
        """The number of completions."""
        return sum(self.buckets.values())

    def merged(self, other: Span) -> Span:
        """Return one span for both."""
        return Span(
            began_at=min(self.began_at, other.began_at),
            ended_at=max(self.ended_at, other.ended_at),
            buckets=Counter(self.buckets) + Counter(other.buckets),
            seconds=self.seconds + other.seconds,
            inside=self.inside + other.inside,
            early=self.early + other.early,
            late=self.late + other.late,
        )


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """How many completions ended between, before and after the earliest and the latest end that their submitter was told; faded counts."""

    inside: float
    early: float
    late: float

    @property
    def known(self) -> float:
        """The number of completions for which that is known."""
        return self.inside + self.early + self.late

    @property
    def share(self) -> float | None:
        """The share that ended between earliest and latest: 0.8 if estimates are right. None if it is known for none."""
        return self.inside / self.known if self.known else None


def extended(spans: Sequence[Span], new: Span) -> tuple[Span, ...]:
    """Add a span to those of one place. Return them oldest first, at most `MAX_SPANS`."""
    kept = sorted((*spans, new), key=lambda span: span.ended_at)
    while len(kept) > 1 and kept[-1].ended_at - kept[-2].began_at <= timedelta(seconds=SPAN):
        kept[-2:] = [kept[-2].merged(kept[-1])]
    newer = 0
    for index in range(len(kept) - 1, -1, -1):
        if newer > FORGOTTEN:
            kept = kept[index + 1 :]
            break
        newer += kept[index].completions
    while len(kept) > MAX_SPANS:
        blurred = [_blur(older, younger, kept[-1].ended_at) for older, younger in pairwise(kept[:-1])]
        at = blurred.index(min(blurred))
        kept[at : at + 2] = [kept[at].merged(kept[at + 1])]
    return tuple(kept)


def _blur(older: Span, younger: Span, now: datetime) -> float:
    """Return the length of two merged spans in proportion to their age."""
    return (younger.ended_at - older.began_at) / max(timedelta(seconds=SPAN), now - older.began_at)


def faded(spans: Iterable[Span], now: datetime) -> Histogram:
    """Return the service times of spans from any places, weighted by how far they have faded."""
    weights: dict[int, float] = {}
    seconds = 0.0
    for span, weight in _weighted(spans, now):
        seconds += weight * span.seconds
        for bucket, count in span.buckets.items():
            weights[bucket] = weights.get(bucket, 0.0) + weight * count
    return Histogram(weights, seconds=seconds)


def calibration(spans: Iterable[Span], now: datetime) -> Calibration:
    """Return how often estimates were right lately."""
    weighted = _weighted(spans, now)
    return Calibration(
        inside=sum(weight * span.inside for span, weight in weighted),
        early=sum(weight * span.early for span, weight in weighted),
        late=sum(weight * span.late for span, weight in weighted),
    )


def completions(spans: Iterable[Span], *, since: datetime, until: datetime) -> float:
    """Return about how many completions fell between two instants. A span that crosses one of them counts in proportion."""
    total = 0.0
    for span in spans:
        length = (span.ended_at - span.began_at).total_seconds()
        common = (min(until, span.ended_at) - max(since, span.began_at)).total_seconds()
        if length <= 0:
            total += span.completions if since < span.ended_at <= until else 0
        elif common > 0:
            total += span.completions * common / length
    return total


def _weighted(spans: Iterable[Span], now: datetime) -> list[tuple[Span, float]]:
    """Return each span with the average weight of its completions.

    By completions: of n about equally old ones with `newer` after them, the one with x of the n after it weighs 2^-((newer + x) / h). The
    mean over x from 0 to n is 2^-(newer / h) (1 - 2^-(n / h)) / (n ln 2 / h). By age: 2^-(age / HALF_LIFE). The smaller weight counts.
    Spans of other processes and kinds that ended at about the same time have no order, so they get the same weight.
    """
    weighted: list[tuple[Span, float]] = []
    newer = 0.0
    for group in _groups(sorted(spans, key=lambda span: span.ended_at, reverse=True)):
        count = sum(span.completions for span in group)
        own = count * math.log(2) / HALF_LIFE_COMPLETIONS
        by_completions = 2 ** -(newer / HALF_LIFE_COMPLETIONS) * (-math.expm1(-own) / own if own else 1.0)
        by_age = 2 ** -(max(0.0, (now - group[0].ended_at).total_seconds()) / HALF_LIFE)
        weighted += [(span, min(by_completions, by_age)) for span in group]
        newer += count
    return weighted


def _groups(spans: Sequence[Span]) -> Iterable[list[Span]]:
    """Group spans, newest first: a span that ended `SPAN` or more before the first of its group begins a new one."""
    group: list[Span] = []
    for span in spans:
        if group and group[0].ended_at - span.ended_at >= timedelta(seconds=SPAN):
            yield group
            group = []
        group.append(span)
    if group:
        yield group
