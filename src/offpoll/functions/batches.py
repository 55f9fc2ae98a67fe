"""Consumes batches of an SQS event: reads the messages, lets `work` process them, and tells Lambda which ones to deliver again.

    {"Records": […]} ──► deliveries ──► work ──► deleted? ──no──► {"batchItemFailures": [{"itemIdentifier": …}]}: delivered again when the
                                                    │             visibility that work has set ends
                                                    └─yes──► not named in the response: Lambda deletes it

If the function raises or sends no response, Lambda delivers the whole batch again.

Source: Lambda Developer Guide, with-sqs and services-sqs-errorhandling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from offpoll.functions.environment import Context, Environment, seconds_left
from offpoll.queue import Delivery, Depth, Envelope, Queue

__all__ = ["BatchWork", "QueueFunction"]


class BatchWork(Protocol):
    """Processes a batch: `work.batch.BatchWorker.work` or `DeadLetterBatchWorker.settle`."""

    async def __call__(self, deliveries: Sequence[Delivery], /, *, queue: Queue, time_left: Callable[[], float]) -> None:
        """Process a batch. Lambda delivers again what is not deleted from the queue afterwards."""


class QueueFunction:
    """Consumes a queue's batches."""

    def __init__(self, *, environment: Environment, queue: Queue, work: BatchWork) -> None:
        self._environment, self._queue, self._work = environment, queue, work

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Process one batch.

        Raises:
            ValueError: the event is not a batch of SQS.
            ConfigurationError: a timeout is too long for the function.
        """
        return self._environment.run(self._consume(event, context), context=context)

    async def _consume(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        deliveries, queue = _deliveries(event), _EventQueue(self._queue)
        await self._work([*deliveries.values()], queue=queue, time_left=lambda: seconds_left(context))
        kept = [message_id for message_id, delivery in deliveries.items() if delivery.receipt not in queue.deleted]
        return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in kept]}


class _EventQueue:
    """The queue behind a batch. It only notes which messages are deleted: Lambda deletes them."""

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


def _deliveries(event: Mapping[str, Any]) -> Mapping[str, Delivery]:
    """Return an event's deliveries by message id, in order. Bodies are read later: one unreadable message must not stop the others.

    Raises:
        ValueError: the event is not a batch of SQS.
    """
    try:
        return {record["messageId"]: _delivery(record) for record in event["Records"]}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not a batch of SQS ({error!r}): check what invokes the function") from error


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
