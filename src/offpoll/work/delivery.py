"""Takes one delivery through the protocol, from the claim to the deletion of its message:

    claim ──► handle ──► decide (record the outcome) ──► publish (show it in the document) ──► delete (the message)

A crash between two steps leaves the message in the queue. Its next delivery finds the record and goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass

from offpoll.dependencies import Dependencies
from offpoll.errors import (
    ConfigurationError,
    DependencyError,
    DependencyRefused,
    DigestMismatch,
    MalformedDocument,
    MalformedMessage,
    UnsupportedMessage,
)
from offpoll.kind import Kind
from offpoll.log_lines import about
from offpoll.operation import Outcome, Record, Status
from offpoll.queue import Delivery, Message
from offpoll.records import Update
from offpoll.settings import Settings
from offpoll.work import operation_log
from offpoll.work.claim import Claimer, input_to_keep
from offpoll.work.handle import Ended, Errored, HandlerRunner, Stopped, too_large
from offpoll.work.job import MARGIN, Ambient, Job, Jobs, Stop
from offpoll.work.operation_log import Seldom
from offpoll.work.outage import Outage, give_back
from offpoll.work.parking import Parking
from offpoll.work.timing import ServiceTimesBuffer
from offpoll.work.verdict import AFTER_LEASE, Decided, Held, Mine, exhausted

__all__ = ["DeliveryProcessor"]

log = logging.getLogger(__name__)

#: When a message that this worker cannot use now comes back, seconds: an unknown kind, a newer version, a dependency that refuses.
GIVE_BACK = 30.0

#: DynamoDB's code for an item it never accepts. Here that means over 400 KB, because the same table accepted the claim.
ITEM_REFUSED = "ValidationException"

#: The longest pause between attempts, seconds: SQS's longest delay, so that every queue supports it.
LONGEST_BACKOFF = 900.0


@dataclass(frozen=True, kw_only=True)
class DeliveryProcessor:
    """Takes deliveries through the protocol.

    Args:
        backoff: longest pause after the first attempt, seconds; each further attempt doubles it.
        unsupported: counts messages that this worker cannot use now.
    """

    dependencies: Dependencies
    kinds: Mapping[str, Kind]
    claimer: Claimer
    runner: HandlerRunner
    outage: Outage
    timing: ServiceTimesBuffer
    jobs: Jobs
    backoff: float
    ambient: Ambient
    unsupported: Seldom

    @classmethod
    def of(
        cls,
        dependencies: Dependencies,
        *,
        settings: Settings,
        kinds: Mapping[str, Kind],
        runner: HandlerRunner,
        outage: Outage,
        timing: ServiceTimesBuffer,
        jobs: Jobs,
        ambient: Ambient,
        unsupported: Seldom | None = None,
        lease: float | None = None,
    ) -> DeliveryProcessor:
        """Return a processor whose claims take the settings' lease unless you give another."""
        return cls(
            dependencies=dependencies,
            kinds=kinds,
            claimer=Claimer.of(dependencies.records, settings=settings, kinds=kinds, clock=ambient.clock, lease=lease),
            runner=runner,
            outage=outage,
            timing=timing,
            jobs=jobs,
            backoff=settings.backoff,
            ambient=ambient,
            unsupported=unsupported or Seldom(ambient.monotonic),
        )

    @property
    def parking(self) -> Parking:
        """Where unreadable messages go."""
        return Parking.of(self.dependencies, self.claimer.lifetime, queue=self.dependencies.queue)

    async def process(self, delivery: Delivery) -> None:
        """Work on a delivery. Raises nothing: after an error the message comes back."""
        with about(**delivery.names):
            await self._process(delivery)

    async def _process(self, delivery: Delivery) -> None:
        try:
            message = Message.from_envelope(delivery.envelope)
            if message.submission.kind not in self.kinds:
                raise UnsupportedMessage(f"no handler for kind {message.submission.kind!r} in this worker; the message may be newer")
        except UnsupportedMessage as error:
            if count := self.unsupported.count(str(error)):
                log.warning("message given back: %s (%d in the last minute or more)", error, count)
            await self._give_back(delivery, seconds=GIVE_BACK)
            return
        except MalformedMessage as error:
            await self._guarded(delivery, self.parking.malformed(delivery, error))
            return
        if self.outage.stopping:  # received while the worker was told to stop
            await self._give_back(delivery, seconds=0.0)
            return
        now, kind = self.ambient.monotonic(), self.kinds[message.submission.kind]
        job = Job(delivery=delivery, message=message, kind=kind, token=self.ambient.token(), last_beat=now, last_beat_try=now)
        self.jobs.add(job)
        try:
            await self._guarded(delivery, self._work(job), job)
        finally:
            job.closed = True
            self.jobs.remove(job)
            await self.runner.vacated(job)

    async def _guarded(self, delivery: Delivery, work: Awaitable[None], job: Job | None = None) -> None:
        try:
            await work
        except (DigestMismatch, MalformedDocument) as error:
            await self._guarded(delivery, self.parking.park(delivery, str(error)))
        except Exception as error:
            # Anything but a dependency's or the operator's fault is a fault in offpoll. Other operations go on; after too many deliveries
            # this one is a dead letter.
            log.error("message given back: %s", error, exc_info=not isinstance(error, DependencyError | ConfigurationError))
            if job is not None:
                await job.close()
            await self._give_back(delivery, seconds=GIVE_BACK)

    async def _work(self, job: Job) -> None:
        operation_id, begun = job.message.submission.operation_id, self.ambient.monotonic()
        verdict = await self.outage.through(
            lambda: self.claimer.claim(job.message, token=job.token, attempts=job.kind.attempts), what=f"operation {operation_id}: claim"
        )
        match verdict:
            case Held(seconds=seconds, holder=holder):
                operation_log.held(log, job, holder, seconds + AFTER_LEASE)
                await job.close()
                await self._give_back(job.delivery, seconds=seconds + AFTER_LEASE)
            case Decided(record=record):
                await self._finish(job, record)
            case Mine(record=record, before=before):
                lease = self.claimer.lease
                job.claim_began, job.lease_ends, job.record = begun, begun + lease, record
                operation_log.begins(log, job, before, now=self.ambient.clock())
                lapsing = self.ambient.monotonic() >= job.lease_ends - lease * MARGIN  # a long outage lost the response
                if not lapsing or await self._still_mine(job):
                    await self._handle(job)

    async def _handle(self, job: Job) -> None:
        """Run the handler. If its lease lapsed but no other worker claimed the operation, run it again under the same claim."""
        while not self.outage.stopping and job.stop_reason is not Stop.SHUTDOWN:
            match await self.runner.run(job):
                case Ended(outcome=outcome):
                    return await self._decide(job, outcome)
                case Errored(code=code):
                    return await self._errored(job, code)
                case Stopped(reason=Stop.LOST):
                    operation_log.overtaken(log, job)
                    return await job.close()
                case Stopped(reason=Stop.DECIDED):  # show that at once; a handler that still runs keeps only its slot
                    if not await self._still_mine(job):
                        return None
                    await self.runner.vacated(job)
                case Stopped(reason=reason):
                    await self.runner.vacated(job)
                    if reason is not Stop.SHUTDOWN and not await self._still_mine(job):
                        return None
        await self._release(job, backoff=0.0, how="stopped with its worker")  # the handler has ended: another may begin at once

    async def _still_mine(self, job: Job) -> bool:
        """Ask, after a lapse or a decision, whether the claim still stands. If the operation has an outcome, show it."""
        held, submission = job.claim, job.message.submission
        assert held is not None  # noqa: S101 - only claimed jobs are handled

        async def renew() -> Update:
            begun = self.ambient.monotonic()
            update = await self.dependencies.records.renew(submission.operation_id, held=held, lease=self.claimer.lease)
            if update.applied:
                job.lease_ends = begun + self.claimer.lease
            return update

        update = await self.outage.through(renew, what=f"operation {submission.operation_id}: renew")
        if update.applied:
            return True
        if update.record is not None and update.record.done:
            await self._finish(job, update.record)
        else:
            operation_log.overtaken(log, job)
        return False

    async def _decide(self, job: Job, outcome: Outcome) -> None:
        """Record the outcome under the claim, then show the recorded one: this, or an earlier one."""
        operation_id = job.message.submission.operation_id
        update = await self.outage.through(lambda: self._record(job, outcome), what=f"operation {operation_id}: decide")
        if update.record is not None and update.record.done:
            await self._finish(job, update.record, took=self.ambient.monotonic() - job.claim_began if update.applied else None)
        else:
            operation_log.overtaken(log, job)
            await job.close()

    async def _record(self, job: Job, outcome: Outcome) -> Update:
        held, submission = job.claim, job.message.submission
        assert held is not None  # noqa: S101 - only claimed jobs are handled
        failed = outcome.status is Status.FAILED
        try:
            return await self.dependencies.records.decide(
                submission,
                outcome,
                guard=held,
                expires_at=self.claimer.expires_at(submission),
                input=input_to_keep(job.message) if failed else None,
            )
        except DependencyRefused as error:
            if failed or error.code != ITEM_REFUSED:
                raise
            # The table refuses this result, not this worker, so waiting would not help, and other operations need not wait either.
            log.error("operation %s: its result cannot be recorded: %s", submission.operation_id, error)
            return await self._record(job, too_large("The result is too large to be recorded."))

    async def _errored(self, job: Job, code: str) -> None:
        held = job.claim
        assert held is not None  # noqa: S101 - only claimed jobs are handled
        if held.attempt >= job.kind.attempts:
            await self._decide(job, exhausted(held.attempt, cause=code))
        else:
            longest = min(LONGEST_BACKOFF, self.backoff * 2 ** (held.attempt - 1))
            await self._release(job, backoff=longest * (1 + self.ambient.random()) / 2, how=f"ended with {code}")

    async def _release(self, job: Job, *, backoff: float, how: str) -> None:
        """Give the claim up. The record's lease holds the backoff, so no worker starts sooner, even if the queue delivers sooner."""
        took = self.ambient.monotonic() - job.claim_began
        held, operation_id = job.claim, job.message.submission.operation_id
        assert held is not None  # noqa: S101 - only claimed jobs are handled
        update = await self.outage.through(
            lambda: self.dependencies.records.release(operation_id, held=held, backoff=backoff), what=f"operation {operation_id}: release"
        )
        record = update.record
        if record is not None and record.done:
            return await self._finish(job, record)
        await job.close()
        if record is None or record.attempt != held.attempt:  # the next attempt has begun, and its holder hides the message
            return operation_log.overtaken(log, job)
        operation_log.failed_attempt(log, job, how=how, took=took, again_in=backoff)
        # Applied now, or applied before with a lost response: only a release takes the token from an attempt.
        await self._give_back(job.delivery, seconds=backoff + AFTER_LEASE if backoff else 0.0)

    async def _finish(self, job: Job, record: Record, *, took: float | None = None) -> None:
        """Show the outcome, and only then delete the message. `took` is the time from claim to decision, if this worker decided."""
        operation_id, board = record.submission.operation_id, self.dependencies.board
        promised = job.promised

        async def publish() -> None:
            nonlocal promised
            held = job.shown or await board.read(record.submission.status_key)
            if held is not None and held.document.status == Status.QUEUED:  # no later estimate has replaced the first
                promised = held.document.estimate
            await board.show(record, held=held, show_result=job.kind.show_result)

        await self.outage.through(publish, what=f"operation {operation_id}: publish")
        if took is not None:
            self.timing.observe(job.kind.name, took, promised=promised, finished_at=record.finished_at)
        await job.close()
        await self.outage.through(lambda: self.dependencies.queue.delete(job.delivery), what=f"operation {operation_id}: delete")
        operation_log.ended(log, record, took=took)

    async def _give_back(self, delivery: Delivery, *, seconds: float) -> None:
        await give_back(self.dependencies.queue, delivery, seconds=seconds)
