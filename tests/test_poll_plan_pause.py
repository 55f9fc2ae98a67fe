"""How long a client waits before a poll."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offpoll.document import PollHint
from offpoll.poll_plan import MAX_PAUSE, MIN_INTERVAL, pause

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class TestPause:
    @given(st.floats(0, 1), st.floats(0.3, 1000))
    def test_intervals_are_spread_by_a_tenth(self, random, interval):
        """After `not_before`, the pause is one interval ± 10 %."""
        hint = PollHint(not_before=NOW, interval=interval)
        waited = pause(hint, date=NOW, updated_at=NOW, random=lambda: random)
        assert 0.9 * interval - 1e-9 <= waited <= 1.1 * interval + 1e-9

    @given(st.floats(0, 1), st.floats(1, 3000))
    def test_never_before_not_before(self, random, due):
        """Before `not_before`, the pause lasts until then or up to a tenth longer, never shorter: the worker writes just before it."""
        hint = PollHint(not_before=NOW + timedelta(seconds=due), interval=60.0)
        waited = pause(hint, date=NOW, updated_at=NOW, random=lambda: random)
        assert due - 1e-6 <= waited <= min(1.1 * due, due + 6.0) + 1e-6

    @given(st.floats(0, 1), st.floats(), st.datetimes(timezones=st.just(UTC)) | st.none())
    def test_always_between_floor_and_cap(self, random, interval, not_before):
        """Whatever a server says (0, 1e9, NaN, infinity, the year 9999), a pause stays between the floor and the cap."""
        hint = PollHint(not_before=not_before or NOW, interval=interval)
        assert MIN_INTERVAL <= pause(hint, date=NOW, updated_at=NOW, random=lambda: random) <= MAX_PAUSE

    def test_a_document_of_the_same_second_is_more_exact(self):
        """`Date` has whole seconds; a document written within that second shows how much of it had passed."""
        hint = PollHint(not_before=NOW + timedelta(seconds=2), interval=0.5)
        assert pause(hint, date=NOW, updated_at=NOW + timedelta(seconds=0.9), random=lambda: 0.0) == pytest.approx(1.1)
        assert pause(hint, date=NOW, updated_at=NOW + timedelta(seconds=1.2), random=lambda: 0.0) == pytest.approx(2.0)

    @given(st.floats(2, 1e5), st.integers(0, 3000), st.integers(0, 600))
    def test_a_writer_whose_clock_is_ahead(self, ahead, age, left):
        """The store's date of writing shows how far the writer's clock is ahead, and the pause lasts as long as the writer meant."""
        written_at = NOW - timedelta(seconds=age)
        updated_at = written_at + timedelta(seconds=ahead)
        hint = PollHint(not_before=updated_at + timedelta(seconds=age + left), interval=5.0)
        waited = pause(hint, date=NOW, updated_at=updated_at, written_at=written_at, random=lambda: 0.0)
        assert waited == pytest.approx(left if left >= 1 else 4.5, abs=1e-3)

    @given(st.floats(2, 1e5), st.floats(1, 600))
    def test_without_a_date_of_writing(self, ahead, first):
        """A document that is newer than the answer counts as just written: the pause is never longer than the writer meant."""
        updated_at = NOW + timedelta(seconds=ahead)
        hint = PollHint(not_before=updated_at + timedelta(seconds=first), interval=5.0)
        assert pause(hint, date=NOW, updated_at=updated_at, random=lambda: 0.0) == pytest.approx(first, abs=1e-3)
