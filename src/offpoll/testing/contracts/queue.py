"""What every queue must do. Queues are shared and deliver late, so the tests look for their own messages and wait for them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest

from offpoll.queue import Delivery, Envelope, Queue
from offpoll.testing.contracts.running import Running

__all__ = ["QueueContract"]

#: Long polls until a message must have come, each of up to a second.
POLLS = 20


class QueueContract(Running):
    """Subclass it and provide the fixture `queue`: an empty one for each test, whose messages stay hidden for at least 10 s."""

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError("a subclass provides the queue")

    @pytest.fixture
    def envelope(self) -> Envelope:
        """A message that is not like any other."""
        return Envelope(body=f'{{"n":"{secrets.token_hex(8)} ü漢🙂"}}', attributes={"kind": "order", "owner": "ü 漢"})

    def test_send_then_receive(self, queue: Queue, envelope: Envelope) -> None:
        """A message arrives as it was sent, body and attributes, and says that it is its first delivery."""
        self.run(queue.send(envelope))
        [delivery] = self.run(_receive(queue, 1))
        assert delivery.envelope == envelope
        assert delivery.receives == 1

    def test_nothing_to_receive(self, queue: Queue) -> None:
        """An empty queue answers with nothing."""
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_received_is_hidden(self, queue: Queue, envelope: Envelope) -> None:
        """A message that somebody has is not delivered to anybody else meanwhile."""
        self.run(queue.send(envelope))
        self.run(_receive(queue, 1))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_given_back(self, queue: Queue, envelope: Envelope) -> None:
        """Hidden for 0 s, a message is delivered again, and counts its deliveries."""
        self.run(queue.send(envelope))
        [first] = self.run(_receive(queue, 1))
        self.run(queue.hide(first, seconds=0.0))
        [second] = self.run(_receive(queue, 1))
        assert second.envelope == envelope
        assert second.receives == 2

    def test_deleted_is_gone(self, queue: Queue, envelope: Envelope) -> None:
        """A deleted message is never delivered again; deleting and hiding it again is no error."""
        self.run(queue.send(envelope))
        [delivery] = self.run(_receive(queue, 1))
        self.run(queue.delete(delivery))
        self.run(queue.delete(delivery))
        self.run(queue.hide(delivery, seconds=0.0))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_delayed(self, queue: Queue, envelope: Envelope) -> None:
        """A delayed message is there, and not delivered yet."""
        self.run(queue.send(envelope, delay=600.0))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []
        assert self.run(queue.depth()).delayed == 1

    def test_depth(self, queue: Queue, envelope: Envelope) -> None:
        """Messages that wait and messages that somebody has are counted apart."""
        for _ in range(3):
            self.run(queue.send(envelope))
        self.run(_receive(queue, 1, limit=1))
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight, depth.delayed) == (2, 1, 0)

    def test_many_at_once(self, queue: Queue) -> None:
        """Concurrent sends and deletes all take effect, each message once; a receive gives ten at most."""
        bodies = {f'{{"n":{number}}}' for number in range(37)}

        async def send() -> None:
            await asyncio.gather(*(queue.send(Envelope(body=body, attributes={"kind": "order"})) for body in bodies))

        self.run(send())
        deliveries = self.run(_receive(queue, len(bodies)))
        assert sorted(delivery.envelope.body for delivery in deliveries) == sorted(bodies)
        self.run(_each(queue.delete(delivery) for delivery in deliveries))
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight) == (0, 0)

    def test_many_hidden_at_once(self, queue: Queue) -> None:
        """Concurrent give-backs all take effect."""
        for number in range(12):
            self.run(queue.send(Envelope(body=str(number), attributes={})))
        deliveries = self.run(_receive(queue, 12))
        self.run(_each(queue.hide(delivery, seconds=0.0) for delivery in deliveries))
        again = self.run(_receive(queue, 12))
        assert sorted(delivery.envelope.body for delivery in again) == sorted(str(number) for number in range(12))
        assert {delivery.receives for delivery in again} == {2}


async def _each(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*calls)


async def _receive(queue: Queue, count: int, *, limit: int = 10) -> list[Delivery]:
    """Receive until there are so many."""
    found: list[Delivery] = []
    for _ in range(POLLS):
        deliveries = await queue.receive(limit=limit, wait=1.0)
        assert len(deliveries) <= limit
        found.extend(deliveries)
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} messages came")
