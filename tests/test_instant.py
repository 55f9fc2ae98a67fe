"""Instants on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.instant import from_http_date, from_wire, to_milliseconds, to_wire


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_round_trip(instant: datetime) -> None:
    """What is cut to milliseconds survives the wire unchanged."""
    assert from_wire(to_wire(instant)) == to_milliseconds(instant)


def test_wire_form() -> None:
    """An instant ends in Z and has milliseconds."""
    assert to_wire(datetime(2026, 11, 23, 18, tzinfo=UTC)) == "2026-11-23T18:00:00.000Z"


def test_other_offsets_become_utc() -> None:
    """An offset is read, and the instant is in UTC."""
    assert from_wire("2030-01-01T02:00:00+02:00") == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2030-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_what_is_no_instant(text: str) -> None:
    """A text without an offset, or outside of the calendar, is refused as a wrong value."""
    with pytest.raises(ValueError, match=r"offset|isoformat|years"):
        from_wire(text)


@pytest.mark.parametrize("text", [None, "", "soon", "Thu, 32 Jan 2030 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"])
def test_a_date_that_is_none(text: str | None) -> None:
    """A `Date` that cannot be read is as good as none."""
    assert from_http_date(text) is None


@given(st.text(max_size=40))
def test_a_date_never_raises(text: str) -> None:
    """Whatever a server says for a `Date`, reading it does not fail."""
    from_http_date(text)


def test_http_dates() -> None:
    """The one form that servers may send is read; a leap second is the second before."""
    assert from_http_date("Tue, 01 Jan 2030 10:00:00 GMT") == datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert from_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert from_http_date("Tue, 01 Jan 2030 12:00:00 +0200") is None
