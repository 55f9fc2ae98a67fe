"""Records what happened when: swarm and faults write here, and the timeline of a violation is told from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Chronicle", "Event"]


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened.

    Attributes:
        at: monotonic seconds.
        number: the order it happened to; None if it may concern all orders.
        what: in words.
    """

    at: float
    number: int | None
    what: str


@dataclass(kw_only=True)
class Chronicle:
    """Collects events. All processes of this machine share the `monotonic` clock."""

    monotonic: Callable[[], float] = time.monotonic
    events: list[Event] = field(default_factory=list)

    def note(self, what: str, *, number: int | None = None) -> None:
        """Note that something happens now."""
        self.events.append(Event(at=self.monotonic(), number=number, what=what))
