"""The jobs that a worker holds. Its heartbeat sleeps while there are none, on whatever loop it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from offpoll.work.job import Job, call_threadsafe

__all__ = ["Jobs"]


class Jobs:
    """Jobs by token. The worker's loop adds and removes them; one heartbeat waits for them, perhaps in another thread.

        worker       add ──────────────────────► does somebody sleep? wake them
        heartbeat    say that it goes to sleep ► is there a job? stay awake

    Each side writes before it reads, so one of them sees a job that comes while the heartbeat falls asleep.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._wake: Callable[[], object] | None = None

    def __iter__(self) -> Iterator[Job]:
        """Go through the jobs held now; others may come and go meanwhile."""
        return iter(list(self._jobs.values()))

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Hold a job, and wake the heartbeat if it sleeps."""
        self._jobs[job.token] = job
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def remove(self, job: Job) -> None:
        """Hold a job no longer."""
        del self._jobs[job.token]

    async def some(self) -> None:
        """Wait until a job is held."""
        if self._jobs:
            return
        loop, awake = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: call_threadsafe(loop, awake.set)
        try:
            if not self._jobs:
                await awake.wait()
        finally:
            self._wake = None
