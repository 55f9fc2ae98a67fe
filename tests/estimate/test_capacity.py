"""How many operations are worked on at once, derived from readings of the queue."""

from __future__ import annotations

from offpoll.estimate.capacity import Capacity


def test_configured_or_more() -> None:
    """The slots are those configured, or the most in flight in the last ten minutes, which shows more workers."""
    capacity = Capacity(configured=4)
    assert capacity.slots == 4
    for at, in_flight in ((0, 11), (5, 3), (599, 2)):
        capacity.see(waiting=0, in_flight=in_flight, now=at)
        assert capacity.slots == 11
    capacity.see(waiting=0, in_flight=2, now=601)
    assert capacity.slots == 4


def test_a_long_backlog_shows_what_there_is() -> None:
    """If work waits for half a minute, the messages in flight are all the slots, even if fewer than configured."""
    capacity = Capacity(configured=8)
    for at in (0, 10, 20):
        capacity.see(waiting=5, in_flight=3, now=at)
        assert capacity.slots == 8
    capacity.see(waiting=5, in_flight=2, now=30)
    assert capacity.slots == 3


def test_nothing_in_flight_is_one_slot() -> None:
    """If every worker is gone, the estimate still has a number."""
    capacity = Capacity(configured=8)
    for at in range(0, 100, 10):
        capacity.see(waiting=5, in_flight=0, now=at)
    assert capacity.slots == 1


def test_a_backlog_ends() -> None:
    """A reading without waiting work ends a backlog, and so does a minute without a reading."""
    capacity = Capacity(configured=1)
    for at, waiting, backlog in ((0, 1, 0), (30, 1, 30), (40, 0, 0), (50, 1, 0), (100, 1, 50), (200, 1, 0), (210, 1, 10)):
        capacity.see(waiting=waiting, in_flight=1, now=at)
        assert capacity.backlog == backlog
