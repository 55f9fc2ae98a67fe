"""One delivery, from claim to deletion: every step that can fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.lab import Lab, lab, single
from tests.support.scripted_handler import ScriptedHandler

from offpoll.errors import DependencyRefused, DocumentExists, Fail, HandlerStopped
from offpoll.operation import Operation
from offpoll.queue import Message
from offpoll.records import Update
from offpoll.work.job import Stop


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("target", "verb"), [("records", "claim"), ("records", "decide"), ("store", "replace"), ("queue", "delete")])
def test_each_step_survives_a_fault(target: str, verb: str, after: bool) -> None:
    """If a call fails or loses its answer, the worker repeats the step: one attempt, one run, one outcome."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        getattr(one, f"on_{target}").fail(verb, times=3, after=after)
        operation_id = one.submit()
        document = one.until_done(operation_id)
        one.system.advance(60)
        assert (document.status, document.attempt, handler.began) == ("succeeded", 1, [1])
        one.assert_settled(operation_id)


def test_the_record_is_out_of_reach_at_decide() -> None:
    """The worker keeps result, lease and message until the record is back, receives nothing new, and spends no attempt."""
    handler = ScriptedHandler(seconds=5)
    with lab(single(handler.function())) as one:
        operation_id = one.submit(1)
        one.system.advance(4)
        one.on_records.down()
        one.system.advance(40)
        receives = one.on_queue.count("receive")
        other = one.submit(2)
        one.system.advance(3600)
        assert one.on_queue.count("receive") <= receives + 1  # the one that was under way
        assert handler.ended == ["ended"]
        one.on_records.up()
        assert one.until_done(operation_id, within=60).attempt == 1
        assert one.until_done(other, within=60).attempt == 1
        assert handler.began == [1, 1]


@pytest.mark.parametrize("seconds", [5, 60], ids=["at decide", "while it runs"])
def test_idle_workers_in_an_outage(seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    """However long the table is down, idle workers take nothing over: the holder keeps the message hidden and logs why."""
    handler = ScriptedHandler(seconds=seconds)
    with lab(single(handler.function()), workers=3) as one:
        operation_id = one.submit()
        one.system.advance(4)
        one.on_records.down()
        one.system.advance(3600)
        assert one.on_records.count("claim") == 1
        assert "taking no new messages, trying again" in caplog.text
        one.on_records.up()
        document = one.until_done(operation_id, within=200)
        assert (document.status, document.attempt) == ("succeeded", 1)
        one.assert_settled(operation_id)


def test_the_store_is_down_at_publish() -> None:
    """The outcome is recorded once; when the store is back, the document is published, and only then the message deleted."""
    handler = ScriptedHandler(seconds=5)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(4)
        one.on_store.down()
        one.system.advance(600)
        record = one.record(operation_id)
        assert record is not None
        assert record.done
        assert one.messages == 1
        one.on_store.up()
        assert one.until_done(operation_id, within=60).status == "succeeded"
        assert handler.began == [1]
        one.assert_settled(operation_id)


def test_an_outage_longer_than_the_lease_spends_no_attempt() -> None:
    """A lapsed lease stops the handler; if the claim still stands when the record is back, it runs again in the same attempt."""
    handler = ScriptedHandler(seconds=100)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(5)
        one.on_records.down()
        one.system.advance(40)
        assert (handler.began, handler.ended) == ([1], ["cancelled"])
        one.system.advance(400)
        assert handler.began == [1]
        one.on_records.up()
        document = one.until_done(operation_id, within=200)
        assert (document.attempt, handler.began, handler.ended) == (1, [1, 1], ["cancelled", "ended"])
        one.assert_settled(operation_id)


def test_a_lost_lease() -> None:
    """A worker that lost its claim to another stops its handler, publishes nothing and deletes nothing."""
    handler = ScriptedHandler(seconds=1000)
    with lab(single(handler.function())) as one:
        operation_id = one.submit()
        one.system.advance(5)
        record = one.record(operation_id)
        assert record is not None
        one.system.records._records[operation_id] = replace(record, attempt=2, token="other", lease_until=one.system.loop.now())
        one.system.advance(6)
        assert handler.ended == ["cancelled"]
        before, writes = one.document(operation_id), one.writes
        one.system.advance(10)
        assert (one.document(operation_id), one.writes, one.on_queue.count("delete"), one.messages) == (before, writes, 0, 1)
        assert one.until_done(operation_id, within=3600).attempt == 3


def test_a_refusal_gives_the_message_back() -> None:
    """If a dependency keeps refusing, the worker gives the message back and goes on; once mended, the operation ends."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        one.on_records.fail("claim", times=5, error=DependencyRefused("DynamoDB", "no", code="AccessDenied"))
        operation_id = one.submit()
        one.system.advance(15)
        assert handler.began == []
        assert one.until_done(operation_id, within=60).attempt == 1


def test_a_result_that_the_table_refuses() -> None:
    """A result that the table cannot hold fails the operation at once, without waiting and without a second attempt."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        one.on_records.fail("decide", error=DependencyRefused("DynamoDB", "Item size has exceeded …", code="ValidationException"))
        operation_id = one.submit(1)
        one.system.advance(1.2)
        document = one.document(operation_id)
        assert (document.status, document.error) == (
            "failed",
            {"code": "result_too_large", "message": "The result is too large to be recorded."},
        )
        record = one.record(operation_id)
        assert record is not None
        assert record.input == b"1"
        assert (handler.began, one.on_records.count("decide")) == ([1], 2)
        one.assert_settled(operation_id)


def test_another_refusal_does_not_fail_the_operation() -> None:
    """If a permission is missing at decide, the worker keeps the result and records it once the operator has granted that."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        one.on_records.fail("decide", times=3, error=DependencyRefused("DynamoDB", "no", code="AccessDeniedException"))
        document = one.until_done(one.submit(), within=30)
        assert (document.status, handler.began) == ("succeeded", [1])


def test_a_missing_document_is_created_by_the_outcome() -> None:
    """If the document is missing (S3 answers 403 for that), the terminal publish creates it."""
    with lab(single(ScriptedHandler().function()), workers=0) as one:
        operation_id = one.submit()
        one.system.store._objects.clear()
        one.system.start_worker()
        one.system.advance(2)
        document = one.document(operation_id)
        assert (document.status, document.revision) == ("succeeded", 1)
        one.assert_settled(operation_id)


def test_a_missing_document_that_cannot_be_created_for_long() -> None:
    """If creating the document fails too, the message stays until it works, and the handler does not run again."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        one.system.store._objects.clear()
        one.on_store.fail("create", times=30)
        one.system.start_worker()
        one.system.advance(300)
        assert (one.system.store._objects, one.messages) == ({}, 1)
        one.system.advance(700)
        assert one.document(operation_id).status == "succeeded"
        assert handler.began == [1]
        one.assert_settled(operation_id)


def test_a_document_that_exists_and_cannot_be_read() -> None:
    """If the create shows that a 403 was a missing permission, the message is given back and finished once that is granted."""
    handler = ScriptedHandler()
    with lab(single(handler.function()), workers=0) as one:
        operation_id = one.submit()
        hidden = dict(one.system.store._objects)
        one.system.store._objects.clear()
        one.on_store.fail("create", times=1000, error=DocumentExists("it is there"))
        one.system.start_worker()
        one.system.advance(20)
        assert (one.system.store._objects, one.messages) == ({}, 1)
        one.system.store._objects.update(hidden)
        document = one.until_done(operation_id, within=60)
        assert (document.status, document.revision, handler.began) == ("succeeded", 2, [1])
        one.assert_settled(operation_id)


def test_a_fault_in_offpoll_does_not_lose_the_message() -> None:
    """An unexpected exception gives the message back, and the next delivery finishes the operation."""
    handler = ScriptedHandler()
    with lab(single(handler.function())) as one:
        one.on_records.fail("decide", error=ZeroDivisionError("a bug"))
        operation_id = one.submit()
        document = one.until_done(operation_id, within=120)
        assert (document.status, document.attempt) == ("succeeded", 2)
        one.assert_settled(operation_id)


def test_handler_stopped_is_not_swallowed() -> None:
    """After a stop, `progress()` unwinds a plain handler past its own `except Exception`."""
    caught = []

    def handle(number: int, operation: Operation) -> int:
        operation.progress(0.1)
        stop()
        try:
            operation.progress(0.2)
        except Exception as error:
            caught.append(error)
        except HandlerStopped:
            caught.append("stopped")
            raise
        return 1

    with lab(single(handle)) as one:

        def stop() -> None:
            worker = one.system._workers[0][0]
            for job in worker._jobs:
                job.stop(Stop.LOST)

        one.submit()
        one.system.advance(1)
        assert caught == ["stopped"]
        assert one.messages == 1


@pytest.mark.parametrize("how", ["a handler's Fail", "attempts spent", "a dead letter"])
def test_an_input_that_no_record_can_keep(how: str) -> None:
    """If another producer's message is larger than a table's item, a failed operation still ends, without its input."""
    handler = ScriptedHandler(*([Fail("no", "No.")] if how == "a handler's Fail" else []), seconds=100)
    with lab(single(handler.function(), attempts=1), workers=0) as one:
        operation_id = one.submit()
        refuse_large_items(one)
        (held,) = one.system.queue._held.values()
        held.envelope = replace(held.envelope, body='"' + "x" * 500_000 + '"')
        submission = Message.from_envelope(held.envelope).submission
        if how != "a handler's Fail":
            expires_at = submission.created_at + timedelta(days=14)
            one.system.run(one.system.records.claim(submission, seen=0, token="died", lease=1, expires_at=expires_at))
            one.system.advance(2)
        if how == "a dead letter":
            one.system.run(one.system.dead_letters.send(held.envelope))
            one.system.queue._held.clear()
        one.system.start_worker()
        document = one.until_done(operation_id, within=200)
        record = one.record(operation_id)
        assert record is not None
        assert (document.status, record.input, len(handler.began) < 2) == ("failed", None, True)
        one.assert_settled(operation_id)


def refuse_large_items(one: Lab) -> None:
    """Let the records refuse an item over 400 KiB, as DynamoDB does."""
    decide = one.system.records.decide

    async def limited(*args: Any, input: bytes | None = None, **kwargs: Any) -> Update:
        if input is not None and len(input) > 400 * 1024:
            raise DependencyRefused("DynamoDB", "Item size has exceeded the maximum allowed size", code="ValidationException")
        return await decide(*args, input=input, **kwargs)

    one.system.records.decide = limited  # type: ignore[method-assign]
