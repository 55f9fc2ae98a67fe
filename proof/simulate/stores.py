"""Shows a machine store, queue and records through its failing lines. The queue and its counters have further faults."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextvars import Context
from datetime import datetime

from offpoll.document_store import DocumentStore
from offpoll.estimate.history import Span
from offpoll.link import StatusLink
from offpoll.operation import Outcome, Submission
from offpoll.queue import Delivery, Depth, Envelope, Queue
from offpoll.records import Claim, Guard, Records, Update
from offpoll.service_times import ServiceTimes
from proof.simulate.machine import Machine

__all__ = ["FaultyQueue", "FaultyRecords", "FaultyServiceTimes", "FaultyStore"]

#: Shares of messages that come twice, of messages up to `LATE` seconds late, and of deliveries whose visibility lapses within 5 s.
DUPLICATE, REORDERED, LAPSE, LATE = 0.01, 0.05, 0.004, 20.0

#: Shares of shuffled batches, and of depths that are out of date.
SHUFFLED, STALE = 0.1, 0.7


class FaultyStore:
    """The document store through a line."""

    def __init__(self, machine: Machine, target: DocumentStore) -> None:
        self._call, self._target = machine.lines["store"].call, target

    async def create(self, key: str, body: bytes) -> str:
        return await self._call("create", _id(key), self._target.create, key, body)

    async def replace(self, key: str, body: bytes, *, etag: str) -> str:
        return await self._call("replace", _id(key), self._target.replace, key, body, etag=etag)

    async def read(self, key: str) -> tuple[bytes, str] | None:
        return await self._call("read", _id(key), self._target.read, key)

    def sign(self, key: str, *, lifetime: float) -> StatusLink:
        return self._target.sign(key, lifetime=lifetime)


class FaultyRecords:
    """The records through a line. The ledger learns what an answer says of an attempt once it has arrived."""

    def __init__(self, machine: Machine, target: Records) -> None:
        self._machine, self._call, self._target = machine, machine.lines["records"].call, target

    async def get(self, operation_id: str) -> Update:
        return await self._call("get", operation_id, self._target.get, operation_id)

    async def claim(self, submission: Submission, *, seen: int, token: str, lease: float, expires_at: datetime) -> Update:
        operation_id = submission.operation_id
        update = await self._call(
            "claim", operation_id, self._target.claim, submission, seen=seen, token=token, lease=lease, expires_at=expires_at
        )
        if update.record is not None and update.record.token == token:
            self._machine.ledger.of(operation_id).told[update.record.attempt] = True
        return update

    async def renew(self, operation_id: str, *, held: Claim, lease: float) -> Update:
        update = await self._call("renew", operation_id, self._target.renew, operation_id, held=held, lease=lease)
        self._machine.ledger.of(operation_id).told[held.attempt] = update.applied
        return update

    async def release(self, operation_id: str, *, held: Claim, backoff: float) -> Update:
        return await self._call("release", operation_id, self._target.release, operation_id, held=held, backoff=backoff)

    async def decide(
        self, submission: Submission, outcome: Outcome, *, guard: Guard, expires_at: datetime, input: bytes | None = None
    ) -> Update:
        verb = f"decide {outcome.status}"
        return await self._call(
            verb, submission.operation_id, self._target.decide, submission, outcome, guard=guard, expires_at=expires_at, input=input
        )


class FaultyServiceTimes:
    """The service times through the line to the records, because both are in the same table."""

    def __init__(self, machine: Machine, target: ServiceTimes) -> None:
        self._call, self._target = machine.lines["records"].call, target

    async def add(self, kind: str, span: Span) -> None:
        await self._call("add", None, self._target.add, kind, span)

    async def spans(self, kind: str) -> Sequence[Span]:
        return await self._call("spans", None, self._target.spans, kind)


class FaultyQueue:
    """A queue through a line: messages come twice, late, in another order, or back too soon.

    Args:
        machine: whose line it is.
        target: the in-memory queue.
        name: for the log.
        pause: mean seconds between the first two receives of a long poll; pauses then grow. (The in-memory queue's long poll wakes every
            receiver for each message.)
    """

    def __init__(self, machine: Machine, target: Queue, *, name: str, pause: float) -> None:
        self._machine, self._target, self._name, self._pause = machine, target, name, pause
        self._call, self._dice, self._ledger = machine.lines["queue"].call, machine.dice, machine.ledger
        self._depth: Depth | None = None

    async def send(self, envelope: Envelope, *, delay: float = 0.0) -> None:
        about, who = _about(envelope), self._machine.name
        if self._dice.happens(REORDERED):
            delay += self._dice.between(0, LATE)
            self._ledger.fault("reordered_message", who, about)
        await self._call(f"send to {self._name}", about, self._target.send, envelope, delay=delay)
        if self._dice.happens(DUPLICATE):
            self._ledger.fault("duplicate_message", who, about)
            await self._target.send(envelope, delay=self._dice.between(0, LATE))

    async def receive(self, *, limit: int, wait: float) -> Sequence[Delivery]:
        loop = self._machine.loop
        deadline, pause = loop.time() + wait, self._pause
        while not (deliveries := await self._call("receive", None, self._target.receive, limit=limit, wait=0.0)):
            if loop.time() >= deadline:
                return deliveries
            await asyncio.sleep(pause * (0.5 + self._dice.random()))
            pause *= 1.5
        if len(deliveries) > 1 and self._dice.happens(SHUFFLED):
            deliveries = self._dice.source.sample(deliveries, len(deliveries))
            self._ledger.fault("shuffled_batch", self._machine.name)
        for delivery in deliveries:
            self._received(delivery)
        return deliveries

    async def delete(self, delivery: Delivery) -> None:
        await self._call(f"delete, in {self._name}", _about(delivery.envelope), self._target.delete, delivery)

    async def hide(self, delivery: Delivery, *, seconds: float) -> None:
        await self._call(f"hide for {seconds:.1f} s", _about(delivery.envelope), self._target.hide, delivery, seconds=seconds)

    async def depth(self) -> Depth:
        if self._depth is not None and self._dice.happens(STALE):
            self._ledger.fault("stale_depth", self._machine.name)
            return self._depth
        self._depth = await self._call("depth", None, self._target.depth)
        return self._depth

    def _received(self, delivery: Delivery) -> None:
        about, who = _about(delivery.envelope), self._machine.name
        self._ledger.note(who, f"delivery {delivery.receives} from {self._name}", about)
        if self._machine.version == 1 and delivery.envelope.attributes.get("kind") == "refund":
            self._ledger.fault("unknown_kind", who, about)
        if self._dice.happens(LAPSE):
            self._ledger.fault("visibility_lapse", who, about)
            self._machine.loop.create_task(self._lapse(delivery, self._dice.between(0, 5)), context=Context())

    async def _lapse(self, delivery: Delivery, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._target.hide(delivery, seconds=0.0)


def _id(key: str) -> str:
    return key.rpartition("/")[2]


def _about(envelope: Envelope) -> str | None:
    return envelope.attributes.get("operation_id")
