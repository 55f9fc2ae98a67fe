"""One delivery, from claim to deletion: cancels, duplicates, and messages that are not for this worker."""

from __future__ import annotations

from tests.support.lab import lab, single
from tests.support.scripted_handler import ScriptedHandler

from offpoll.operation import Outcome, Status
from offpoll.queue import Message
from offpoll.records import Claim, Undecided

# --- cancel -------------------------------------------------------------------------------------


def test_cancel_while_queued() -> None:
    """An operation that is canceled while it waits is never handled, and its message is deleted."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        assert one.cancel(operation_id).status == "canceled"
        one.system.start_worker()
        one.system.advance(5)
        assert handler.began == []
        one.assert_settled(operation_id)


def test_cancel_while_running() -> None:
    """A cancel changes the document at once, and stops a running handler at its next renewal."""
    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(5)
        assert one.cancel(operation_id).status == "canceled"
        assert handler.ended == []
        one.system.advance(12)
        assert handler.ended == ["cancelled"]
        one.assert_settled(operation_id)


def test_cancel_between_two_attempts() -> None:
    """After a cancel during a backoff, when no worker holds the operation, no attempt begins and the message is deleted."""
    handler = ScriptedHandler(ValueError("once"))
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(1.5)
        record = one.record(operation_id)
        assert record is not None
        assert (record.attempt, record.token) == (1, None)
        assert one.cancel(operation_id).status == "canceled"
        one.system.advance(30)
        assert handler.began == [1]
        one.assert_settled(operation_id)


def test_cancel_races_completion() -> None:
    """If a cancel is decided before the handler's result, that is the only outcome, and the worker publishes it."""
    handler = ScriptedHandler(seconds=2)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()

        async def cancel() -> None:
            submission = one.document(operation_id)
            assert submission.status == "queued"
            record = one.record(operation_id)
            assert record is not None
            canceled = Outcome(status=Status.CANCELED)
            await one.system.records.decide(record.submission, canceled, guard=Undecided(), expires_at=record.expires_at)

        one.on_records.meanwhile("decide", cancel)  # the canceller decides, and dies before it publishes
        document = one.until_done(operation_id)
        assert document.status == "canceled"
        assert one.outcome(operation_id).result is None
        one.assert_settled(operation_id)


# --- deliveries ---------------------------------------------------------------------------------


def test_a_duplicate_while_running() -> None:
    """A second delivery runs no second handler: it waits for the lease, finds the outcome, and is deleted."""
    handler = ScriptedHandler(seconds=100)
    with lab(single(handler.function()), workers=2) as one:
        operation_id = one.submit(key="k")
        one.system.advance(3)
        assert one.submit(key="k") == operation_id
        one.system.advance(50)
        assert handler.began == [1]
        one.until_done(operation_id)
        one.system.advance(60)
        assert handler.began == [1]
        one.assert_settled(operation_id)


def test_a_redelivery_repairs_a_stale_document() -> None:
    """If a worker died between decide and publish, the next delivery publishes the outcome and runs no handler."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        submission = one.system.service.dependencies.board.submission_of(one.document(operation_id), owner="public")

        expires_at = one.document(operation_id).expires_at
        assert expires_at is not None
        one.system.run(one.system.records.claim(submission, seen=0, token="t", lease=30, expires_at=expires_at))
        outcome = Outcome(status=Status.SUCCEEDED, result="5")
        one.system.run(one.system.records.decide(submission, outcome, guard=Claim(attempt=1, token="t"), expires_at=expires_at))
        assert one.document(operation_id).status == "queued"
        one.system.start_worker()
        assert one.until_done(operation_id).status == "succeeded"
        assert handler.began == []
        one.assert_settled(operation_id)


def test_an_unknown_kind_is_given_back() -> None:
    """A worker leaves an unknown kind or version to a newer worker: it fails, deletes and parks nothing."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        envelope = one.system.queue.peek()[0]
        for held in one.system.queue._held.values():
            held.envelope = type(envelope)(body=envelope.body, attributes={**envelope.attributes, "kind": "invoice"})
        one.system.start_worker()
        one.system.advance(20)
        assert (one.messages, one.record(operation_id), handler.began) == (1, None, [])
        for held in one.system.queue._held.values():
            held.envelope = type(envelope)(body=envelope.body, attributes={**envelope.attributes, "version": "2"})
        one.system.advance(40)
        assert (one.messages, one.record(operation_id), handler.began) == (1, None, [])
        for held in one.system.queue._held.values():
            held.envelope = envelope
        assert one.until_done(operation_id).status == "succeeded"
        assert not one.system.parking.peek()


def test_a_malformed_message_is_parked() -> None:
    """A message that cannot be read moves to the parking queue as it is, after its operation is failed; the worker goes on."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        envelope = one.system.queue.peek()[0]
        broken = type(envelope)(body=envelope.body, attributes={**envelope.attributes, "created_at": "yesterday"})
        for held in one.system.queue._held.values():
            held.envelope = broken
        one.system.run(one.system.queue.send(type(envelope)(body="?", attributes={})))
        one.system.start_worker()
        error = one.until_done(operation_id).error
        assert error is not None
        assert error["code"] == "malformed_message"
        assert one.system.parking.peek() == [broken, type(envelope)(body="?", attributes={})]
        assert handler.began == []
        assert one.until_done(one.submit(3)).status == "succeeded"


def test_another_inputs_message_is_parked() -> None:
    """A message whose digest is not the record's is parked before its input is handled; its document stays as it is."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        operation_id = one.submit(1)
        document = one.until_done(operation_id)
        submission = one.record(operation_id)
        assert submission is not None
        envelope = one.system.parking.peek()
        assert envelope == []
        message = Message(submission=submission.submission, body="2").to_envelope()
        forged = type(message)(body="2", attributes={**message.attributes, "digest": "e" * 64})
        one.system.run(one.system.queue.send(forged))
        one.system.advance(5)
        assert one.system.parking.peek() == [forged]
        assert one.document(operation_id) == document
        assert handler.began == [1]


def test_a_document_of_another_input_is_left_alone() -> None:
    """If only the document's digest differs (someone put it there), the document stays as it is and the message is parked."""
    handler = ScriptedHandler(seconds=0.0)
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit(1)
        key = f"status/public/{operation_id}"
        one.system.store._objects[key] = one.system.store._objects[key].replace(b'"digest":"', b'"digest":"x')
        before = one.system.store._objects[key]
        one.system.start_worker()
        one.system.advance(10)
        assert one.system.store._objects[key] == before
        assert len(one.system.parking.peek()) == 1
        assert one.messages == 0


def test_unknown_fields_survive() -> None:
    """The worker's rewrite keeps fields that a newer writer put into the document."""
    with lab(single(ScriptedHandler().function()), workers=0) as one:
        operation_id = one.submit()
        key = f"status/public/{operation_id}"
        one.system.store._objects[key] = one.system.store._objects[key][:-1] + b',"priority":3}'
        one.system.start_worker()
        assert one.until_done(operation_id).unknown == {"priority": 3}
