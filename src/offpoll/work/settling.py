"""A batch of dead letters, settled in the time that there is; see `dead_letters` for what that means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from offpoll.dependencies import Dependencies
from offpoll.instant import utc_now
from offpoll.kind import Kind
from offpoll.queue import Delivery, Queue
from offpoll.settings import Settings
from offpoll.work.claim import Claimer
from offpoll.work.dead_letters import SLOTS, DeadLetters
from offpoll.work.in_time import LEAVE_BEFORE, TimeLeft, begin, within

__all__ = ["Settling"]


class Settling:
    """Settles batches of dead letters.

    Args:
        kinds: by name.
        settings: the message window.
        lifetime: seconds after which a record counts as absent.
        dependencies: for the loop it runs on.
        clock: the wall clock.
    """

    def __init__(
        self,
        *,
        kinds: Mapping[str, Kind],
        settings: Settings,
        lifetime: float,
        dependencies: Dependencies,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._kinds, self._dependencies = kinds, dependencies
        self._claimer = Claimer(
            records=dependencies.records, lease=settings.lease, window=settings.message_window, lifetime=lifetime, clock=clock
        )

    async def settle(self, deliveries: Sequence[Delivery], *, queue: Queue, time_left: TimeLeft) -> None:
        """Settle a batch. What is not deleted from the queue then comes back; see `Batches.work`."""
        dependencies = replace(self._dependencies, dead_letters=queue)
        one = DeadLetters(dependencies=dependencies, kinds=self._kinds, claimer=self._claimer)
        await within(time_left() - LEAVE_BEFORE, begin(deliveries, one.settle, slots=SLOTS))
