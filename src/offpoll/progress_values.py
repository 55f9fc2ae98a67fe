"""Reads what a handler reports as progress. Reporting never fails the work, so a value that cannot be shown is left out, with a reason."""

from __future__ import annotations

import math
from typing import Any

from offpoll.limits import MAX_MESSAGE

__all__ = ["read_fraction", "read_message"]

#: How far outside 0 to 1 a fraction may be and still count as the nearer end: sums of floats, and counters that exceed the total by one.
ROUNDING = 0.01

#: Up to this number, a value is more likely a percentage than a mistake.
PERCENT = 100.0


def read_fraction(value: Any) -> tuple[float | None, str]:
    """Return a fraction from 0 to 1, or None and what is wrong with the value."""
    if isinstance(value, bool | str | bytes):
        return None, f"its fraction is a {type(value).__name__}, not a number from 0 to 1"
    try:
        fraction = float(value)
    except Exception as error:  # any object may come, and its __float__ may raise anything
        return None, f"its fraction is a {type(value).__name__} that is no number ({type(error).__name__})"
    if -ROUNDING <= fraction <= 1 + ROUNDING:
        return min(1.0, max(0.0, fraction)), ""
    if 1 < fraction <= PERCENT:
        return None, f"its fraction is {fraction:g}, but 1 is the whole: for {fraction:g} per cent, report {fraction / 100:g}"
    return None, "its fraction is not a number (NaN)" if math.isnan(fraction) else f"its fraction is {fraction:g}, not from 0 to 1"


def read_message(value: Any) -> tuple[str | None, str]:
    """Return a message as text, not much longer than what a document shows; or None and what is wrong with the value."""
    try:
        text = str(value)
    except Exception as error:  # the same
        return None, f"its message is a {type(value).__name__} that cannot be written as text ({type(error).__name__})"
    return text[: MAX_MESSAGE + 1], ""
