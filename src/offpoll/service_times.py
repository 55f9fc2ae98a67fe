"""How long the operations of a kind take, as workers measured it. Decides what is kept; must not know what is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["MemoryServiceTimes", "ServiceTimes"]


class ServiceTimes(Protocol):
    """Every verb raises DependencyUnavailable or DependencyRefused."""

    async def add(self, kind: str, *, completions: int, seconds: float) -> None:
        """Add completions of a kind that took `seconds` in all, from claim to decision."""

    async def mean(self, kind: str) -> float | None:
        """Return the recent mean in seconds, None where nothing has been measured."""


@dataclass
class MemoryServiceTimes:
    """The in-memory twin. It forgets nothing."""

    _sums: dict[str, tuple[int, float]] = field(default_factory=dict)

    async def add(self, kind: str, *, completions: int, seconds: float) -> None:
        count, total = self._sums.get(kind, (0, 0.0))
        self._sums[kind] = (count + completions, total + seconds)

    async def mean(self, kind: str) -> float | None:
        count, total = self._sums.get(kind, (0, 0.0))
        return total / count if count else None
