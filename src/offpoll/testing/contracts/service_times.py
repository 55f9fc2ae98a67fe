"""What every store of service times must do."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta

import pytest

from offpoll.estimate.histogram import bucket_of
from offpoll.estimate.history import MAX_SPANS, Span, faded
from offpoll.service_times import ServiceTimes
from offpoll.testing.contracts.running import Running

__all__ = ["ServiceTimesContract"]

#: An instant in the wire's precision: a store may cut finer ones.
NOON = datetime(2030, 1, 1, 12, 0, 0, 123_000, tzinfo=UTC)


def span(*service_times: float, at: float = 0.0, lasting: float = 10.0, inside: int = 0, early: int = 0, late: int = 0) -> Span:
    """Return the report of a process that measured these service times, `at` seconds after noon."""
    buckets: dict[int, int] = {}
    for seconds in service_times:
        buckets[bucket_of(seconds)] = buckets.get(bucket_of(seconds), 0) + 1
    ended_at = NOON + timedelta(seconds=at)
    return Span(
        began_at=ended_at - timedelta(seconds=lasting),
        ended_at=ended_at,
        buckets=buckets,
        seconds=sum(service_times),
        inside=inside,
        early=early,
        late=late,
    )


class ServiceTimesContract(Running):
    """Subclass it and provide the fixture `service_times`."""

    @pytest.fixture
    def service_times(self) -> ServiceTimes:
        raise NotImplementedError("a subclass provides the service times")

    @pytest.fixture
    def other(self, service_times: ServiceTimes) -> ServiceTimes:
        """The same service times in another process; the same object if there is only one process."""
        return service_times

    @pytest.fixture
    def kind(self) -> str:
        """A kind that nobody has measured."""
        return f"k{secrets.token_hex(8)}"

    def test_nothing_measured(self, service_times: ServiceTimes, kind: str) -> None:
        """Without a measurement there is nothing."""
        assert list(self.run(service_times.spans(kind))) == []

    def test_a_report_comes_back(self, service_times: ServiceTimes, kind: str) -> None:
        """Times and counts, those of estimates too, come back as they were reported."""
        reported = span(0.05, 3.0, 3.0, 4000.0, inside=2, early=1, late=1)
        self.run(service_times.add(kind, reported))
        assert list(self.run(service_times.spans(kind))) == [reported]

    def test_reports_add_up(self, service_times: ServiceTimes, kind: str) -> None:
        """The mean is over completions, not over reports, and every bucket is the sum of its reports."""
        self.run(service_times.add(kind, span(2.0, 2.0, 2.0)))
        self.run(service_times.add(kind, span(10.0, at=1.0)))
        measured = faded(self.run(service_times.spans(kind)), NOON)
        assert measured.mean == pytest.approx(4.0)
        assert measured.quantile(0.5) == pytest.approx(2.0, rel=0.06)

    def test_kinds_are_apart(self, service_times: ServiceTimes, kind: str) -> None:
        """One kind's times never appear under another kind."""
        self.run(service_times.add(kind, span(6.0)))
        assert list(self.run(service_times.spans(kind + "x"))) == []

    def test_what_happened_later_is_apart(self, service_times: ServiceTimes, kind: str) -> None:
        """Times of a minute later stay separate from earlier ones, or nothing could fade."""
        self.run(service_times.add(kind, span(6.0)))
        self.run(service_times.add(kind, span(12.0, at=60.0)))
        assert len(self.run(service_times.spans(kind))) == 2

    def test_it_does_not_grow(self, service_times: ServiceTimes, kind: str) -> None:
        """However many reports come, the store stays small and loses no completion of the last half hour."""
        for number in range(60):
            self.run(service_times.add(kind, span(6.0, at=30.0 * number)))
        spans = self.run(service_times.spans(kind))
        assert len(spans) <= MAX_SPANS
        assert sum(each.completions for each in spans) == 60

    def test_concurrent_reports_all_count(self, service_times: ServiceTimes, other: ServiceTimes, kind: str) -> None:
        """No report of any process overwrites another."""

        async def report() -> None:
            each = (service_times, other)
            await asyncio.gather(*(each[number % 2].add(kind, span(1.0 + number, inside=1)) for number in range(6)))

        self.run(report())
        self.run(other.add(kind, span(7.0)))
        spans = self.run(service_times.spans(kind))
        assert sum(each.completions for each in spans) == 7
        assert sum(each.inside for each in spans) == 6
        assert faded(spans, NOON).mean == pytest.approx(4.0)
