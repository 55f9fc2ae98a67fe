"""Crowds: what a restarted fleet of clients does to the store, and what an API's refusal does to the API."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from tests.support.client_world import BROKEN, ID, NOW, ORDER, SELF, STORE, unavailable

from offpoll.client.flows import Flows
from offpoll.document import PollHint
from offpoll.exchange import Wait
from offpoll.ticket import Ticket

#: A second's share of the requests of a crowd that is spread over `interval` seconds, times this, is the most in any second.
UNEVENNESS = 1.3


def first_waits(ticket: Ticket, *, clients: int) -> list[float]:
    """Return the seconds until the first poll of so many clients with such a ticket."""
    draw = random.Random(1)
    found = []
    for _ in range(clients):
        flow = Flows(base_url="https://api.test", retry_timeout=60.0, random=draw.random, monotonic=lambda: 0.0).poll(ticket, timeout=None)
        event = next(flow)
        assert isinstance(event, Wait)
        found.append(event.seconds)
    return found


@pytest.mark.parametrize("interval", [0.5, 2.0, 20.0, 60.0])
@pytest.mark.parametrize("late", [-3600, 0, 60])
def test_resumed(world: Any, interval: float, late: int) -> None:
    """First polls with saved tickets are spread evenly over the plan's interval, whenever the plan wanted them: their age is unknown."""
    hint = PollHint(not_before=NOW + timedelta(seconds=late), interval=interval)
    saved = Ticket.from_json(world.ticket(document=world.document(poll=hint)).to_json())
    waits = first_waits(saved, clients=10_000)
    assert min(waits) >= 0
    assert max(waits) <= interval
    busiest = max(Counter(int(each * 20 / interval) for each in waits).values())
    assert busiest <= 10_000 / 20 * UNEVENNESS


def test_a_wait_that_ran_out(make: Any, world: Any) -> None:
    """The ticket of a `WaitTimeout` counts as a saved one: those whose waits ran out together do not come back together."""
    from offpoll.errors import WaitTimeout

    world.on(STORE, world.shows(world.document("running")))
    with pytest.raises(WaitTimeout) as caught:
        make().wait(world.ticket(), timeout=0.0)
    waits = first_waits(caught.value.ticket, clients=1000)
    assert max(waits) - min(waits) > 0.9 * 2.0


def test_a_fresh_ticket_is_not_late(world: Any) -> None:
    """A ticket that has just come keeps the plan's time: 10 s, and at most a tenth of an interval more."""
    waits = first_waits(world.ticket(), clients=1000)
    assert 10.0 <= min(waits) <= max(waits) <= 10.2


@pytest.mark.parametrize("trouble", [BROKEN, unavailable(), unavailable(429), unavailable(**{"retry-after": "5"})])
def test_retries_have_a_floor(make: Any, world: Any, trouble: Any) -> None:
    """However the dice fall, a retry comes no sooner than half its limit, so a crowd's retries never meet the API at once."""
    for drawn in (0.0, 1.0):
        world.now, times = 0.0, []
        world.on(SELF, *[trouble] * 4, world.json(ORDER))
        make(random=lambda drawn=drawn: drawn, on_wait=times.append).result(world.ticket())
        told = 0.0 if trouble is BROKEN or not trouble.retry_after else 5.0 * (1 + drawn / 4)
        assert times == pytest.approx([told + (0.5 + drawn / 2) * limit for limit in (0.4, 0.8, 1.6, 3.2)])
    assert world.seen[0].url.endswith(ID)
