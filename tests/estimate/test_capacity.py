"""What looks at the queue tell about how much is worked on at once."""

from __future__ import annotations

from offpoll.estimate.capacity import Capacity


def test_configured_or_more() -> None:
    """It is what is configured, or the most that was in flight in the last ten minutes: then there are more workers."""
    capacity = Capacity(configured=4)
    assert capacity.slots == 4
    for at, in_flight in ((0, 11), (5, 3), (599, 2)):
        capacity.see(waiting=0, in_flight=in_flight, now=at)
        assert capacity.slots == 11
    capacity.see(waiting=0, in_flight=2, now=601)
    assert capacity.slots == 4


def test_a_long_backlog_shows_what_there_is() -> None:
    """Where work waits for half a minute, what is in flight is all there is, even if it is less than configured."""
    capacity = Capacity(configured=8)
    for at in (0, 10, 20):
        capacity.see(waiting=5, in_flight=3, now=at)
        assert capacity.slots == 8
    capacity.see(waiting=5, in_flight=2, now=30)
    assert capacity.slots == 3


def test_nothing_in_flight_is_one_slot() -> None:
    """Where every worker is gone, the estimate has a number still."""
    capacity = Capacity(configured=8)
    for at in range(0, 100, 10):
        capacity.see(waiting=5, in_flight=0, now=at)
    assert capacity.slots == 1


def test_a_backlog_ends() -> None:
    """A look at which nothing waits ends it, and so does a minute without a look."""
    capacity = Capacity(configured=1)
    for at, waiting, backlog in ((0, 1, 0), (30, 1, 30), (40, 0, 0), (50, 1, 0), (100, 1, 50), (200, 1, 0), (210, 1, 10)):
        capacity.see(waiting=waiting, in_flight=1, now=at)
        assert capacity.backlog == backlog
