"""Metrics of operations, derived from the responses of the stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.faults import Faults

from offpoll.board import AsyncStatusBoard
from offpoll.document_store import MemoryDocumentStore
from offpoll.errors import DependencyUnavailable, DocumentChanged
from offpoll.measured import MeasuredRecords, MeasuredStore
from offpoll.operation import Outcome, Status, Submission
from offpoll.records import Claim, Idle, MemoryRecords

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
SUBMISSION = Submission(operation_id="0" * 32, kind="order", owner="public", status_key="k", digest=None, base_url="", created_at=NOON)
EXPIRES = NOON + timedelta(days=14)
DONE = Outcome(status=Status.SUCCEEDED, result="1")


class Counted:
    """Metrics that remember what they were given."""

    def __init__(self) -> None:
        self.lines: list[tuple[Any, ...]] = []

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        self.lines.append((name, value, dimensions))

    def observe(self, name: str, value: float, *, unit: str, **dimensions: str) -> None:
        self.lines.append((name, value, unit, dimensions))


class Measured:
    """Measured records on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = NOON
        self.metrics = Counted()
        self.below = MemoryRecords(clock=lambda: self.now)
        self.records = MeasuredRecords(self.below, metrics=self.metrics)

    async def claimed(self, attempt: int) -> Claim:
        await self.records.claim(SUBMISSION, seen=attempt - 1, token=f"t{attempt}", lease=10.0, expires_at=EXPIRES)
        return Claim(attempt=attempt, token=f"t{attempt}")


@pytest.fixture
def measured() -> Measured:
    return Measured()


def test_an_operation_that_ends(measured: Measured) -> None:
    """An end is counted with its status, its claims, and the seconds since the first claim."""

    async def main() -> None:
        held = await measured.claimed(1)
        await measured.records.release(SUBMISSION.operation_id, held=held, backoff=0.0)
        measured.now += timedelta(seconds=20)
        held = await measured.claimed(2)
        assert (await measured.records.renew(SUBMISSION.operation_id, held=held, lease=5.0)).applied
        assert (await measured.records.decide(SUBMISSION, DONE, guard=held, expires_at=EXPIRES)).applied
        assert (await measured.records.get(SUBMISSION.operation_id)).record is not None

    asyncio.run(main())
    assert measured.metrics.lines == [
        ("OperationsEnded", 1, {"kind": "order", "status": "succeeded"}),
        ("Attempts", 2, "None", {"kind": "order"}),
        ("ServiceTime", 20.0, "Seconds", {"kind": "order"}),
    ]


def test_it_ends_once(measured: Measured) -> None:
    """A decision that came too late, or whose response was lost, is not counted."""

    async def main() -> None:
        held = await measured.claimed(1)
        await measured.records.decide(SUBMISSION, DONE, guard=held, expires_at=EXPIRES)
        measured.metrics.lines.clear()
        assert not (await measured.records.decide(SUBMISSION, DONE, guard=held, expires_at=EXPIRES)).applied
        other = replace(SUBMISSION, operation_id="1" * 32)
        Faults(measured.below).fail("decide", after=True)
        with pytest.raises(DependencyUnavailable):
            await measured.records.decide(other, DONE, guard=Idle(attempt=0), expires_at=EXPIRES)

    asyncio.run(main())
    assert measured.metrics.lines == []


def test_an_end_without_a_claim(measured: Measured) -> None:
    """An operation that ends before its first claim is counted, without attempts and service time."""
    canceled = Outcome(status=Status.CANCELED, error={"code": "canceled", "message": ""})
    asyncio.run(measured.records.decide(SUBMISSION, canceled, guard=Idle(attempt=0), expires_at=EXPIRES))
    assert measured.metrics.lines == [("OperationsEnded", 1, {"kind": "order", "status": "canceled"})]


def test_publish_conflicts() -> None:
    """A conflict is counted and still raised to the publisher. A board works on the measured store as on any other."""
    metrics = Counted()
    below = MemoryDocumentStore(clock=lambda: NOON)
    store = MeasuredStore(below, metrics=metrics)

    async def main() -> None:
        etag = await store.create("k", b"1")
        await store.replace("k", b"2", etag=etag)
        with pytest.raises(DocumentChanged):
            await store.replace("k", b"3", etag=etag)
        assert (await store.read("k") or (b"",))[0] == b"2"
        board = AsyncStatusBoard(store=store)
        assert (await board.open("0" * 32, kind="order")).href.startswith(f"{below.origin}/status/public/{'0' * 32}?")

    asyncio.run(main())
    assert metrics.lines == [("PublishConflicts", 1, {})]


def test_every_verb_is_passed_on() -> None:
    """The measuring wrappers have every verb of what they wrap."""

    def verbs(target: Callable[..., Any]) -> set[str]:
        return {name for name in vars(target) if not name.startswith("_")}

    assert verbs(MeasuredRecords) >= {"get", "claim", "renew", "release", "decide"}
    assert verbs(MeasuredStore) >= {"create", "replace", "read", "sign"}
