"""The functions of the two queues: a batch in, what comes back out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from offpoll.functions.batches import received
from offpoll.functions.environment import Context, Environment, seconds_left
from offpoll.queue import Delivery, Queue

__all__ = ["Consuming"]


class Work(Protocol):
    """What is done with a batch; see `work.batch.Batches`."""

    async def __call__(self, deliveries: Sequence[Delivery], /, *, queue: Queue, time_left: Callable[[], float]) -> None:
        """Work on a batch. What is not deleted from the queue then comes back."""


class Consuming:
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
