"""Runs a handler in this process for one claimed job, on a real loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from offpoll.kind import Kind
from offpoll.operation import Record, Submission
from offpoll.queue import Delivery, Message
from offpoll.work.handle import InProcess
from offpoll.work.job import Job

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest="d", base_url="", created_at=NOW)


def job_of(handler: Callable[..., Any], *, body: str = "1", **limits: Any) -> Job:
    message = Message(submission=SUBMISSION, body=body)
    record = Record(submission=SUBMISSION, attempt=2, token="t", expires_at=NOW)
    return Job(
        delivery=Delivery(envelope=message.to_envelope(), receipt="r"),
        message=message,
        kind=Kind.of("order", handler, **limits),
        token="t",
        record=record,
    )


async def ran(handler: Callable[..., Any], *, threads: int = 1, body: str = "1", **limits: Any) -> Any:
    runner = InProcess(state=None, threads=threads, result_limit=1000, monotonic=time.monotonic)
    job = job_of(handler, body=body, **limits)
    try:
        ended = await runner.run(job)
        await runner.vacated(job)
        return ended
    finally:
        runner.close()


def real(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test on a real loop, because threads and virtual time do not mix. Such a test waits for events and never sleeps."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run
