"""The schedule of many waits: whose turn it is."""

from __future__ import annotations

import json
from typing import Any

from offpoll.client import Ticket
from offpoll.client.schedule import AT_A_TIME, WaitSchedule
from offpoll.exchange import Wait


def test_waits_begin_in_slices(store):
    """Thousands of waits begin in slices, so that their driver can do other work in between."""
    begun: list[Ticket] = []

    def begin(ticket: Ticket) -> Any:
        begun.append(ticket)
        yield Wait(seconds=5.0)
        return b"1"

    schedule = WaitSchedule([store.ticket(1)] * (2 * AT_A_TIME + 1), begin=begin, read=json.loads, monotonic=lambda: 0.0)
    counts = []
    while schedule.pause() == 0.0:
        assert list(schedule.turns()) == []
        counts.append(len(begun))
    assert counts == [AT_A_TIME, 2 * AT_A_TIME, 2 * AT_A_TIME + 1]
    assert (schedule.pause(), schedule.left) == (5.0, 2 * AT_A_TIME + 1)
