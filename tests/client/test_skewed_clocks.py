"""Clocks that are wrong: a client learns of the end soon all the same, whoever wrote the hints that it follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from offpoll.app import Offpoll
from offpoll.client import AsyncClient
from offpoll.exchange import Fetch, NoAnswer, Response
from offpoll.http.endpoint import Endpoint
from offpoll.service import AsyncService
from offpoll.testing.system import API, MemoryTransport, System, system, virtual_worker
from offpoll.work.job import Ambient

Clock = Callable[[], datetime]

#: Seconds by which a clock is ahead: what NTP leaves, a machine without NTP, a time zone taken for UTC.
SKEWS = (-7200, -600, -30, -3, 3, 30, 600, 7200)


def app() -> Offpoll:
    made = Offpoll()

    @made.operation("order", timeout=7200)
    async def order(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    return made


class Dated:
    """Carries requests, and dates the API's answers by its clock, or by that of a proxy in front of it."""

    def __init__(self, inner: MemoryTransport, clock: Clock) -> None:
        self._inner, self._clock = inner, clock

    async def send(self, fetch: Fetch) -> Response | NoAnswer:
        reply = await self._inner.send(fetch)
        if fetch.to == "store" or isinstance(reply, NoAnswer):
            return reply
        return replace(reply, headers={**reply.headers, "date": f"{self._clock():%a, %d %b %Y %H:%M:%S GMT}"})

    async def close(self) -> None:
        """Close nothing."""


def skewed(service: AsyncService, clock: Clock) -> AsyncService:
    """Return the service of a process whose clock is wrong."""
    board = replace(service.dependencies.board, clock=clock)
    dependencies = replace(service.dependencies, board=board)
    return AsyncService(service.app, settings=service.settings, dependencies=dependencies, clock=clock)


@contextmanager
def world(*, api: float = 0, worker: float = 0, proxy: float | None = None) -> Iterator[tuple[System, AsyncClient]]:
    """Run a system whose API, worker and proxy have clocks that are ahead by so much. The store's is right."""
    with system(app(), workers=0) as made:
        at = lambda ahead: lambda: made.loop.now() + timedelta(seconds=ahead)  # noqa: E731
        service = skewed(made.service, at(api))
        inner = MemoryTransport(Endpoint(service), made.store, log=made.requests)
        client = AsyncClient(API, transport=Dated(inner, at(api if proxy is None else proxy)), random=lambda: 0.5)
        ambient = Ambient(clock=at(worker), monotonic=made.loop.time, random=lambda: 0.5)
        one = virtual_worker(skewed(made.service, at(worker)), settings=made.service.settings, ambient=ambient)
        made._workers.append((one, made.loop.create_task(one.run())))
        yield made, client


def learn(made: System, client: AsyncClient, seconds: float, *, after: float = 0.0) -> tuple[float, int]:
    """Submit an operation and wait for it from `after` seconds on. Return how late its end is learnt, and after how many polls."""

    async def submit() -> Any:
        return await client.submit("order", seconds)

    ticket = made.run(submit())
    made.advance(after)
    before = len(made.requests)
    made.run(client.wait(ticket, timeout=None))
    record = made.records._records[ticket.operation_id]
    assert record.finished_at is not None
    return (made.loop.now() - record.finished_at).total_seconds(), len(made.requests) - before


#: Seconds that an operation takes.
SECONDS = (0.5, 2, 8, 60, 600)

#: Whose clock is wrong, and by how much.
WRONG: list[dict[str, float]] = [
    *({whose: ahead} for whose in ("api", "worker", "proxy") for ahead in SKEWS),
    {"api": 600, "worker": -600},
    {"api": -600, "worker": 600},
    {"api": 7200, "worker": 7200},
    {"api": -7200, "worker": -7200},
    {"api": 7200, "proxy": 0},
    {"api": -7200, "proxy": 0},
]


@pytest.mark.parametrize("seconds", SECONDS)
def test_the_end_is_learnt_soon(seconds: float) -> None:
    """However wrong a clock is, a client learns of the end within a tenth of the duration or 3 s, and polls little more often."""
    with world() as (made, client):
        _, polls = learn(made, client, seconds)
    for clocks in WRONG:
        with world(**clocks) as (made, client):
            late, asked = learn(made, client, seconds)
        assert late <= max(3.0, seconds / 10), clocks
        assert asked <= 1.2 * polls + 1, clocks


@pytest.mark.parametrize("api", SKEWS)
def test_progress_is_shown_in_time(api: float) -> None:
    """However wrong the API's clock is, readers see that the operation runs long before it ends."""
    with world(api=api) as (made, client):

        async def order() -> list[tuple[str, float]]:
            polls = client.poll(await client.submit("order", 60), timeout=None)
            return [(document.status, made.loop.time()) async for document in polls]

        seen = made.run(order())
    assert [status for status, _ in seen] == ["running"] * (len(seen) - 1) + ["succeeded"]
    assert seen[0][1] < 5


@pytest.mark.parametrize("api", SKEWS)
def test_a_ticket_of_long_ago(api: float) -> None:
    """A wait that begins later, in the middle of the operation, is not misled either."""
    with world(api=api) as (made, client):
        late, _ = learn(made, client, 60, after=30)
    assert late <= 6
