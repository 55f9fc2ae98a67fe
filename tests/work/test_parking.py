"""Parking: what happens to messages that no worker can read."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.faults import Faults
from tests.support.lab import Lab, lab, single

from offpoll.errors import DependencyUnavailable, MalformedMessage
from offpoll.operation import Outcome, Status
from offpoll.queue import Delivery, Envelope
from offpoll.records import Undecided
from offpoll.work.parking import Parking

BROKEN = Envelope(body="?", attributes={})


async def handle(number: int) -> int:
    return number


class Counts:
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.counted: list[str] = []

    def count(self, name: str, value: int = 1, **dimensions: str) -> None:
        self.counted += [name] * value


def parking(one: Lab, *, metrics: Counts | None = None) -> Parking:
    system = one.system
    return Parking(
        queue=system.queue,
        parking=system.parking,
        records=system.records,
        board=system.service.dependencies.board,
        lifetime=1e6,
        metrics=metrics or Counts(),
    )


def delivery(one: Lab) -> Delivery:
    one.system.queue._held.clear()
    one.system.run(one.system.queue.send(BROKEN))
    (delivered,) = one.system.run(one.system.queue.receive(limit=1, wait=0))
    return delivered


def test_of_no_operation() -> None:
    """A message that names no operation moves to the parking queue as it is."""
    with lab(single(handle), workers=0) as one:
        one.system.run(parking(one).malformed(delivery(one), MalformedMessage("?")))
        assert (one.system.queue.peek(), one.system.parking.peek()) == ([], [BROKEN])


def test_of_a_known_operation() -> None:
    """The message's operation is failed first, in the record and then in the document."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        error = MalformedMessage("?", operation_id=operation_id, owner="public")
        one.system.run(parking(one).malformed(delivery(one), error))
        record = one.record(operation_id)
        assert record is not None
        assert (record.status, one.document(operation_id).status) == ("failed", "failed")


def test_of_an_unknown_operation() -> None:
    """Without a document nothing is decided, because the id may be made up."""
    with lab(single(handle), workers=0) as one:
        error = MalformedMessage("?", operation_id="a" * 32, owner="public")
        one.system.run(parking(one).malformed(delivery(one), error))
        assert one.record("a" * 32) is None
        assert one.system.parking.peek() == [BROKEN]


@pytest.mark.parametrize("shown", [True, False])
def test_of_a_decided_operation(shown: bool) -> None:
    """An outcome stays as it is; a document that lags behind it is repaired."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        board = one.system.service.dependencies.board
        submission = board.submission_of(one.document(operation_id), owner="public")
        expires_at = submission.created_at + timedelta(days=14)
        records = one.system.records
        one.system.run(records.claim(submission, seen=0, token="t", lease=1, expires_at=expires_at))
        update = one.system.run(records.decide(submission, Outcome(status=Status.SUCCEEDED), guard=Undecided(), expires_at=expires_at))
        assert update.record is not None
        if shown:
            one.system.run(board.show(update.record))
        error = MalformedMessage("?", operation_id=operation_id, owner="public")
        one.system.run(parking(one).malformed(delivery(one), error))
        assert one.document(operation_id).status == "succeeded"
        assert one.system.parking.peek() == [BROKEN]


def test_a_fault_leaves_the_message() -> None:
    """If a step fails, the message stays in its queue, and repeating the steps parks it."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        error = MalformedMessage("?", operation_id=operation_id, owner="public")
        delivered = delivery(one)
        for faults, verb in ((one.on_store, "read"), (one.on_records, "decide"), (one.on_store, "replace"), (one.on_queue, "delete")):
            faults.fail(verb)
            with pytest.raises(DependencyUnavailable):
                one.system.run(parking(one).malformed(delivered, error))
            assert one.system.queue.peek() == [BROKEN]
        one.system.run(parking(one).malformed(delivered, error))
        assert one.system.queue.peek() == []
        assert set(map(str, one.system.parking.peek())) == {str(BROKEN)}


@pytest.mark.parametrize("where", ["queue", "dead_letters"])
def test_a_worker_counts_what_it_parks(where: str, caplog: pytest.LogCaptureFixture) -> None:
    """For each message that a worker parks, from either queue, it logs an error and counts for the alarm; then it goes on."""
    counts = Counts()
    with lab(single(handle), workers=0) as one:
        service = one.system.service
        service.dependencies = replace(service.dependencies, metrics=counts)
        one.system.run(getattr(one.system, where).send(BROKEN))
        one.system.start_worker()
        one.system.advance(30)
        assert (counts.counted, one.system.parking.peek()) == (["MessagesParked"], [BROKEN])
        assert [each.levelname for each in caplog.records if "message parked: " in each.getMessage()] == ["ERROR"]
        assert one.until_done(one.submit()).status == "succeeded"


def test_what_was_not_parked_is_not_counted() -> None:
    """A message that could not be parked is not counted until it is in the parking queue."""
    counts = Counts()
    with lab(single(handle), workers=0) as one:
        delivered, on_parking = delivery(one), Faults(one.system.parking)
        on_parking.fail("send")
        with pytest.raises(DependencyUnavailable):
            one.system.run(parking(one, metrics=counts).park(delivered, "?"))
        assert counts.counted == []
        one.system.run(parking(one, metrics=counts).park(delivered, "?"))
        assert counts.counted == ["MessagesParked"]
