"""The queues of the workers' bench: real ones, as SQS has them."""

from __future__ import annotations

from typing import Any

from bench.queues import Queue


def bodies(received: Any) -> list[str]:
    return [message["Body"] for message in received]


def filled(count: int, **settings: Any) -> Queue:
    queue = Queue(**settings)
    for number in range(count):
        queue.send({"MessageBody": str(number)})
    return queue


def test_messages_are_delivered_in_order_and_once() -> None:
    """A received message is in flight, and nobody else gets it."""
    queue = filled(3)
    assert bodies(queue.receive(limit=2, visibility=None, now=0.0)) == ["0", "1"]
    assert bodies(queue.receive(limit=10, visibility=None, now=0.0)) == ["2"]
    assert queue.depth(now=0.0) == (0, 3)


def test_a_deleted_message_is_gone() -> None:
    """A queue ends: what is deleted does not come back, and a second delete changes nothing."""
    queue = filled(1, visibility=30.0)
    (message,) = queue.receive(limit=1, visibility=None, now=0.0)
    queue.delete(message["ReceiptHandle"])
    queue.delete(message["ReceiptHandle"])
    assert queue.depth(now=100.0) == (0, 0)


def test_a_message_comes_back_when_its_visibility_ends() -> None:
    """It has another receipt and a higher count then; the old receipt deletes nothing."""
    queue = filled(1, visibility=30.0)
    (first,) = queue.receive(limit=1, visibility=None, now=0.0)
    assert queue.receive(limit=1, visibility=None, now=29.0) == []
    assert queue.next_return == 30.0
    (second,) = queue.receive(limit=1, visibility=5.0, now=30.0)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    queue.delete(first["ReceiptHandle"])
    assert queue.depth(now=31.0) == (0, 1)
    assert queue.depth(now=35.0) == (1, 0)


def test_visibility_is_changed() -> None:
    """A hidden message stays away for as long as was said last, shorter or longer; 0 gives it back."""
    queue = filled(2, visibility=30.0)
    longer, shorter = queue.receive(limit=2, visibility=None, now=0.0)
    queue.hide(longer["ReceiptHandle"], seconds=60.0, now=10.0)
    queue.hide(shorter["ReceiptHandle"], seconds=0.0, now=10.0)
    assert bodies(queue.receive(limit=2, visibility=1000.0, now=10.0)) == ["1"]
    assert queue.depth(now=69.0) == (0, 2)
    assert queue.depth(now=70.0) == (1, 1)


def test_a_held_queue_delivers_nothing() -> None:
    """A bench fills a queue before a worker sees any of it."""
    queue = filled(2)
    queue.held = True
    assert queue.receive(limit=2, visibility=None, now=0.0) == []
    queue.held = False
    assert len(queue.receive(limit=2, visibility=None, now=0.0)) == 2
