"""What it is worth to learn early that an operation is done: a number of polls per second, or per expected duration.

Decides how people write that number, and its limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["DEFAULT_WEIGHT", "MAX_WEIGHT", "MIN_WEIGHT", "PerDuration", "Weight", "per_second", "read_weight"]

#: With it a client learns of the end about a tenth of the duration late, after three to four polls, whether the duration is seconds or
#: minutes (docs/decisions/0012-relative-lateness.md).
DEFAULT_WEIGHT = "30/duration"

#: Every operation counts as at least this long, seconds: a poll takes longer.
SHORTEST = 0.001

#: Outside of these the interval's own limits decide, whatever the weight.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6

_WEIGHT = re.compile(r"([0-9]+\.?[0-9]*(?:e[-+]?[0-9]+)?)( */ *duration)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class PerDuration:
    """A relative weight: how many polls it is worth to learn of the end one whole expected duration earlier (μ; λ = μ / E)."""

    polls: float


#: λ in polls per second, or relative.
Weight: TypeAlias = float | PerDuration


def read_weight(weight: float | str) -> Weight:
    """Read a weight as people write it: `4`, polls per second, or `"30/duration"`.

    Raises:
        ValueError: it is neither, or out of range; the text says what is needed.
    """
    found = None if isinstance(weight, bool) else _WEIGHT.fullmatch(str(weight).strip())
    polls = float(found[1]) if found else 0.0
    if found is None or not MIN_WEIGHT <= polls <= MAX_WEIGHT:
        limits = f"{MIN_WEIGHT:g} to {MAX_WEIGHT:g}"
        raise ValueError(f"polls for a second, such as 4, or for the expected duration, such as 30/duration: {limits}")
    return PerDuration(polls=polls) if found[2] else polls


def per_second(weight: Weight, *, expected: float) -> float:
    """Return λ, polls per second, for an operation that is expected to take `expected` seconds from submit to end."""
    return weight.polls / max(SHORTEST, expected) if isinstance(weight, PerDuration) else weight
