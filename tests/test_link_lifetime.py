"""How long status links work: the formula alone, and in a whole system."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.support.lab import lab, settings, single

from offpoll.document import Estimate
from offpoll.link import LinkLifetime
from offpoll.testing import START, system

LIFETIME = LinkLifetime(floor=600.0, cap=21_600.0)


def ends(*, mean: float | None = None, latest: float | None = None) -> Estimate:
    mean_at, latest_at = (None if each is None else START + timedelta(seconds=each) for each in (mean, latest))
    return Estimate(mean=mean_at, latest=latest_at)


@pytest.mark.parametrize(
    ("estimate", "seconds"),
    [
        (ends(mean=5, latest=11.5), 600),  # the floor covers it
        (ends(mean=500, latest=1000), 3000),
        (ends(mean=500, latest=1000.5), 3060),  # whole minutes, so that most links signed in one second share lifetime and signature
        (ends(mean=1000), 6960),  # three times the 2303 s of an exponential distribution
        (ends(mean=90_000, latest=200_000), 21_600),  # the cap
        (ends(mean=-50, latest=-10), 600),  # overrun
        (ends(), 600),
        (None, 600),  # done
    ],
)
def test_it_covers_the_latest_end(estimate: Estimate | None, seconds: float) -> None:
    """A link lasts three times the time left until the latest end, in whole minutes, between floor and cap."""
    assert LIFETIME.covering(estimate, now=START) == seconds


def test_a_ticket_and_a_fresh_link_cover_the_estimate() -> None:
    """The link of a 202 follows the ticket's estimate; a fresh link follows what is left when a client asks for it."""

    async def handle(number: int) -> int:
        await asyncio.sleep(2000)
        return number

    with lab(single(handle, timeout=3000.0), expected_service_time=1000.0) as one:
        service = one.system.service
        ticket = one.system.run(service.submit("order", b"1"))
        lived = (ticket.link.expires_at - one.system.loop.now()).total_seconds()
        assert lived == pytest.approx(3 * 2303, rel=0.02)
        one.system.advance(100)
        fresh = one.system.run(service.status_link("order", ticket.operation_id))
        assert 600 < (fresh.expires_at - one.system.loop.now()).total_seconds() < lived
        one.until_done(ticket.operation_id)
        over = one.system.run(service.status_link("order", ticket.operation_id))
        assert (over.expires_at - one.system.loop.now()).total_seconds() == pytest.approx(600, abs=1)


def test_an_operation_that_outlives_its_link_is_followed() -> None:
    """The client silently asks the API for a fresh link and keeps waiting."""

    async def handle(number: int) -> int:
        await asyncio.sleep(500)
        return number

    with system(single(handle), settings=settings(link_lifetime_floor=60.0, link_lifetime_cap=120.0)) as made:
        seen: list[str] = []
        assert made.client.wait(made.client.submit("order", 7), timeout=3600, on_update=lambda update: seen.append(update.status)) == 7
        renewals = [url for method, url, status in made.requests if method == "POST" and url.endswith("/status-link") and status == 200]
        assert 1 <= len(renewals) <= 9
        assert set(seen) <= {"queued", "running", "succeeded"}
