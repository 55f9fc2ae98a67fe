"""One delivery that a worker holds: what its handler, its heartbeat and the loop know of it together.

The handler's side and the heartbeat may run in different threads. Each attribute is assigned by one side only, and each assignment is
atomic; nothing is read and changed in one step. Must not do I/O.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from offpoll.board import Stored
from offpoll.document import Estimate
from offpoll.errors import HandlerStopped
from offpoll.instant import utc_now
from offpoll.kind import Kind
from offpoll.operation import Operation, Progress, Record
from offpoll.queue import Delivery, Message
from offpoll.records import Claim

__all__ = ["MARGIN", "Ambient", "Job", "Stop"]

#: How long before its end a holder no longer relies on a lease, as a share of the lease.
MARGIN = 0.1


@dataclass(frozen=True, kw_only=True)
class Ambient:
    """The clocks and the randomness of a worker.

    Attributes:
        clock: the wall clock, for documents.
        monotonic: the clock of leases.
        random: numbers from 0 to 1.
        token: a fresh claim token.
    """

    clock: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random
    token: Callable[[], str] = lambda: secrets.token_hex(16)


class Stop(StrEnum):
    """Why a handler is told to stop."""

    LOST = "lost"  # another claim began: publish nothing, delete nothing
    DECIDED = "decided"  # it has an outcome: show that
    LAPSED = "lapsed"  # the lease could not be renewed in time: ask whether the claim still stands, then begin anew
    TIMED_OUT = "timed_out"  # the kind's timeout
    SHUTDOWN = "shutdown"  # the worker was told to stop at once


@dataclass(kw_only=True, eq=False)
class Job:
    """A delivery in work.

    Attributes:
        delivery, message, kind: what was received.
        token: fresh for this delivery.
        record: as the claim answered it; None before.
        claim_began: when its claim began, on the monotonic clock.
        last_beat_try: when the last beat began.
        last_beat: when the last beat began that succeeded.
        failing: whether the last beat failed.
        lease_ends: counted from before the call that set it.
        run_began: when the handler began, on the monotonic clock.
        running: whether the handler runs.
        spent: seconds for which it ran under this claim before: a lapse ended that run, and another one begins.
        progress: the newest that the handler reported.
        progress_seen: when the heartbeat first saw that.
        shown: the document as last read or published.
        promised: the estimate that the submitter was given, where the heartbeat found the document unchanged.
        closed: the loop is done with it: the heartbeat must leave it alone.
        beating: the heartbeat is in the middle of a beat.
        publishing: the heartbeat is in the middle of publishing progress.
        publish_after: not before then is progress published: the last try failed.
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
        """The guard for what only the holder may do."""
        return None if self.record is None else Claim(attempt=self.record.attempt, token=self.token)

    @property
    def time_left(self) -> float:
        """How long the handler may run: one attempt never takes longer than its timeout, in however many runs."""
        return max(0.0, self.kind.timeout - self.spent)

    def operation(self, state: Any) -> Operation:
        """Return what the handler is given. Only a plain function is stopped at its next `progress()`; a coroutine is cancelled."""
        return Operation.of(
            self.message.submission,
            attempt=1 if self.record is None else self.record.attempt,
            state=state,
            traceparent=self.message.traceparent,
            tracestate=self.message.tracestate,
            _report=self.report,
            _checkpoint=(lambda: None) if self.kind.is_async else self.checkpoint,
        )

    def report(self, progress: Progress) -> None:
        """Take what the handler says of its progress; what it leaves out stays as it was."""
        before = self.progress
        if before is not None:
            progress = Progress(
                fraction=before.fraction if progress.fraction is None else progress.fraction,
                message=before.message if progress.message is None else progress.message,
            )
        self.progress = progress

    def notice(self, now: float) -> None:
        """Note when the newest progress was first seen; the heartbeat's."""
        if self.progress is not self._noticed:
            self._noticed, self.progress_seen = self.progress, now

    def checkpoint(self) -> None:
        """Raise HandlerStopped where the handler has to stop."""
        if self.stop_reason is not None:
            raise HandlerStopped(self.stop_reason)

    def stop(self, reason: Stop) -> None:
        """Tell the handler to stop. May be called from any thread.

        The first reason stays, but for a lapse: that only asks what became of the claim, and every other reason says more.
        """
        if self.stop_reason is None or (self.stop_reason is Stop.LAPSED and reason is not Stop.LAPSED):
            self.stop_reason = reason
            wake = self._on_stop
            if wake is not None:
                wake()

    def begin(self, *, now: float, on_stop: Callable[[], None]) -> None:
        """Note that the handler starts; `on_stop` is called, from any thread, when it has to stop.

        A lapse or a decision that ended the last run says nothing about this one; that the worker was told to stop does.
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
        """Take the job from the heartbeat, and wait until its beat is over: what that does late must not undo what is done next.

        A publish that is under way is not waited for: it never follows a done document and never lowers a rank.
        """
        self.closed = True
        while self.beating:  # noqa: ASYNC110 - the other side may run in another thread's loop, and the wait is one call long
            await asyncio.sleep(0.005)
