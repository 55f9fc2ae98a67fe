"""How long the operations of a kind take, as workers measured it. Decides what is kept; must not know what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from offpoll.estimate.history import Span, extended

__all__ = ["REPORT_INTERVAL", "MemoryServiceTimes", "ServiceTimes"]

#: Seconds between two reports of one process, one small update for each kind: what is younger is not complete.
REPORT_INTERVAL = 10.0


class ServiceTimes(Protocol):
    """Every verb raises DependencyUnavailable or DependencyRefused."""

    async def add(self, kind: str, span: Span) -> None:
        """Add what a process measured of a kind since it last did so, from claim to decision."""

    async def spans(self, kind: str) -> Sequence[Span]:
        """Return what was measured of a kind lately, by all processes, in no order; empty where nothing was."""


@dataclass
class MemoryServiceTimes:
    """The in-memory twin."""

    _spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)

    async def add(self, kind: str, span: Span) -> None:
        self._spans[kind] = extended(self._spans.get(kind, ()), span)

    async def spans(self, kind: str) -> Sequence[Span]:
        return self._spans.get(kind, ())
