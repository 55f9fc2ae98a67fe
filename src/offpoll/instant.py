"""Reads and writes instants: RFC 3339 in UTC with milliseconds and `Z`, and the dates of HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial

__all__ = ["EPOCH", "from_http_date", "from_wire", "later", "retry_after", "to_milliseconds", "to_wire", "utc_now"]

#: The wall clock's time, aware UTC: the default of every `clock` argument. (Not a `def`: a link would cost 4 % more.)
utc_now: Callable[[], datetime] = partial(datetime.now, UTC)

#: Stores and streams count from this instant.
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: Most digits of a Retry-After that we believe: about 30 years in seconds.
MAX_DIGITS = 9

#: How the texts of instants end. An accepted request writes eight of them, and formatting was half of that.
_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def to_milliseconds(instant: datetime) -> datetime:
    """Cut an instant to the precision of the wire, so that it survives a round trip unchanged."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def later(instant: datetime, seconds: float) -> datetime:
    """Return the instant `seconds` after one that has the wire's precision, cut to that precision too."""
    return instant + timedelta(milliseconds=int(seconds * 1000))


def to_wire(instant: datetime) -> str:
    """Write an aware UTC instant as `2026-11-23T18:00:00.000Z`."""
    since = instant - EPOCH
    return _second(since.days, since.seconds) + _MILLISECONDS[since.microseconds // 1000]


@lru_cache(maxsize=1024)  # most instants of a process fall into a few seconds: now, and when today's operations should end
def _second(days: int, seconds: int) -> str:
    return (EPOCH + timedelta(days=days, seconds=seconds)).isoformat()[:19]


def from_wire(text: str) -> datetime:
    """Read an RFC 3339 instant.

    Raises:
        ValueError: the text is no instant, or has no offset.
    """
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is UTC:  # our own instants end with Z
        return instant
    if instant.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC")
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text!r} is not in the years 1 to 9999 in UTC") from error


def from_http_date(text: str | None) -> datetime | None:
    """Read an HTTP date in the one form that servers may send (RFC 9110, 5.6.7: `Mon, 23 Nov 2026 18:00:00 GMT`), else return None.

    The standard library's parser knows more forms, but importing it costs every client 15 ms.
    """
    try:
        _, day, month, year, clock, zone = (text or "").split(" ")
        hour, minute, second = clock.split(":")
        if zone != "GMT":
            return None
        return datetime(int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC)
    except ValueError:
        return None


def retry_after(text: str | None, *, date: datetime | None) -> int | None:
    """Read a `Retry-After` as whole seconds, None if there is none. A date (RFC 9110, 10.2.3) counts from `date`, the answer's `Date`."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS:
        return int(text)
    until = from_http_date(text)
    return None if until is None or date is None else max(0, int((until - date).total_seconds()))
