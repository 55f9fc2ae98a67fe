"""What happened when: the one list that swarm and faults write to, and that a violation's story is told from."""

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
        number: the order it happened to, None where it may concern all.
        what: in words.
    """

    at: float
    number: int | None
    what: str


@dataclass(kw_only=True)
class Chronicle:
    """Collects events. `monotonic` is the clock of all processes of this machine."""

    monotonic: Callable[[], float] = time.monotonic
    events: list[Event] = field(default_factory=list)

    def note(self, what: str, *, number: int | None = None) -> None:
        """Note that something happens now."""
        self.events.append(Event(at=self.monotonic(), number=number, what=what))
