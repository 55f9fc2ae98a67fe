"""The stores of a run. They check every write, and notice at once when it breaks a rule of the protocol.

This module decides what may never happen; `final_state` decides what must be true at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from offpoll.document import Document
from offpoll.document_store import MemoryDocumentStore
from offpoll.operation import Outcome, Record, Status, Submission
from offpoll.queue import Delivery, MemoryQueue
from offpoll.records import Claim, Guard, MemoryRecords, Update
from offpoll.service_times import MemoryServiceTimes
from offpoll.testing import START

__all__ = ["JUMP", "VISIBILITY", "World"]

#: Seconds by which time jumps: enough to end every lease, visibility timeout and backoff.
JUMP = 100_000.0

#: Seconds for which a delivered message is hidden: longer than anything that happens between two jumps.
VISIBILITY = 40_000.0


@dataclass(kw_only=True)
class _Store(MemoryDocumentStore):
    """Checks that rank only grows and that a terminal document never changes, while the object exists."""

    broken: Callable[[str], None]

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        before = self._objects.get(key)
        found = await super().replace(key, body, etag=etag)
        if before is not None:
            self._look(before, body)
        return found

    def _look(self, before: bytes, after: bytes) -> None:
        old, new = Document.from_bytes(before), Document.from_bytes(after)
        if old.done and before != after:
            self.broken(f"a terminal document changed: {old.status}, now {new.status}")
        if new.rank < old.rank:
            self.broken(f"a document's rank went down from {old.rank} to {new.rank}")
        if old.digest != new.digest:
            self.broken("a document lost its digest")


class _Queue(MemoryQueue):
    """A queue whose receipts stay valid for ever, as SQS does not promise to refuse an old one."""

    def _find(self, delivery: Delivery) -> int | None:
        number = int(delivery.receipt.partition(".")[0])
        return number if number in self._held else None


@dataclass(kw_only=True)
class _Records(MemoryRecords):
    """Checks that there is one outcome, and that no attempt acts once overtaken, under another's live lease, or during a backoff."""

    broken: Callable[[str], None]
    _owed: dict[str, datetime] = field(default_factory=dict)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        before = self._records.get(submission.operation_id)
        update = await super().claim(submission, seen=seen, token=token, lease=lease, expires_at=expires_at)
        if update.applied and before is not None and self._leased(before):
            self.broken(f"attempt {before.attempt} was overtaken while its lease was live")
        if update.applied and self._owed.pop(submission.operation_id, self._now()) > self._now():
            self.broken("an attempt began before the backoff was over")
        return update

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        before = self._records.get(operation_id)
        return self._by("renewed", held, before, await super().renew(operation_id, held=held, lease=lease))

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        before = self._records.get(operation_id)
        update = await super().release(operation_id, held=held, backoff=backoff)
        if update.applied:
            self._owed[operation_id] = self._now() + timedelta(seconds=backoff)
        return self._by("released", held, before, update)

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        before = self._records.get(submission.operation_id)
        update = await super().decide(submission, outcome, guard=guard, expires_at=expires_at, input=input)
        if isinstance(guard, Claim):
            self._by("decided", guard, before, update)
        elif update.applied and outcome.status is not Status.CANCELED and before is not None and self._leased(before):
            self.broken(f"the operation was given up while attempt {before.attempt} had a live lease")
        return update

    def _leased(self, record: Record) -> bool:
        return record.lease_until is not None and record.lease_until > self._now()

    def _by(self, what: str, held: Claim, before: Record | None, update: Update) -> Update:
        if update.applied and (before is None or (before.attempt, before.token) != (held.attempt, held.token)):
            self.broken(f"attempt {held.attempt} of {held.token} was overtaken, and {what}")
        return update

    def _put(self, record: Record, now: datetime) -> Update:
        before = self._records.get(record.submission.operation_id)
        if before is not None and before.done:
            self.broken(f"an outcome was not the last word: {before.status}, then {record.status}")
        return super()._put(record, now)


@dataclass(kw_only=True)
class World:
    """Everything outside the processes.

    Attributes:
        loop_time: the loop's clock.
        max_receives: deliveries before a message becomes a dead letter.
        jumps: how often time has jumped.
        broken: the broken rules, in words.
    """

    loop_time: Callable[[], float]
    max_receives: int
    jumps: int = 0
    broken: list[str] = field(default_factory=list)
    store: _Store = field(init=False)
    records: _Records = field(init=False)
    queue: MemoryQueue = field(init=False)
    dead: MemoryQueue = field(init=False)
    parking: MemoryQueue = field(init=False)
    service_times: MemoryServiceTimes = field(default_factory=MemoryServiceTimes)

    def __post_init__(self) -> None:
        self.store = _Store(clock=self.clock, broken=self.broken.append)
        self.records = _Records(clock=self.clock, broken=self.broken.append)
        self.dead, self.parking = _Queue(visibility=VISIBILITY), _Queue(visibility=VISIBILITY)
        self.queue = _Queue(visibility=VISIBILITY, dead_letters=self.dead, max_receives=self.max_receives)

    def clock(self) -> datetime:
        """Return the time, which only jumps: everything between two jumps happens at once."""
        return START + timedelta(seconds=self.jumps * JUMP)

    def visible(self, queue: MemoryQueue) -> int:
        """Return how many messages could be received now."""
        return sum(held.visible_at <= self.loop_time() for held in queue._held.values())

    def hidden(self, queue: MemoryQueue) -> int:
        """Return how many messages cannot be received now."""
        return len(queue._held) - self.visible(queue)

    def lapse_visibility(self) -> None:
        """Make every delivered message visible again, since SQS may deliver twice."""
        for held in self.queue._held.values():
            if held.receives:
                held.visible_at = self.loop_time()

    def state(self) -> tuple[object, ...]:
        """Return everything that tells two worlds apart. Receipts and the order of arrival do not."""
        now = self.clock()
        records = tuple(
            (key, each.attempt, each.token, each.outcome and str(each.outcome), each.lease_until is not None and each.lease_until > now)
            for key, each in sorted(self.records._records.items())
        )
        queues = tuple(
            tuple(sorted((held.envelope.body, held.receives, held.visible_at <= self.loop_time()) for held in queue._held.values()))
            for queue in (self.queue, self.dead, self.parking)
        )
        return (self.jumps, tuple(sorted(self.store._objects.items())), records, queues)
