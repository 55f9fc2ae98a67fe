"""Faults of the worker: it publishes, deletes or names its claims in the wrong way."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from offpoll.operation import Outcome, Record
from offpoll.work.delivery import DeliveryProcessor
from offpoll.work.worker import Worker

__all__ = ["delete_before_publish", "lost_worker_deletes", "publish_before_decide", "worker_name_as_token"]


def publish_before_decide() -> AbstractContextManager[object]:
    decide = DeliveryProcessor._decide

    async def hasty(self: DeliveryProcessor, job: Any, outcome: Outcome) -> None:
        made = replace(job.record, outcome=outcome, finished_at=job.record.started_at)
        await self.dependencies.board.show(made, held=job.shown)
        await decide(self, job, outcome)

    return patch.object(DeliveryProcessor, "_decide", hasty)


def delete_before_publish() -> AbstractContextManager[object]:
    async def hasty(self: DeliveryProcessor, job: Any, record: Record, **_: Any) -> None:
        await job.close()
        await self.dependencies.queue.delete(job.delivery)
        await self.dependencies.board.show(record, held=job.shown)

    return patch.object(DeliveryProcessor, "_finish", hasty)


def worker_name_as_token() -> AbstractContextManager[object]:
    made = Worker.__init__

    def named(self: Worker, **arguments: Any) -> None:
        made(self, **{**arguments, "ambient": replace(arguments["ambient"], token=lambda: "worker")})

    return patch.object(Worker, "__init__", named)


def lost_worker_deletes() -> AbstractContextManager[object]:
    handle = DeliveryProcessor._handle

    async def tidy(self: DeliveryProcessor, job: Any) -> None:
        await handle(self, job)
        if job.stop_reason is not None and job.stop_reason.value == "lost":
            await self.dependencies.queue.delete(job.delivery)

    return patch.object(DeliveryProcessor, "_handle", tidy)
