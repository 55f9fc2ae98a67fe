"""The loop that receives from one queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from tests.support.faults import Faults

from offpoll.queue import Delivery, Envelope, MemoryQueue, Queue
from offpoll.testing import run_virtual
from offpoll.work.loop import GIVE_BACKS, LATE, LONG_POLL, Loop
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
    assert now() == pytest.approx(1 + LONG_POLL)  # the receive for the free slot


class Abandonable:
    """A queue as SQS is: a receive goes on without its caller, and hides what it takes."""

    def __init__(self, inner: Queue, *, extra: float = 0.0) -> None:
        self._inner, self._extra = inner, extra

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        return await asyncio.shield(asyncio.ensure_future(self._receive(limit, wait)))

    async def _receive(self, limit: int, wait: float) -> Sequence[Delivery]:
        deliveries = await self._inner.receive(limit=limit, wait=wait)
        await asyncio.sleep(self._extra)  # on its way
        return deliveries

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


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


@pytest.mark.parametrize("drained_at", [0.0, 0.1, 2.5, 4.9, 5.0, 5.1])
@pytest.mark.parametrize("sent_after", [-0.2, -0.01, 0.0, 0.01, 1.0, 2.5, 4.95, 5.5])
@pytest.mark.parametrize("way", [0.0, 0.05])
def test_a_drain_hides_nothing(drained_at: float, sent_after: float, way: float) -> None:
    """Whenever messages come around a drain: each is worked on, or visible to others within the time that its responses travel."""

    async def main() -> None:
        at = Looping()
        at.loop.queue = Abandonable(at.queue, extra=way)  # type: ignore[assignment]
        running = asyncio.create_task(at.loop.run())
        loop = asyncio.get_running_loop()
        loop.call_later(drained_at, at.loop.drain)
        await asyncio.sleep(max(0.0, drained_at + sent_after))
        await at.send("a", "b", "c")
        await asyncio.sleep(2 * way + 0.001)
        if drained_at + sent_after < drained_at:
            await asyncio.sleep(drained_at + 1.1)  # what began before the drain takes a second
        else:
            depth = await at.queue.depth()
            assert depth.in_flight == len(at.worked) == 0
        await running
        depth = await at.queue.depth()
        assert (depth.in_flight, depth.visible + len(at.worked)) == (0, 3)
        assert now() <= drained_at + max(LONG_POLL, 1.0) + 2 * way + abs(sent_after) + 2.2

    run_virtual(main())


@looping
async def test_a_drain_waits_for_its_receive(at: Looping) -> None:
    """An idle loop drains when its receive has ended; it begins no other."""
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(LONG_POLL + 1)
    at.loop.drain()
    await running
    assert now() == pytest.approx(2 * LONG_POLL)
    assert at.faults.count("receive") == 2


@looping
async def test_a_drain_does_not_wait_for_a_receive_that_does_not_end(at: Looping) -> None:
    """A drain waits for a response that is a little late, but not for one that does not come."""
    at.loop.queue = Abandonable(at.queue, extra=1000)  # type: ignore[assignment]
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(1)
    at.loop.drain()
    await running
    assert now() == pytest.approx(1 + LONG_POLL + LATE)


@looping
async def test_whole_batches_are_given_back_at_the_same_time(at: Looping) -> None:
    """What a draining loop received is given back by calls that go together, which the adapter makes one batch of."""
    at.loop.slots = 10
    under_way, most = 0, 0
    hide = at.queue.hide

    async def slow(delivery: Delivery, *, seconds: float) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.1)
        await hide(delivery, seconds=seconds)
        under_way -= 1

    at.queue.hide = slow  # type: ignore[method-assign]
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(1)
    at.loop.drain()
    await at.send(*"abcdefghij")
    await running
    assert (most, now()) == (10, pytest.approx(1.1))
    assert (await at.queue.depth()).visible == 10


@looping
async def test_a_fleet_that_drains_makes_no_dead_letters(at: Looping) -> None:
    """A message that draining workers have given back before is worked on: each delivery counts towards the dead letters."""
    await at.send("a")
    for _ in range(GIVE_BACKS):
        [delivery] = await at.queue.receive(limit=1, wait=1)
        await at.queue.hide(delivery, seconds=0.5)
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(0.1)
    at.loop.drain()
    await running
    assert at.worked == ["a"]
    assert (await at.queue.depth()).visible == 0


@looping
async def test_receiving_fails(at: Looping) -> None:
    """The loop waits out an outage of its queue, longer after each failure, and says once that it is over."""
    lines: list[str] = []
    noting = logging.Handler()
    noting.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("offpoll.work.loop").addHandler(noting)
    at.faults.down()
    running = asyncio.create_task(at.loop.run())
    await asyncio.sleep(120)
    assert at.faults.count("receive") <= 10
    at.faults.up()
    await at.send("a")
    await asyncio.sleep(40)
    assert at.worked == ["a"]
    logging.getLogger("offpoll.work.loop").removeHandler(noting)
    assert [line for line in lines if "cannot receive" not in line] == ["test: received again"]
    assert not at.loop.failing
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
