"""Makes and reads spans of measured service times."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from offpoll.estimate.histogram import Histogram, bucket_of
from offpoll.estimate.history import Span, faded
from offpoll.testing import START, System

__all__ = ["measured", "span"]


def span(*seconds: float, until: datetime = START, lasting: float = 10.0, **counts: Any) -> Span:
    """Return a span with these service times."""
    buckets = Counter(map(bucket_of, seconds))
    return Span(began_at=until - timedelta(seconds=lasting), ended_at=until, buckets=buckets, seconds=sum(seconds), **counts)


def measured(system: System, kind: str = "order") -> Histogram:
    """Return a system's measured service times of a kind, with their present weight."""
    return faded(system.run(system.service_times.spans(kind)), system.loop.now())
