"""What it is worth to learn early that an operation is done: so many polls a second, or so many for its whole expected duration.

Decides how people write that, and its limits. Pure; knows neither plans nor settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["DEFAULT_WEIGHT", "MAX_WEIGHT", "MIN_WEIGHT", "PerDuration", "Weight", "per_second", "read_weight"]

#: What a relative weight ends with.
UNIT = "/duration"

#: A client learns of the end about 8 % of the duration late, with three to four polls, whether that is a second or five minutes
#: (docs/decisions/0011-relative-lateness.md).
DEFAULT_WEIGHT = "20/duration"

#: Outside of these the interval is what its own limits say, whatever the weight.
MIN_WEIGHT, MAX_WEIGHT = 1e-6, 1e6


@dataclass(frozen=True, kw_only=True, slots=True)
class PerDuration:
    """A relative weight: how many polls it is worth to learn one whole expected duration earlier (μ; λ = μ / E)."""

    polls: float


#: λ in polls per second, or relative.
Weight: TypeAlias = float | PerDuration


def read_weight(said: float | str) -> Weight:
    """Read a weight as people write it: `4`, polls per second, or `"20/duration"`.

    Raises:
        ValueError: it is neither, or out of range; the text says what is needed.
    """
    number, unit, rest = said.replace(" ", "").partition(UNIT) if isinstance(said, str) else (said, "", "")
    try:
        polls = float(number)
    except (TypeError, ValueError):
        polls = 0.0
    if isinstance(said, bool) or rest or not MIN_WEIGHT <= polls <= MAX_WEIGHT:
        raise ValueError(f"a number of polls per second such as 4, or for each expected duration such as 20{UNIT}, "
                         f"{MIN_WEIGHT:g} to {MAX_WEIGHT:g}")  # fmt: skip
    return PerDuration(polls=polls) if unit else polls


def per_second(weight: Weight, *, expected: float) -> float:
    """Return λ, polls per second, for an operation that is expected to take so many seconds from submit to end; more than 0."""
    return weight.polls / expected if isinstance(weight, PerDuration) else weight
