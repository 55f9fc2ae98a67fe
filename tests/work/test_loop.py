"""The loop that receives from one queue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.support.faults import Faults

from offpoll.queue import Delivery, Envelope, MemoryQueue
from offpoll.testing import run_virtual
from offpoll.work.loop import Loop
from offpoll.work.outage import Outage


class Looping:
    """A loop whose work takes a second, and faults on its queue."""

    def __init__(self, *, slots: int = 2) -> None:
        self.queue = MemoryQueue(visibility=30)
        self.faults = Faults(self.queue)
        self.outage = Outage(random=lambda: 1.0)
        self.worked: list[str] = []
        self.seconds = 1.0
        self.loop = Loop(name="test", queue=self.queue, work=self.work, slots=slots, outage=self.outage)

    async def work(self, delivery: Delivery) -> None:
        self.worked.append(delivery.envelope.body)
        await asyncio.sleep(self.seconds)
        if delivery.envelope.body == "bug":
            raise ZeroDivisionError
        await self.queue.delete(delivery)

    async def send(self, *bodies: str) -> None:
        for body in bodies:
            await self.queue.send(Envelope(body=body, attributes={}))


def looping(test: Callable[[Looping], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        async def main() -> None:
            await test(Looping())

        run_virtual(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


def now() -> float:
    return asyncio.get_running_loop().time()


@looping
async def test_slots(at: Looping) -> None:
    """The loop processes as many deliveries at once as it has slots, and the next as soon as a slot is free."""
    await at.send("a", "b", "c")
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(0.5)
    assert at.worked == ["a", "b"]
    await asyncio.sleep(1)
    assert at.worked == ["a", "b", "c"]
    at.loop.drain()
    await running
    assert now() == pytest.approx(2)


@looping
async def test_a_delivery_at_the_moment_of_the_drain(at: Looping) -> None:
    """A delivery that arrives while the loop drains is given back at once, for another worker."""
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(1)
    await at.send("a")
    at.loop.drain()
    await running
    assert at.worked == []
    assert (await at.queue.depth()).visible == 1


@looping
async def test_receiving_fails(at: Looping) -> None:
    """The loop waits out an outage of its queue, longer after each failure."""
    at.faults.down()
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(120)
    assert at.faults.count("receive") <= 10
    at.faults.up()
    await at.send("a")
    await asyncio.sleep(40)
    assert at.worked == ["a"]
    at.loop.drain()
    await running


@looping
async def test_an_outage_elsewhere(at: Looping) -> None:
    """While a step waits for a dependency, the loop receives nothing; afterwards it goes on."""
    blocked = asyncio.Event()

    async def step() -> None:
        if not blocked.is_set():
            from offpoll.errors import DependencyUnavailable

            raise DependencyUnavailable("x", "down")

    waiting = asyncio.create_task(at.outage.through(step, what="step"))
    await asyncio.sleep(0.1)
    running = asyncio.create_task(at.loop.run())
    await at.send("a")
    await asyncio.sleep(60)
    assert at.faults.count("receive") == 0
    blocked.set()
    await waiting
    await asyncio.sleep(2)
    assert at.worked == ["a"]
    at.loop.drain()
    await running


@looping
async def test_work_that_raises(at: Looping) -> None:
    """Work that raises frees its slot, and the loop goes on."""
    await at.send("bug", "bug", "a")
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(3)
    assert at.worked == ["bug", "bug", "a"]
    at.loop.drain()
    await running
