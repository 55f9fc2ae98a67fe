"""Statistics of a service: how long operations take, how many wait, and whether estimates are right.

Decides which time each number covers. Reads what the forecasts read, and changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from offpoll.dependencies import Dependencies
from offpoll.estimate.history import Calibration, Span, calibration, completions, faded
from offpoll.queue import Depth
from offpoll.service_times import REPORT_INTERVAL

__all__ = ["KindStats", "Stats", "look"]

#: Completions cover the last hour, the rate the last five minutes; seconds.
COUNTED, RATED = 3600.0, 300.0


@dataclass(frozen=True, kw_only=True)
class KindStats:
    """The statistics of one kind.

    Attributes:
        completions: about how many operations ended within the last hour.
        rate: how many ended per second over the last five minutes.
        p10, p50, p90, mean: the service time from claim to decision, seconds, as estimates use it: a completion counts half after an hour,
            or after a hundred newer ones. None if nothing was measured.
        calibration: how many ended between the earliest and latest end that their submitter was told; faded counts.
    """

    completions: float
    rate: float
    p10: float | None
    p50: float | None
    p90: float | None
    mean: float | None
    calibration: Calibration


@dataclass(frozen=True, kw_only=True)
class Stats:
    """A service at one moment: its kinds by name, and what its queues hold."""

    at: datetime
    kinds: dict[str, KindStats]
    queue: Depth
    dead_letters: Depth
    parking: Depth


async def look(dependencies: Dependencies, kinds: Iterable[str], *, now: datetime) -> Stats:
    """Read the statistics of a service.

    Raises:
        DependencyUnavailable, DependencyRefused: by the table or a queue.
    """
    names = sorted(kinds)
    spans, depths = await asyncio.gather(
        asyncio.gather(*(dependencies.service_times.spans(name) for name in names)),
        asyncio.gather(*(queue.depth() for queue in (dependencies.queue, dependencies.dead_letters, dependencies.parking))),
    )
    of_kinds = {name: of_kind(each, now=now) for name, each in zip(names, spans, strict=True)}
    return Stats(at=now, kinds=of_kinds, queue=depths[0], dead_letters=depths[1], parking=depths[2])


def of_kind(spans: Sequence[Span], *, now: datetime) -> KindStats:
    """Return the statistics of the kind that these spans measured."""
    measured, until = faded(spans, now), now - timedelta(seconds=REPORT_INTERVAL)
    p10, p50, p90 = (measured.quantile(share) if measured.total else None for share in (0.1, 0.5, 0.9))
    return KindStats(
        completions=completions(spans, since=now - timedelta(seconds=COUNTED), until=now),
        rate=completions(spans, since=until - timedelta(seconds=RATED), until=until) / RATED,
        p10=p10,
        p50=p50,
        p90=p90,
        mean=measured.mean if measured.total else None,
        calibration=calibration(spans, now),
    )
