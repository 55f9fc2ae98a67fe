"""Whether an argument is of the type that a public call takes, and how an error shows what it got. Types are only hints in Python: callers
without a type checker learn here what was wrong.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

from offpoll.errors import ConfigurationError

__all__ = ["is_number", "need", "shown"]

#: Most characters of a value that an error repeats.
MAX_SHOWN = 60


def is_number(value: Any, *, least: float, infinite: bool = False) -> bool:
    """Tell whether a value is a number of at least `least`; infinity counts only if `infinite`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return float(value) >= least and (infinite or isfinite(value))
    except OverflowError:
        return False


def need(value: Any, *types: type, what: str) -> None:
    """Refuse a value that has none of these types.

    Raises:
        ConfigurationError: the message begins with `what`, which says what the argument takes.
    """
    if not isinstance(value, types):
        raise ConfigurationError(f"{what}, not {shown(value)}")


def shown(value: Any) -> str:
    """Describe a value for people: itself if it is short and plain, else its type."""
    try:
        text = repr(value) if value is None or isinstance(value, str | int | float) else ""
    except ValueError:  # a number of more digits than Python writes
        text = ""
    return text if 0 < len(text) <= MAX_SHOWN else f"a {type(value).__name__}"
