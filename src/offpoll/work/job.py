"""One delivery that a worker holds: the state that its handler, its heartbeat and its processor share.

The handler's side and the heartbeat may run in different threads. Only one side assigns each attribute, each assignment is atomic, and no
step both reads and changes one. No method does I/O.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from offpoll.board import Stored
from offpoll.document import Estimate
from offpoll.errors import HandlerStopped
from offpoll.freezes import FreezeCounter
from offpoll.instant import utc_now
from offpoll.kind import Kind
from offpoll.operation import Operation, Progress, Record
from offpoll.queue import Delivery, Message
from offpoll.records import Claim

__all__ = ["MARGIN", "Ambient", "Job", "Jobs", "Stop", "call_threadsafe", "claim_token"]

#: The last part of a lease, on which its holder no longer relies, as a share of the lease.
MARGIN = 0.1

#: Most characters of a machine's name in a claim token: each claim writes it. A host name has at most 253.
MAX_HOST = 64


@dataclass(frozen=True, kw_only=True)
class Ambient:
    """A worker's clocks and randomness.

    Attributes:
        clock: the wall clock, for documents.
        monotonic: the clock of leases, seconds; freezes that it misses are counted by the wall clock.
        random: returns numbers from 0 to 1.
        token: returns a fresh claim token. By default it also names this process, for people.
    """

    clock: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    token: Callable[[], str] = field(default_factory=lambda: partial(claim_token, f"{socket.gethostname()[:MAX_HOST]}:{os.getpid()}"))

    def __post_init__(self) -> None:
        object.__setattr__(self, "monotonic", FreezeCounter(monotonic=self.monotonic, clock=self.clock).time)


def claim_token(holder: str) -> str:
    """Return a fresh claim token. Its 128 random bits fence; the name of its holder is for people, and nothing compares it."""
    return f"{secrets.token_hex(16)}@{holder}"


class Stop(StrEnum):
    """Why a handler is told to stop."""

    LOST = "lost"  # another claim began: publish nothing, delete nothing
    DECIDED = "decided"  # it has an outcome: show that
    LAPSED = "lapsed"  # the lease was not renewed in time: ask whether the claim still stands, then begin anew
    TIMED_OUT = "timed_out"  # it ran longer than the kind's timeout
    SHUTDOWN = "shutdown"  # the worker must stop at once


@dataclass(kw_only=True, eq=False)
class Job:
    """A delivery in work.

    Instants here (`claim_began`, `last_beat`, `last_beat_try`, `lease_ends`, `run_began`, `progress_seen`, `publish_after`) are seconds on
    the monotonic clock.

    Attributes:
        delivery, message, kind: what the worker received.
        token: fresh for this delivery.
        record: from the response to the claim; None before.
        claim_began: when claiming began.
        last_beat_try: when the last beat began.
        last_beat: when the last successful beat began.
        failing: whether the last beat failed.
        lease_ends: when the lease ends, counted from before the call that set it.
        run_began: when the handler began.
        running: whether the handler runs.
        spent: seconds that earlier runs under this claim took; a lapse ends a run, and another begins.
        progress: the newest that the handler reported.
        progress_seen: when the heartbeat first saw `progress`.
        shown: the document as last read or published.
        ahead: how far the clock of the document's writer is ahead of ours, at least.
        promised: the estimate that the submitter got, if the heartbeat found the document still queued.
        closed: the processor has finished with the job, and the heartbeat must leave it alone.
        beating: the heartbeat is in the middle of a beat.
        publishing: the heartbeat is publishing progress.
        publish_after: when progress may be published again after a failure.
        stop_reason: why the handler must stop, or None.
    """

    delivery: Delivery
    message: Message
    kind: Kind
    token: str
    record: Record | None = None
    claim_began: float = 0.0
    last_beat_try: float = 0.0
    last_beat: float = 0.0
    failing: bool = False
    lease_ends: float = 0.0
    run_began: float = 0.0
    running: bool = False
    spent: float = 0.0
    progress: Progress | None = None
    progress_seen: float = 0.0
    shown: Stored | None = None
    ahead: timedelta = timedelta(0)
    promised: Estimate | None = None
    closed: bool = False
    beating: bool = False
    publishing: bool = False
    publish_after: float = 0.0
    stop_reason: Stop | None = None
    _on_stop: Callable[[], None] | None = field(default=None, repr=False)
    _noticed: Progress | None = field(default=None, repr=False)

    @property
    def claim(self) -> Claim | None:
        """The guard of every update that only the holder may make."""
        return None if self.record is None else Claim(attempt=self.record.attempt, token=self.token, record=self.record)

    @property
    def time_left(self) -> float:
        """How long the handler may still run, seconds: all runs of one attempt together stay within its timeout."""
        return max(0.0, self.kind.timeout - self.spent)

    def operation(self, state: Any) -> Operation:
        """Return the handler's `Operation`. Only plain functions are stopped at their next `progress()`; coroutines are cancelled."""
        return Operation.of(
            self.message.submission,
            attempt=1 if self.record is None else self.record.attempt,
            state=state,
            traceparent=self.message.traceparent,
            tracestate=self.message.tracestate,
            report=self.report,
            checkpoint=(lambda: None) if self.kind.is_async else self.checkpoint,
        )

    def report(self, progress: Progress) -> None:
        """Store the handler's progress; a part that it leaves out stays unchanged."""
        before = self.progress
        if before is not None:
            progress = Progress(
                fraction=before.fraction if progress.fraction is None else progress.fraction,
                message=before.message if progress.message is None else progress.message,
            )
        self.progress = progress

    def notice(self, now: float) -> None:
        """Note when the heartbeat first sees the newest progress."""
        if self.progress is not self._noticed:
            self._noticed, self.progress_seen = self.progress, now

    def checkpoint(self) -> None:
        """Raise HandlerStopped if the handler must stop."""
        if self.stop_reason is not None:
            raise HandlerStopped(self.stop_reason)

    def stop(self, reason: Stop) -> None:
        """Tell the handler to stop, from any thread.

        The first reason stays, except for a lapse: that only asks what became of the claim, and every other reason says more.
        """
        if self.stop_reason is None or (self.stop_reason is Stop.LAPSED and reason is not Stop.LAPSED):
            self.stop_reason = reason
            wake = self._on_stop
            if wake is not None:
                wake()

    def begin(self, *, now: float, on_stop: Callable[[], None]) -> None:
        """Note that the handler starts. `on_stop` is called, from any thread, when it must stop.

        Of the reasons that ended an earlier run, only the worker's shutdown applies to this one too.
        """
        if self.stop_reason is not Stop.SHUTDOWN:
            self.stop_reason = None
        self.run_began, self.progress = now, None
        self._on_stop = on_stop
        self.running = True
        if self.stop_reason is not None:
            on_stop()

    def end(self) -> None:
        """Note that the handler has ended."""
        self.running = False
        self._on_stop = None

    async def close(self) -> None:
        """Take the job from the heartbeat and wait for its current beat, which must not undo the next step by coming late.

        This does not wait for a publish under way: that never follows a done document and never lowers a rank.
        """
        self.closed = True
        while self.beating:  # noqa: ASYNC110 - the heartbeat may run on another thread's loop, and the wait lasts one call
            await asyncio.sleep(0.005)


def call_threadsafe(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call something on another thread's loop soon; nothing where that loop has ended."""
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass  # closed: nobody is left who wants to know


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
        wake = self._wake  # the sleeper takes it away: cleared here, it could be a new sleeper's
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
