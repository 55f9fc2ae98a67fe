"""What every keeper of service times must do."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from offpoll.service_times import ServiceTimes
from offpoll.testing.contracts.running import Running

__all__ = ["ServiceTimesContract"]


class ServiceTimesContract(Running):
    """Subclass it and provide the fixture `service_times`."""

    @pytest.fixture
    def service_times(self) -> ServiceTimes:
        raise NotImplementedError("a subclass provides the service times")

    @pytest.fixture
    def kind(self) -> str:
        """A kind that nobody measured yet."""
        return f"k{secrets.token_hex(8)}"

    def test_nothing_measured(self, service_times: ServiceTimes, kind: str) -> None:
        """Without a measurement there is no mean."""
        assert self.run(service_times.mean(kind)) is None

    def test_mean_over_completions(self, service_times: ServiceTimes, kind: str) -> None:
        """The mean is over completions, not over reports."""
        self.run(service_times.add(kind, completions=3, seconds=6.0))
        self.run(service_times.add(kind, completions=1, seconds=10.0))
        assert self.run(service_times.mean(kind)) == pytest.approx(4.0)

    def test_kinds_are_apart(self, service_times: ServiceTimes, kind: str) -> None:
        """One kind's times say nothing of another's."""
        self.run(service_times.add(kind, completions=1, seconds=6.0))
        assert self.run(service_times.mean(kind + "x")) is None

    def test_concurrent_reports_all_count(self, service_times: ServiceTimes, kind: str) -> None:
        """No report overwrites another."""

        async def report() -> None:
            await asyncio.gather(*(service_times.add(kind, completions=1, seconds=float(number)) for number in range(20)))

        self.run(report())
        assert self.run(service_times.mean(kind)) == pytest.approx(9.5)
