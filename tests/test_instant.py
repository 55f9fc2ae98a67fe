"""Instants on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.instant import from_http_date, from_wire, to_milliseconds, to_wire


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_round_trip(instant: datetime) -> None:
    """An instant survives the wire, cut to milliseconds."""
    assert from_wire(to_wire(instant)) == to_milliseconds(instant)


def test_wire_form() -> None:
    """An instant ends in Z and has milliseconds."""
    assert to_wire(datetime(2026, 11, 23, 18, tzinfo=UTC)) == "2026-11-23T18:00:00.000Z"


def test_other_offsets_become_utc() -> None:
    """An instant with another offset is converted to UTC."""
    assert from_wire("2030-01-01T02:00:00+02:00") == datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2030-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_texts_that_are_no_instant(text: str) -> None:
    """Text without an offset, or outside the calendar, raises ValueError."""
    with pytest.raises(ValueError, match=r"offset|isoformat|years"):
        from_wire(text)


@pytest.mark.parametrize("text", [None, "", "soon", "Thu, 32 Jan 2030 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359"])
def test_an_unreadable_date(text: str | None) -> None:
    """A `Date` header that cannot be read counts as missing."""
    assert from_http_date(text) is None


@given(st.text(max_size=40))
def test_a_date_never_raises(text: str) -> None:
    """Reading a `Date` header never fails, whatever a server sends."""
    from_http_date(text)


def test_http_dates() -> None:
    """Only the form that HTTP requires of servers is read. A leap second becomes the second before it."""
    assert from_http_date("Tue, 01 Jan 2030 10:00:00 GMT") == datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert from_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert from_http_date("Tue, 01 Jan 2030 12:00:00 +0200") is None
