"""Planted faults: each takes one rule out of the production code, and exploration has to find a run that suffers from it.

A proof that cannot fail proves nothing. Each mutation names the scenario in which its victim is to be found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from offpoll import board, document, records
from offpoll.board import AsyncStatusBoard, Stored
from offpoll.document_store import MemoryDocumentStore
from offpoll.operation import Outcome, Record, Status
from offpoll.records import Claim, Guard, Idle, MemoryRecords, Undecided
from offpoll.submit import Submitter
from offpoll.work import claim, verdict
from offpoll.work.dead_letters import DeadLetters
from offpoll.work.delivery import DeliveryProcessor
from offpoll.work.verdict import GiveUp, exhausted
from offpoll.work.worker import Worker
from proof.explore.run import Scenario

__all__ = ["MUTATIONS", "Mutation"]


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A rule taken out.

    Attributes:
        name: what the code does instead.
        plant: makes it do that while the context is open.
        scenario: where somebody suffers from it.
    """

    name: str
    plant: Callable[[], Any]
    scenario: Scenario


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    """Put something else in the place of an attribute."""
    old = owner.__dict__[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


# --- the board ----------------------------------------------------------------------------------------


@contextmanager
def _unconditional_publish() -> Iterator[None]:
    async def write(self: AsyncStatusBoard, key: str, made: document.Document, current: Stored | None) -> Stored | None:
        store: Any = self.store
        return Stored(document=made, etag=await store.overwrite(key, made.to_bytes()))

    async def overwrite(self: MemoryDocumentStore, key: str, body: bytes) -> str:
        before = self._objects.get(key)
        if before is None:
            return await self.create(key, body)
        return await self.replace(key, body, etag=(await self.read(key) or (b"", ""))[1])

    MemoryDocumentStore.overwrite = overwrite  # type: ignore[attr-defined]
    with replaced(AsyncStatusBoard, "_write", write):
        yield


@contextmanager
def _non_terminal_creates() -> Iterator[None]:
    show = AsyncStatusBoard.show

    async def creates(self: AsyncStatusBoard, record: Record, *, held: Stored | None = None, **given: Any) -> Stored | None:
        shown = await show(self, record, held=held, **given)
        if shown is None and not record.done:
            made = document.project(record, before=None, updated_at=self.clock())
            return await self._write(record.submission.status_key, made, None)
        return shown

    with replaced(AsyncStatusBoard, "show", creates):
        yield


@contextmanager
def _digest_dropped() -> Iterator[None]:
    project = document.project

    def without(*given: Any, **more: Any) -> document.Document:
        return replace(project(*given, **more), digest=None)

    with replaced(board, "project", without):
        yield


# --- the records --------------------------------------------------------------------------------------


def _guards(changed: Callable[[Guard, Record | None, Any], bool | None]) -> Any:
    """Answer some guards otherwise; None leaves the answer as it is."""
    holds = records.holds

    def other(guard: Guard, record: Record | None, now: Any) -> bool:
        found = changed(guard, record, now)
        return holds(guard, record, now) if found is None else found

    return replaced(records, "holds", other)


def _any_claim_holds(guard: Guard, record: Record | None, now: Any) -> bool | None:
    return (record is not None and not record.done) if isinstance(guard, Claim) else None


def _lease_ignored(guard: Guard, record: Record | None, now: Any) -> bool | None:
    if not isinstance(guard, Idle) or guard.attempt == 0:
        return None
    return record is not None and not record.done and record.attempt == guard.attempt


def _attempt_ignored(guard: Guard, record: Record | None, now: Any) -> bool | None:
    if not isinstance(guard, Idle) or record is None or record.done:
        return None
    return record.lease_until is None or record.lease_until <= now


def _outcome_ignored(guard: Guard, record: Record | None, now: Any) -> bool | None:
    return record is not None if isinstance(guard, Undecided) else None


@contextmanager
def _lease_ignored_everywhere() -> Iterator[None]:
    judge = verdict.judge

    def blind(record: Record | None, *given: Any, **more: Any) -> verdict.Verdict:
        return judge(None if record is None else replace(record, lease_until=None), *given, **more)

    with _guards(_lease_ignored), replaced(claim, "judge", blind):
        yield


@contextmanager
def _claim_without_the_attempt_seen() -> Iterator[None]:
    async def begin(self: MemoryRecords, submission: Any, *, seen: int, **more: Any) -> Any:
        known = self._records.get(submission.operation_id)
        return await original(self, submission, seen=seen if known is None or known.done or not seen else known.attempt, **more)

    original = MemoryRecords.claim
    with _guards(_lease_ignored), replaced(MemoryRecords, "claim", begin):
        yield


@contextmanager
def _exhaustion_under_a_live_lease() -> Iterator[None]:
    judge = verdict.judge

    def hasty(record: Record | None, submission: Any, *, attempts: int, **more: Any) -> verdict.Verdict:
        if record is not None and not record.done and record.attempt >= attempts and record.token != more["token"]:
            return GiveUp(outcome=exhausted(record.attempt), guard=Idle(attempt=record.attempt))
        return judge(record, submission, attempts=attempts, **more)

    with _guards(_lease_ignored), replaced(claim, "judge", hasty):
        yield


# --- the worker ---------------------------------------------------------------------------------------


@contextmanager
def _publish_before_decide() -> Iterator[None]:
    decide = DeliveryProcessor._decide

    async def hasty(self: DeliveryProcessor, job: Any, outcome: Outcome) -> None:
        made = replace(job.record, outcome=outcome, finished_at=job.record.started_at)
        await self.dependencies.board.show(made, held=job.shown)
        await decide(self, job, outcome)

    with replaced(DeliveryProcessor, "_decide", hasty):
        yield


@contextmanager
def _delete_before_publish() -> Iterator[None]:
    async def hasty(self: DeliveryProcessor, job: Any, record: Record, **_: Any) -> None:
        await job.close()
        await self.dependencies.queue.delete(job.delivery)
        await self.dependencies.board.show(record, held=job.shown)

    with replaced(DeliveryProcessor, "_finish", hasty):
        yield


@contextmanager
def _worker_name_as_token() -> Iterator[None]:
    made = Worker.__init__

    def named(self: Worker, **arguments: Any) -> None:
        made(self, **{**arguments, "ambient": replace(arguments["ambient"], token=lambda: "worker")})

    with replaced(Worker, "__init__", named):
        yield


@contextmanager
def _backoff_only_in_visibility() -> Iterator[None]:
    release = MemoryRecords.release

    async def without(self: MemoryRecords, operation_id: str, *, held: Claim, backoff: float) -> Any:
        return await release(self, operation_id, held=held, backoff=0.0)

    with replaced(MemoryRecords, "release", without):
        yield


@contextmanager
def _a_lost_worker_deletes() -> Iterator[None]:
    handle = DeliveryProcessor._handle

    async def tidy(self: DeliveryProcessor, job: Any) -> None:
        await handle(self, job)
        if job.stop_reason is not None and job.stop_reason.value == "lost":
            await self.dependencies.queue.delete(job.delivery)

    with replaced(DeliveryProcessor, "_handle", tidy):
        yield


@contextmanager
def _dead_letters_ignore_records() -> Iterator[None]:
    async def blind(self: DeadLetters, delivery: Any, message: Any, kind: Any) -> None:
        outcome = Outcome(status=Status.FAILED, error={"code": "dead_letter", "message": "It was delivered too often."})
        decided = await self.dependencies.records.decide(
            message.submission, outcome, guard=Undecided(), expires_at=self.claimer.expires_at(message.submission)
        )
        if decided.record is not None and decided.record.done:
            await self._finish(delivery, decided.record, show_result=kind.show_result)

    with replaced(DeadLetters, "_settle_by_record", blind):
        yield


@contextmanager
def _dead_letters_delete_first() -> Iterator[None]:
    async def hasty(self: DeadLetters, delivery: Any, record: Record, *, show_result: bool) -> None:
        await self.dependencies.dead_letters.delete(delivery)
        await self.dependencies.board.show(record, show_result=show_result)

    with replaced(DeadLetters, "_finish", hasty):
        yield


# --- the submitter ------------------------------------------------------------------------------------


@contextmanager
def _enqueue_before_create() -> Iterator[None]:
    accept = Submitter._accept

    async def hasty(self: Submitter, message: Any, **more: Any) -> Stored:
        await self.queue.send(message.to_envelope())
        return await accept(self, message, **more)

    with replaced(Submitter, "_accept", hasty):
        yield


@contextmanager
def _no_second_message() -> Iterator[None]:
    ensure = AsyncStatusBoard.ensure

    async def accept(self: Submitter, message: Any, **more: Any) -> Stored:
        stored, created = await ensure(self.board, message.submission, **more)
        if created:
            await self.queue.send(message.to_envelope())
        return stored

    with replaced(Submitter, "_accept", accept):
        yield


@contextmanager
def _digest_not_compared() -> Iterator[None]:
    async def accept(self: Submitter, message: Any, **more: Any) -> Stored:
        stored, _ = await self.board.ensure(message.submission, **more)
        await self.queue.send(message.to_envelope())
        return stored

    with replaced(Submitter, "_accept", accept):
        yield


MUTATIONS = (
    Mutation(
        name="publish without a condition",
        plant=_unconditional_publish,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "progress": 1}),
    ),
    Mutation(name="publish before decide", plant=_publish_before_decide, scenario=Scenario(submitted=True, cancel=True, budget={})),
    Mutation(name="delete before publish", plant=_delete_before_publish, scenario=Scenario(submitted=True, budget={"crash": 1})),
    Mutation(
        name="decide without attempt and token",
        plant=lambda: _guards(_any_claim_holds),
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1}),
    ),
    Mutation(name="lease ignored", plant=_lease_ignored_everywhere, scenario=Scenario(submitted=True, workers=2, budget={"duplicate": 1})),
    Mutation(
        name="the worker's name instead of a token",
        plant=_worker_name_as_token,
        scenario=Scenario(submitted=True, workers=2, budget={"duplicate": 1}),
    ),
    Mutation(
        name="claim without the attempt seen",
        plant=_claim_without_the_attempt_seen,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "duplicate": 1, "crash": 1}),
    ),
    Mutation(
        name="exhaustion decided under a live lease",
        plant=_exhaustion_under_a_live_lease,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "crash": 1, "duplicate": 1}),
    ),
    Mutation(
        name="backoff only in visibility",
        plant=_backoff_only_in_visibility,
        scenario=Scenario(submitted=True, workers=2, budget={"error": 1, "duplicate": 1}),
    ),
    Mutation(
        name="a non-terminal publish creates",
        plant=_non_terminal_creates,
        scenario=Scenario(submitted=True, workers=2, budget={"progress": 1, "jump": 1, "delete": 1}),
    ),
    Mutation(
        name="dead letters ignore records",
        plant=_dead_letters_ignore_records,
        scenario=Scenario(submitted=True, dead=True, workers=2, max_receives=1, budget={"duplicate": 1}),
    ),
    Mutation(
        name="dead letters are deleted before they are shown",
        plant=_dead_letters_delete_first,
        scenario=Scenario(submitted=True, dead=True, max_receives=1, budget={"crash": 2, "jump": 2, "error": 1}),
    ),
    Mutation(
        name="a worker that lost its claim deletes",
        plant=_a_lost_worker_deletes,
        scenario=Scenario(submitted=True, workers=2, budget={"jump": 1, "beat": 1, "crash": 1}),
    ),
    Mutation(name="the digest is dropped on a rewrite", plant=_digest_dropped, scenario=Scenario(submitted=True)),
    Mutation(
        name="a cancel over an outcome",
        plant=lambda: _guards(_outcome_ignored),
        scenario=Scenario(submitted=True, cancel=True),
    ),
    Mutation(name="enqueue before create", plant=_enqueue_before_create, scenario=Scenario(other=True)),
    Mutation(name="a repeated submit sends no message", plant=_no_second_message, scenario=Scenario(retry=True, budget={"crash": 1})),
    Mutation(name="the digest is not compared", plant=_digest_not_compared, scenario=Scenario(other=True)),
)
