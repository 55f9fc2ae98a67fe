"""Batches of SQS: what a record says, and which of them come back.

Decides that a message is deleted by not being named in the answer, and nothing else about it. Must not know the protocol.

    {"Records": […]} ──► deliveries ──► work ──► deleted? ──no──► {"batchItemFailures": [{"itemIdentifier": …}]}: it comes back when its
                                                    └─yes──► not named: Lambda deletes it               visibility, which work has set, ends

Where the function gives no answer, or raises, the whole batch comes back.

Source: Lambda Developer Guide, with-sqs and services-sqs-errorhandling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from offpoll.functions.environment import Context, Environment, seconds_left
from offpoll.queue import Delivery, Depth, Envelope, Queue

__all__ = ["QueueFunction", "Received", "received"]


class _EventQueue:
    """The queue behind a batch, where deleting is left to Lambda."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.deleted: set[str] = set()

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        await self._queue.send(envelope, delay=delay)

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        return await self._queue.receive(limit=limit, wait=wait)

    async def delete(self, delivery: Delivery) -> None:
        self.deleted.add(delivery.receipt)

    async def hide(self, delivery: Delivery, *, seconds: float) -> None:
        await self._queue.hide(delivery, seconds=seconds)

    async def depth(self) -> Depth:
        return await self._queue.depth()


@dataclass(frozen=True, kw_only=True)
class Received:
    """A batch.

    Attributes:
        deliveries: by message id, in the event's order.
        queue: where they came from.
    """

    deliveries: Mapping[str, Delivery]
    queue: _EventQueue

    def answer(self) -> dict[str, Any]:
        """Return what Lambda is to be told: which messages come back."""
        kept = [name for name, delivery in self.deliveries.items() if delivery.receipt not in self.queue.deleted]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in kept]}


def received(event: Mapping[str, Any], *, queue: Queue) -> Received:
    """Read an event. What a message says is read later: one that cannot be read is not a reason to hold up the others.

    Raises:
        ValueError: it is no batch of SQS. Lambda delivers all of it again.
    """
    try:
        deliveries = {record["messageId"]: _delivery(record) for record in event["Records"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is no batch of SQS ({error!r}): check what invokes the function") from error
    return Received(deliveries=deliveries, queue=_EventQueue(queue))


def _delivery(record: Mapping[str, Any]) -> Delivery:
    attributes = record.get("messageAttributes") or {}
    receives = str((record.get("attributes") or {}).get("ApproximateReceiveCount", ""))
    return Delivery(
        envelope=Envelope(
            body=record.get("body") or "",
            attributes={name: value["stringValue"] for name, value in attributes.items() if value.get("stringValue") is not None},
        ),
        receipt=record["receiptHandle"],
        receives=int(receives) if receives.isdecimal() else 1,
    )


class Work(Protocol):
    """What is done with a batch; see `work.batch.Batches`."""

    async def __call__(self, deliveries: Sequence[Delivery], /, *, queue: Queue, time_left: Callable[[], float]) -> None:
        """Work on a batch. What is not deleted from the queue then comes back."""


class QueueFunction:
    """Consumes a queue's batches.

    Args:
        environment: runs them.
        queue: where they come from.
        work: what is done with each.
    """

    def __init__(self, *, environment: Environment, queue: Queue, work: Work) -> None:
        self._environment, self._queue, self._work = environment, queue, work

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Work on one batch.

        Raises:
            ValueError: it is no batch. ConfigurationError: a timeout is too long for the function. All messages come back.
        """
        return self._environment.run(self._consume(event, context), context=context)

    async def _consume(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        batch = received(event, queue=self._queue)
        await self._work([*batch.deliveries.values()], queue=batch.queue, time_left=lambda: seconds_left(context))
        return batch.answer()
