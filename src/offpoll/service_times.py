"""How long the operations of a kind take, as workers measured it: the protocol and its in-memory twin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from offpoll.estimate.history import Span, extended

__all__ = ["REPORT_INTERVAL", "MemoryServiceTimes", "ServiceTimes"]

#: Seconds between two reports of one process, one small update for each kind. Newer measurements are incomplete.
REPORT_INTERVAL = 10.0


class ServiceTimes(Protocol):
    """A store of measured service times. Every method raises DependencyUnavailable or DependencyRefused."""

    async def add(self, kind: str, span: Span) -> None:
        """Add what a process measured for a kind since its last report, from claim to decision."""

    async def spans(self, kind: str) -> Sequence[Span]:
        """Return what all processes measured for a kind lately, in no order; empty if there is nothing."""


@dataclass
class MemoryServiceTimes:
    """The in-memory twin."""

    _spans: dict[str, tuple[Span, ...]] = field(default_factory=dict)

    async def add(self, kind: str, span: Span) -> None:
        self._spans[kind] = extended(self._spans.get(kind, ()), span)

    async def spans(self, kind: str) -> Sequence[Span]:
        return self._spans.get(kind, ())
