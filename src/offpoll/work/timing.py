"""Service times of one worker, gathered and handed on now and then: a hint is not worth a request for every operation."""

from __future__ import annotations

import logging

from offpoll.errors import OffpollError
from offpoll.service_times import ServiceTimes

__all__ = ["FLUSH_INTERVAL", "ServiceTimesBuffer"]

log = logging.getLogger(__name__)

#: Seconds between two flushes of one process (one small update for each kind).
FLUSH_INTERVAL = 10.0


class ServiceTimesBuffer:
    """Sums up what was observed since the last flush."""

    def __init__(self, service_times: ServiceTimes) -> None:
        self._service_times = service_times
        self._sums: dict[str, tuple[int, float]] = {}

    def observe(self, kind: str, seconds: float) -> None:
        """Note that an operation of a kind took so long."""
        count, total = self._sums.get(kind, (0, 0.0))
        self._sums[kind] = (count + 1, total + seconds)

    async def flush(self) -> None:
        """Hand on what was observed; keep it where that fails, whatever the reason."""
        sums, self._sums = self._sums, {}
        for kind, (count, total) in sums.items():
            try:
                await self._service_times.add(kind, completions=count, seconds=total)
            except Exception as error:
                # A hint may be late: what could not be written is added to what comes next.
                unexpected = not isinstance(error, OffpollError)
                log.warning("service times not written, kept for the next time: %s", error, exc_info=unexpected)
                later = self._sums.get(kind, (0, 0.0))
                self._sums[kind] = (later[0] + count, later[1] + total)
