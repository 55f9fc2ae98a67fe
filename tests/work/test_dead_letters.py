"""Dead letters: settled by the rules of a worker that never runs a handler."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.faults import Faults
from tests.support.lab import Lab, lab, single

from offpoll.errors import ConfigurationError, DependencyRefused
from offpoll.operation import Outcome, Status
from offpoll.queue import Envelope, Message
from offpoll.records import Claim, Undecided


async def handle(number: int) -> int:
    return number


def dead(one: Lab, **changes: str) -> tuple[str, Message]:
    """Submit an operation and move its message to the dead letters."""
    operation_id = one.submit()
    (envelope,) = one.system.queue.peek()
    one.system.queue._held.clear()
    envelope = replace(envelope, attributes={**envelope.attributes, **changes})
    one.system.run(one.system.dead_letters.send(envelope))
    return operation_id, Message.from_envelope(replace(envelope, attributes={**envelope.attributes, "version": "1"}))


def claim(one: Lab, message: Message, *, seen: int = 0, lease: float = 30) -> None:
    expires_at = message.submission.created_at + timedelta(days=14)
    one.system.run(one.system.records.claim(message.submission, seen=seen, token=f"t{seen}", lease=lease, expires_at=expires_at))


def test_never_claimed() -> None:
    """A dead letter with attempts left is enqueued again, after a delay, and then deleted; a worker handles it."""
    with lab(single(handle), workers=0) as one:
        operation_id, _ = dead(one)
        one.system.start_worker()
        one.system.advance(10)
        assert (one.messages, one.system.dead_letters.peek()) == (1, [])
        assert not one.document(operation_id).done
        document = one.until_done(operation_id, within=120)
        assert (document.status, document.attempt) == ("succeeded", 1)


def test_decided() -> None:
    """For a decided operation, the document is repaired and the dead letter deleted."""
    with lab(single(handle), workers=0) as one:
        operation_id, message = dead(one)
        claim(one, message)
        expires_at = message.submission.created_at + timedelta(days=14)
        outcome = Outcome(status=Status.SUCCEEDED, result="9")
        one.system.run(one.system.records.decide(message.submission, outcome, guard=Claim(attempt=1, token="t0"), expires_at=expires_at))
        one.system.start_worker()
        assert one.until_done(operation_id, within=10).status == "succeeded"
        assert (one.messages, one.system.dead_letters.peek()) == (0, [])


def test_a_live_lease() -> None:
    """A dead letter waits while another worker holds its operation, and is settled afterwards."""
    with lab(single(handle), workers=0) as one:
        operation_id, message = dead(one)
        claim(one, message, lease=50)
        one.system.start_worker()
        one.system.advance(49)
        assert (one.messages, len(one.system.dead_letters.peek())) == (0, 1)
        assert one.until_done(operation_id, within=120).attempt == 2


def test_exhausted() -> None:
    """With all attempts spent and no live lease, the operation fails and its record keeps the input."""
    with lab(single(handle, attempts=1), workers=0) as one:
        operation_id, message = dead(one)
        claim(one, message, lease=5)
        one.system.start_worker()
        error = one.until_done(operation_id, within=30).error
        assert error is not None
        assert error["code"] == "attempts_exhausted"
        record = one.record(operation_id)
        assert record is not None
        assert record.input == b"1"
        assert one.system.dead_letters.peek() == []


def test_somebody_claims_meanwhile() -> None:
    """If the last attempt renews before exhaustion is decided, the dead letter stays and is settled later."""
    with lab(single(handle, attempts=1), workers=0) as one:
        operation_id, message = dead(one)
        claim(one, message, lease=5)
        one.system.advance(6)
        held = Claim(attempt=1, token="t0")
        one.on_records.meanwhile("decide", lambda: one.system.records.renew(operation_id, held=held, lease=20))
        one.system.start_worker()
        one.system.advance(15)
        assert len(one.system.dead_letters.peek()) == 1
        assert not one.document(operation_id).done
        expires_at = message.submission.created_at + timedelta(days=14)
        outcome = Outcome(status=Status.SUCCEEDED, result="9")
        one.system.run(one.system.records.decide(message.submission, outcome, guard=held, expires_at=expires_at))
        assert one.until_done(operation_id, within=60).status == "succeeded"


def test_expired() -> None:
    """A dead letter keeps its age: the operation fails once it is older than its window."""
    with lab(single(handle), workers=0) as one:
        operation_id, _ = dead(one)
        one.system.advance(11 * 86_400)
        one.system.start_worker()
        error = one.until_done(operation_id, within=30).error
        assert error is not None
        assert error["code"] == "expired"
        assert one.system.dead_letters.peek() == []


def test_unknown_kind_or_version_stays() -> None:
    """A dead letter that a newer worker may know stays in the queue: nothing is failed, parked or deleted."""
    for changes in ({"kind": "invoice"}, {"version": "2"}):
        with lab(single(handle), workers=0) as one:
            operation_id, _ = dead(one, **changes)
            one.system.start_worker()
            one.system.advance(3600)
            assert (len(one.system.dead_letters.peek()), one.messages, one.system.parking.peek()) == (1, 0, [])
            assert one.record(operation_id) is None


def test_an_unknown_kind_that_is_too_old() -> None:
    """After its window even a newer worker could only fail it, so it ends as expired before the queue drops its message."""
    with lab(single(handle), workers=0) as one:
        operation_id, _ = dead(one, kind="invoice")
        one.system.advance(11 * 86_400)
        one.system.start_worker()
        document = one.until_done(operation_id, within=30)
        assert (document.status, (document.error or {})["code"]) == ("failed", "expired")
        assert (one.system.dead_letters.peek(), one.system.parking.peek()) == ([], [])


def test_an_unknown_kind_that_is_too_old_but_held() -> None:
    """A live lease counts for an unknown kind too: its holder knows the kind and may still succeed."""
    with lab(single(handle), workers=0) as one:
        operation_id, message = dead(one, kind="invoice")
        one.system.advance(11 * 86_400)
        claim(one, message, lease=1000)
        one.system.start_worker()
        one.system.advance(600)
        assert not one.document(operation_id).done
        assert len(one.system.dead_letters.peek()) == 1


def test_an_enqueue_whose_answer_was_lost() -> None:
    """If an enqueue's answer is lost, the dead letter stays and is enqueued again; only one of the two messages is handled."""
    began: list[int] = []

    async def count(number: int) -> int:
        began.append(number)
        return number

    with lab(single(count), workers=0) as one:
        operation_id, _ = dead(one)
        one.on_queue.fail("send", after=True)
        one.system.start_worker()
        one.system.advance(30)
        assert (one.messages, len(one.system.dead_letters.peek())) == (1, 1)
        assert one.until_done(operation_id).attempt == 1
        one.system.advance(600)
        assert (one.messages, one.system.dead_letters.peek(), began) == (0, [], [1])


def test_malformed_is_parked() -> None:
    """A dead letter that no worker can read moves to the parking queue."""
    with lab(single(handle), workers=0) as one:
        one.system.run(one.system.dead_letters.send(Envelope(body="?", attributes={})))
        one.system.start_worker()
        one.system.advance(5)
        assert (one.system.dead_letters.peek(), one.system.parking.peek()) == ([], [Envelope(body="?", attributes={})])


def test_another_input_is_parked() -> None:
    """A dead letter of another input than the record's is parked, and the document stays as it is."""
    with lab(single(handle), workers=0) as one:
        operation_id, message = dead(one)
        other = replace(message, submission=replace(message.submission, digest="e"))
        claim(one, other)
        one.system.start_worker()
        one.system.advance(5)
        assert (one.system.dead_letters.peek(), len(one.system.parking.peek())) == ([], 1)
        assert one.document(operation_id).revision == 1


def test_outages_and_faults_leave_it_there(caplog: pytest.LogCaptureFixture) -> None:
    """Whatever fails, the dead letter stays and is settled afterwards. A fault in offpoll is logged as an error."""
    faults: list[Any] = [None, ZeroDivisionError("a bug"), ConfigurationError("no such queue")]
    for error in faults:
        with lab(single(handle), workers=0) as one:
            operation_id, _ = dead(one)
            one.on_records.fail("get", error=error)
            one.on_queue.fail("send")
            one.system.start_worker()
            one.system.advance(200)
            assert len(one.system.dead_letters.peek()) == 1
            assert one.until_done(operation_id, within=2000).attempt == 1
    told = [(each.levelname, each.exc_info and each.exc_info[0]) for each in caplog.records if "a dead letter stays" in each.message]
    assert ("ERROR", ZeroDivisionError) in told
    assert {level for level, error in told if not error} == {"WARNING"}


@pytest.mark.parametrize("error", [DependencyRefused("SQS", "no"), ConfigurationError("no such queue")], ids=["refused", "misconfigured"])
@pytest.mark.parametrize(("verb", "changes"), [("hide", {"kind": "unknown"}), ("send", {"created_at": "x"})])
def test_settling_raises_nothing(verb: str, changes: dict[str, str], error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A queue that can neither hide nor park a dead letter, or does not exist, is a warning, not a fault in offpoll."""
    with lab(single(handle), workers=0) as one:
        one.submit()
        (envelope,) = one.system.queue.peek()
        one.system.run(one.system.dead_letters.send(replace(envelope, attributes={**envelope.attributes, **changes})))
        Faults(one.system.dead_letters if verb == "hide" else one.system.parking).fail(verb, error=error)
        one.system.start_worker()
        one.system.advance(10)
        assert len(one.system.dead_letters.peek()) == 1
    assert caplog.records
    assert not any(each.exc_info for each in caplog.records)


def test_canceled_while_dead() -> None:
    """The dead letter of a canceled operation is deleted, and its document shows the cancel."""
    with lab(single(handle), workers=0) as one:
        operation_id, message = dead(one)
        claim(one, message, lease=5)
        expires_at = message.submission.created_at + timedelta(days=14)
        canceled = Outcome(status=Status.CANCELED)
        one.system.run(one.system.records.decide(message.submission, canceled, guard=Undecided(), expires_at=expires_at))
        one.system.start_worker()
        assert one.until_done(operation_id, within=10).status == "canceled"
        assert (one.messages, one.system.dead_letters.peek()) == (0, [])


def test_a_message_that_is_never_finished_ends_here() -> None:
    """A message that was delivered too often, without an attempt, becomes a dead letter, returns to the queue, and is handled."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        for _ in range(8):
            (delivery,) = one.system.run(one.system.queue.receive(limit=1, wait=0))
            one.system.run(one.system.queue.hide(delivery, seconds=0))
        assert one.system.run(one.system.queue.receive(limit=1, wait=0)) == []
        assert len(one.system.dead_letters.peek()) == 1
        one.system.start_worker()
        assert one.until_done(operation_id, within=300).attempt == 1
