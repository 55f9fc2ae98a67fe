"""What every queue must do. Queues are shared and deliver late, so the tests look for their own messages and wait for them."""

from __future__ import annotations

import secrets

import pytest

from offpoll.queue import Envelope, Queue
from offpoll.testing.contracts.queue_races import QueueRaces, receive_all

__all__ = ["QueueContract"]


class QueueContract(QueueRaces):
    """Subclass it and provide the fixture `queue`: an empty one for each test, whose messages stay hidden for at least 10 s.

    The races are part of it.
    """

    @pytest.fixture
    def envelope(self) -> Envelope:
        """A message unlike any other."""
        return Envelope(body=f'{{"n":"{secrets.token_hex(8)} ü漢🙂"}}', attributes={"kind": "order", "owner": "ü 漢"})

    def test_send_then_receive(self, queue: Queue, envelope: Envelope) -> None:
        """A message arrives as it was sent, body and attributes, and says that this is its first delivery."""
        self.run(queue.send(envelope))
        [delivery] = self.run(receive_all(queue, 1))
        assert delivery.envelope == envelope
        assert delivery.receives == 1

    def test_nothing_to_receive(self, queue: Queue) -> None:
        """An empty queue delivers nothing."""
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_received_is_hidden(self, queue: Queue, envelope: Envelope) -> None:
        """A received message is delivered to nobody else meanwhile."""
        self.run(queue.send(envelope))
        self.run(receive_all(queue, 1))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_given_back(self, queue: Queue, envelope: Envelope) -> None:
        """Hidden for 0 s, a message is delivered again, and counts its deliveries."""
        self.run(queue.send(envelope))
        [first] = self.run(receive_all(queue, 1))
        self.run(queue.hide(first, seconds=0.0))
        [second] = self.run(receive_all(queue, 1))
        assert second.envelope == envelope
        assert second.receives == 2

    def test_deleted_is_gone(self, queue: Queue, envelope: Envelope) -> None:
        """A deleted message is never delivered again; deleting and hiding it again is no error."""
        self.run(queue.send(envelope))
        [delivery] = self.run(receive_all(queue, 1))
        self.run(queue.delete(delivery))
        self.run(queue.delete(delivery))
        self.run(queue.hide(delivery, seconds=0.0))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []

    def test_delayed(self, queue: Queue, envelope: Envelope) -> None:
        """A delayed message counts, but is not delivered yet."""
        self.run(queue.send(envelope, delay=600.0))
        assert list(self.run(queue.receive(limit=10, wait=0.0))) == []
        assert self.run(queue.depth()).delayed == 1

    def test_depth(self, queue: Queue, envelope: Envelope) -> None:
        """Waiting messages and received messages are counted separately."""
        for _ in range(3):
            self.run(queue.send(envelope))
        self.run(receive_all(queue, 1, limit=1))
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight, depth.delayed) == (2, 1, 0)

    def test_many_at_once(self, queue: Queue) -> None:
        """Concurrent sends and deletes all take effect, each message once; a receive returns ten at most."""
        bodies = {f'{{"n":{number}}}' for number in range(37)}
        self.race(queue.send(Envelope(body=body, attributes={"kind": "order"})) for body in bodies)
        deliveries = self.run(receive_all(queue, len(bodies)))
        assert sorted(delivery.envelope.body for delivery in deliveries) == sorted(bodies)
        self.race(queue.delete(delivery) for delivery in deliveries)
        depth = self.run(queue.depth())
        assert (depth.visible, depth.in_flight) == (0, 0)

    def test_many_hidden_at_once(self, queue: Queue) -> None:
        """Concurrent give-backs all take effect."""
        for number in range(12):
            self.run(queue.send(Envelope(body=str(number), attributes={})))
        deliveries = self.run(receive_all(queue, 12))
        self.race(queue.hide(delivery, seconds=0.0) for delivery in deliveries)
        again = self.run(receive_all(queue, 12))
        assert sorted(delivery.envelope.body for delivery in again) == sorted(str(number) for number in range(12))
        assert {delivery.receives for delivery in again} == {2}
