"""The races on a queue: several receivers, and receipts of deliveries that are over.

SQS delivers at least once: a second delivery within a message's visibility timeout is rare there, and allowed. The suite demands the rule;
the protocol does not rely on it. Nor does it rely on what a delete by an older receipt does: a worker that lost its claim deletes nothing.
"""

from __future__ import annotations

import pytest

from offpoll.queue import Delivery, Envelope, Queue
from offpoll.testing.contracts.running import WRITERS, Running

__all__ = ["POLLS", "QueueRaces", "receive_all"]

#: Long polls within which a message must come, each of up to a second.
POLLS = 20

#: Workers that receive at once.
RECEIVERS = 8


class QueueRaces(Running):
    """Part of QueueContract. Needs the fixture `queue`."""

    @pytest.fixture
    def queue(self) -> Queue:
        raise NotImplementedError("a subclass provides the queue")

    def test_many_receivers(self, queue: Queue) -> None:
        """Each of 64 messages reaches one of several receivers, and no second one within its visibility timeout."""
        sent = self._sent(queue)
        found: list[Delivery] = []
        self.race(_share(queue, found) for _ in range(RECEIVERS))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []
        assert sorted(delivery.envelope.body for delivery in found) == sorted(sent)
        assert {delivery.receives for delivery in found} == {1}
        assert len({delivery.receipt for delivery in found}) == WRITERS

    def test_receivers_that_wait(self, queue: Queue) -> None:
        """Receivers in the middle of a long poll share new messages in the same way."""
        found: list[Delivery] = []
        sent = [str(number) for number in range(WRITERS)]
        receiving = [_share(queue, found) for _ in range(RECEIVERS)]
        self.race([*receiving, *(queue.send(Envelope(body=body, attributes={})) for body in sent)])
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []
        assert sorted(delivery.envelope.body for delivery in found) == sorted(sent)

    def test_deletes_among_receives(self, queue: Queue) -> None:
        """A delete takes nothing from what others receive meanwhile: every message reaches a receiver, and none is left."""
        sent = self._sent(queue)
        found: list[Delivery] = []
        self.race(_share(queue, found, delete=True) for _ in range(RECEIVERS))
        assert sorted(delivery.envelope.body for delivery in found) == sorted(sent)
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight, depth.delayed) == (0, 0, 0)

    def test_half_is_given_back(self, queue: Queue) -> None:
        """A message that is given back comes again; one that is deleted beside it does not."""
        self._sent(queue, count=20)
        deliveries = self.run(receive_all(queue, 20))
        self.race(queue.hide(delivery, seconds=0.0) if number % 2 else queue.delete(delivery) for number, delivery in enumerate(deliveries))
        again = self.run(receive_all(queue, 10))
        assert sorted(each.envelope.body for each in again) == sorted(each.envelope.body for each in deliveries[1::2])
        assert {each.receives for each in again} == {2}

    def test_an_older_receipt(self, queue: Queue) -> None:
        """Only the newest delivery names a message: deleting by an older one is no error, and removes neither this message nor another."""
        self._sent(queue, count=1)
        [older] = self.run(receive_all(queue, 1))
        self.run(queue.hide(older, seconds=0.0))
        [newest] = self.run(receive_all(queue, 1))
        self.run(queue.send(Envelope(body="another", attributes={})))
        self.race(queue.delete(older) for _ in range(RECEIVERS))
        self.run(queue.hide(newest, seconds=0.0))
        found = {delivery.envelope.body: delivery for delivery in self.run(receive_all(queue, 2))}
        assert found.keys() == {"0", "another"}
        self.run(queue.hide(older, seconds=0.0))  # no error; whether the message comes again is left open
        self.race(queue.delete(delivery) for delivery in found.values())
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight) == (0, 0)

    def _sent(self, queue: Queue, *, count: int = WRITERS) -> list[str]:
        bodies = [str(number) for number in range(count)]
        self.race(queue.send(Envelope(body=body, attributes={"kind": "order"})) for body in bodies)
        return bodies


async def receive_all(queue: Queue, count: int, *, limit: int = 10) -> list[Delivery]:
    """Receive until there are `count` messages."""
    found: list[Delivery] = []
    for _ in range(POLLS):
        deliveries = await queue.receive(limit=limit, wait=1.0)
        assert len(deliveries) <= limit
        found.extend(deliveries)
        if len(found) >= count:
            return found
    raise AssertionError(f"{len(found)} of {count} messages came")


async def _share(queue: Queue, found: list[Delivery], *, delete: bool = False) -> None:
    """Receive a few at a time until all receivers together have all messages."""
    for _ in range(POLLS):
        deliveries = await queue.receive(limit=3, wait=1.0)
        found.extend(deliveries)
        if delete:
            for delivery in deliveries:
                await queue.delete(delivery)
        if len(found) >= WRITERS:
            return
