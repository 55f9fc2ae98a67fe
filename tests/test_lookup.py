"""Looking up and canceling operations, below HTTP: responses while a store is out of reach, and the outcome of races."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from tests.support.lab import Lab, lab, single

from offpoll.errors import DependencyUnavailable, MalformedDocument, NotCancelable, OperationNotFound
from offpoll.operation import Outcome, Status
from offpoll.records import Claim


async def handle(number: int) -> int:
    await asyncio.sleep(5)
    return number


def claim(one: Lab, operation_id: str) -> None:
    submission = one.system.service.dependencies.board.submission_of(one.document(operation_id), owner="public")
    expires_at = submission.created_at + timedelta(days=14)
    one.system.run(one.system.records.claim(submission, seen=0, token="t", lease=30, expires_at=expires_at))


def test_a_missing_document_of_a_known_operation() -> None:
    """If an operation's document is missing or broken, its record provides the response."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        for body in (None, b"broken"):
            one.system.store._objects.clear()
            if body is not None:
                one.system.store._objects[f"status/public/{operation_id}"] = body
            order = one.system.run(one.system.service.get("order", operation_id))
            assert (order.document.status, order.document.attempt, order.result) == ("running", 1, None)


def test_a_broken_document_of_an_unclaimed_operation() -> None:
    """If there is no record either, an unreadable document is a fault, not an unknown operation."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.system.store._objects[f"status/public/{operation_id}"] = b"broken"
        with pytest.raises(MalformedDocument):
            one.system.run(one.system.service.get("order", operation_id))


def test_cancel_needs_a_document() -> None:
    """An operation that was never submitted, or is past its retention, cannot be canceled, and gets no record."""
    with lab(single(handle), workers=0) as one:
        with pytest.raises(OperationNotFound):
            one.cancel("a" * 32)
        assert one.record("a" * 32) is None


def test_cancel_loses_to_an_outcome() -> None:
    """If an outcome is recorded but not yet shown, cancel publishes it and says that the cancel came too late."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        record = one.record(operation_id)
        assert record is not None
        outcome = Outcome(status=Status.SUCCEEDED, result="1")
        held = Claim(attempt=1, token="t")
        one.on_records.meanwhile(
            "decide", lambda: one.system.records.decide(record.submission, outcome, guard=held, expires_at=record.expires_at)
        )
        with pytest.raises(NotCancelable, match="succeeded"):
            one.cancel(operation_id)
        assert one.document(operation_id).status == "succeeded"


def test_cancel_meets_a_claim() -> None:
    """A claim between the canceller's read and its decision does not stop the cancel."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        submission = one.system.service.dependencies.board.submission_of(one.document(operation_id), owner="public")
        expires_at = submission.created_at + timedelta(days=14)
        one.on_records.meanwhile("decide", lambda: one.system.records.claim(submission, seen=0, token="t", lease=30, expires_at=expires_at))
        assert one.cancel(operation_id).status == "canceled"
        record = one.record(operation_id)
        assert record is not None
        assert (record.attempt, record.status) == (1, "canceled")


@pytest.mark.parametrize(("target", "verb"), [("store", "read"), ("records", "get"), ("records", "decide"), ("store", "replace")])
@pytest.mark.parametrize("after", [False, True])
def test_a_cancel_that_fails_can_be_repeated(target: str, verb: str, after: bool) -> None:
    """Whichever step fails, the effect is unknown. Repeating the cancel ends with one canceled operation."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        getattr(one, f"on_{target}").fail(verb, after=after)
        with pytest.raises(DependencyUnavailable):
            one.cancel(operation_id)
        for _ in range(2):
            assert one.cancel(operation_id).status == "canceled"
        one.system.start_worker()
        one.system.advance(5)
        assert (one.messages, one.document(operation_id).revision) == (0, 2)


def test_a_cancel_long_after_the_end() -> None:
    """A done document is enough: cancel decides nothing about an operation whose record has expired."""
    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
        one.system._workers[0][0].drain()  # a worker would poll for fifteen days
        one.system.advance(15 * 86_400)
        with pytest.raises(NotCancelable, match="succeeded"):
            one.cancel(operation_id)
        with pytest.raises(OperationNotFound, match="past its retention"):
            one.system.run(one.system.service.get("order", operation_id))
