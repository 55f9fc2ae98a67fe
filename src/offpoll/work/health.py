"""What a worker reports about itself, so that a supervisor can tell a dead one from one that waits.

    starting ──► working ◄──► failing (a dependency does not answer: it is alive, retries, and takes nothing new)
                    └──────────► draining
    stuck: a receive is long overdue. Only this counts as dead: a new process may help

Every state is judged on the worker's event loop, so an answer shows that the loop runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Health", "State"]


class State(StrEnum):
    """What a worker does."""

    STARTING = "starting"
    WORKING = "working"
    FAILING = "failing"
    DRAINING = "draining"
    STUCK = "stuck"


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """A worker's health.

    Attributes:
        held: how many operations it holds.
    """

    state: State
    held: int = 0

    @property
    def alive(self) -> bool:
        """Whether the process should be left alone: restarting it does not help when a dependency is down."""
        return self.state is not State.STUCK

    @property
    def ready(self) -> bool:
        """Whether it takes operations."""
        return self.state is State.WORKING
