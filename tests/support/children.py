"""A pool of child processes, jobs for it, and what tests ask of both. Programs that tests start import it too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from offpoll.operation import Record, Status, Submission
from offpoll.queue import Delivery, Message
from offpoll.settings import Settings
from offpoll.work.children.pool import ChildPool
from offpoll.work.handle import Ended, Errored, Stopped
from offpoll.work.job import Job

#: Seconds after which a test counts as hanging.
BOUND = 60.0


@asynccontextmanager
async def running(
    apps: ModuleType, processes: int = 1, *, reference: str = "app", load: Any = None, **options: Any
) -> AsyncIterator[ChildPool]:
    async with ChildPool(reference, load=load or apps.load, processes=processes, result_limit=350 * 1024, **options) as runner:
        yield runner


def bounded(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, BOUND))


def make_job(apps: ModuleType, kind: str, input: Any = None, *, attempt: int = 1, app: str = "app") -> Job:
    now = datetime.now(UTC)
    submission = Submission(
        operation_id="0123456789abcdef" * 2, kind=kind, owner="public", status_key="k", digest=None, base_url="", created_at=now
    )
    message = Message(submission=submission, body=json.dumps(input))
    return Job(
        delivery=Delivery(envelope=message.to_envelope(), receipt="r"),
        message=message,
        kind=getattr(apps, app).kinds(Settings())[kind],
        token="t" * 32,
        record=Record(submission=submission, attempt=attempt, token="t" * 32, lease_until=now, started_at=now, expires_at=now),
    )


async def until(condition: Callable[[], object]) -> None:
    while not condition():  # noqa: ASYNC110 - the condition has no event to wait for
        await asyncio.sleep(0.01)


async def begun(runner: ChildPool, job: Job) -> asyncio.Task[Ended | Errored | Stopped]:
    """Start a run whose handler reports progress, and wait for that."""
    run = asyncio.create_task(runner.run(job))
    await until(lambda: job.progress)
    return run


async def result(runner: ChildPool, job: Job) -> Any:
    ended = await runner.run(job)
    assert isinstance(ended, Ended), ended
    assert ended.outcome.status is Status.SUCCEEDED, ended
    assert not job.running
    return json.loads(ended.outcome.result or "")


async def pid(runner: ChildPool, apps: ModuleType) -> int:
    return int((await result(runner, make_job(apps, "where")))["running_in"])


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
