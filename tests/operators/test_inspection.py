"""Inspecting an operation: what is said of each state in which it can be met, and what a repair does and leaves alone."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.lab import Lab, lab, single

from offpoll.document import Document
from offpoll.errors import ConfigurationError, DependencyRefused
from offpoll.operation import Outcome, Record, Status
from offpoll.operators.inspection import Inspection, Inspector
from offpoll.records import Claim, Undecided

NOBODY = "a" * 32


async def handle(number: int) -> int:
    await asyncio.sleep(5)
    if number < 0:
        raise ValueError(number)
    return number


def inspector(one: Lab, *, known: bool = False) -> Inspector:
    service = one.system.service
    return Inspector(dependencies=service.dependencies, window=service.settings.message_window, kinds=service.kinds if known else {})


def look(one: Lab, operation_id: str, *, owner: str = "public", known: bool = False) -> Inspection:
    return one.system.run(inspector(one, known=known).inspect(operation_id, owner=owner))


def repair(one: Lab, operation_id: str, *, known: bool = False) -> Inspection:
    return one.system.run(inspector(one, known=known).repair(operation_id, owner="public"))


def claim(one: Lab, operation_id: str, *, seen: int = 0) -> Record:
    """Claim it as a worker does, for 30 s."""
    submission = one.system.service.dependencies.board.submission_of(one.document(operation_id), owner="public")
    expires_at = submission.created_at + timedelta(days=14)
    update = one.system.run(one.system.records.claim(submission, seen=seen, token=f"t{seen}", lease=30, expires_at=expires_at))
    assert update.applied
    assert update.record is not None
    return update.record


def decide(one: Lab, operation_id: str, outcome: Outcome) -> Record:
    """Record an outcome that no document shows yet."""
    record = claim(one, operation_id)
    update = one.system.run(one.system.records.decide(record.submission, outcome, guard=Undecided(), expires_at=record.expires_at))
    assert update.record is not None
    return update.record


def said(found: Inspection) -> tuple[bool | None, str | None]:
    """Return whether they agree, and what is waited for."""
    return (found.agreement and found.agreement.agree), (found.waits and found.waits.what.value)


def text(found: Inspection) -> str:
    return f"{found.agreement and found.agreement.text} / {found.waits} / {found.advice}"


def overwrite(one: Lab, operation_id: str, **changes: Any) -> None:
    """Change the stored document behind offpoll's back."""
    document = replace(one.document(operation_id), **changes)
    one.system.store._objects[f"status/public/{operation_id}"] = document.to_bytes()


# --- what is waited for ----------------------------------------------------------------------------


def test_nobody_has_claimed_it() -> None:
    """Queued and no record: it waits for a delivery, and if there is no message, repeating the POST sends one."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        found = look(one, operation_id)
        assert (said(found), found.kind, found.faults) == ((True, "delivery"), "order", ())
        assert found.record is None
        assert found.queue is not None
        assert (found.queue.visible, found.no_message) == (1, False)
        assert "begins attempt 1" in text(found)
        assert "the same POST with the same Idempotency-Key" in found.advice


def test_a_submit_that_died_before_its_message() -> None:
    """No queue holds any message: that is seen, and the advice is what finishes the operation."""
    with lab(single(handle)) as one:
        one.on_queue.fail("send")
        with pytest.raises(Exception, match="injected"):
            one.submit(3, key="k")
        (key,) = one.system.store._objects
        found = look(one, key.rpartition("/")[2])
        assert (said(found), found.no_message) == ((True, "delivery"), True)
        assert "the same POST with the same Idempotency-Key" in found.advice
        assert one.until_done(one.submit(3, key="k")).status == "succeeded"


def test_a_worker_holds_it() -> None:
    """It waits for the lease of whoever holds it, and says until when; the document may still say `queued`."""
    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.system.advance(1)
        found, record = look(one, operation_id), one.record(operation_id)
        assert record is not None
        assert said(found) == (True, "lease")
        assert found.waits is not None
        assert found.waits.until == record.lease_until
        assert "received by that worker" in found.waits.message
        assert found.advice == ""


def test_a_backoff() -> None:
    """After an exception nobody may begin for a while, and nobody holds it meanwhile."""
    with lab(single(handle), backoff=100) as one:
        operation_id = one.submit(-1)
        one.system.advance(6)
        found, record = look(one, operation_id), one.record(operation_id)
        assert record is not None
        assert said(found) == (True, "backoff")
        assert found.waits is not None
        assert found.waits.until == record.lease_until
        assert "given back" in found.waits.message


def test_a_lapsed_lease() -> None:
    """Its worker is gone: the next delivery begins the next attempt, and the message shows up again by itself."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.advance(31)
        found = look(one, operation_id)
        assert said(found) == (True, "delivery")
        assert found.waits is not None
        assert "let its lease lapse" in found.waits.message
        assert "begins attempt 2, unless the attempts of its kind are spent" in found.waits.text
        assert "begins attempt 2" in text(look(one, operation_id, known=True))
        assert "unless" not in text(look(one, operation_id, known=True))


def test_spent_attempts() -> None:
    """Where the kind is known, so is that no attempt is left."""
    with lab(single(handle, attempts=1), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.advance(31)
        assert "decides that it failed (attempts_exhausted)" in text(look(one, operation_id, known=True))


def test_an_operation_that_is_too_old() -> None:
    """What waited longer than the message window is not begun any more."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.system.advance(11 * 86_400)
        assert "decides that it failed (expired)" in text(look(one, operation_id))


@pytest.mark.parametrize(
    ("shown", "advised"), [("queued", "the same POST with the same Idempotency-Key"), ("running", "cancel it at the API")]
)
def test_a_lost_message(shown: str, advised: str) -> None:
    """A repeated submit sends a message again only while the document is queued; after that nothing but a cancel ends the operation."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        record = claim(one, operation_id)
        if shown == "running":
            one.system.run(one.system.service.dependencies.board.show(record))
        one.system.queue._held.clear()
        one.system.advance(31)
        found = look(one, operation_id)
        assert (said(found), found.no_message) == ((True, "delivery"), True)
        assert advised in found.advice


@pytest.mark.parametrize("where", ["queue", "dead_letters"])
def test_a_message_may_be_anywhere(where: str) -> None:
    """A message in either queue, waiting, hidden or delayed, may be the one: nobody is told that it is lost."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        record = claim(one, operation_id)
        one.system.run(one.system.service.dependencies.board.show(record))
        (envelope,) = one.system.queue.peek()
        one.system.queue._held.clear()
        queue = getattr(one.system, where)
        one.system.run(queue.send(envelope, delay=60))
        assert (look(one, operation_id).no_message, look(one, operation_id).advice) == (False, "")
        one.system.advance(61)
        assert one.system.run(queue.receive(limit=1, wait=0))
        assert (look(one, operation_id).no_message, look(one, operation_id).advice) == (False, "")


@pytest.mark.parametrize(("number", "status", "advised"), [(1, "succeeded", ""), (-1, "failed", "offpoll resubmit")])
def test_an_end(number: int, status: str, advised: str) -> None:
    """Nothing is waited for; a failed one can be submitted again."""
    with lab(single(handle)) as one:
        operation_id = one.submit(number)
        one.until_done(operation_id)
        found = look(one, operation_id)
        assert said(found) == (True, "nothing")
        assert found.record is not None
        assert found.record.status == status
        assert advised in found.advice
        assert bool(found.advice) == bool(advised)


def test_an_operation_whose_record_has_expired() -> None:
    """Its document outlives it for two days: that is no fault, and nothing follows."""
    with lab(single(handle)) as one:
        operation_id = one.submit()
        one.until_done(operation_id)
        one.system._workers[0][0].drain()
        one.system.advance(15 * 86_400)
        assert said(look(one, operation_id)) == (True, "nothing")


# --- whether they agree ----------------------------------------------------------------------------


def test_an_unknown_operation() -> None:
    """Neither document nor record."""
    with lab(single(handle), workers=0) as one:
        found = look(one, NOBODY)
        assert (found.found, found.kind, said(found), found.advice) == (False, None, (False, None), "")
        assert "no such operation" in text(found)


def test_an_operation_of_somebody_else() -> None:
    """The record tells whose it is; nothing is said of what the caller did not ask for, and nothing repaired."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED))
        found = one.system.run(inspector(one).repair(operation_id, owner="ada"))
        assert (said(found), found.repaired, found.advice) == ((False, None), False, "")
        assert "belongs to the owner 'public'" in text(found)
        assert one.on_store.count("create", "replace") == 1


def test_another_prefix() -> None:
    """Who looks under another prefix than the workers publish to is told so."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.service.dependencies.board.prefix = "other"
        found = look(one, operation_id)
        assert said(found) == (False, None)
        assert "OFFPOLL_PREFIX" in text(found)


@pytest.mark.parametrize("changes", [{"digest": "0" * 64}, {"kind": "report"}], ids=lambda changes: next(iter(changes)))
def test_a_document_of_another_input(changes: dict[str, Any]) -> None:
    """It is left alone, whatever the record says."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED))
        overwrite(one, operation_id, **changes)
        found = repair(one, operation_id)
        assert (said(found)[0], found.repaired) == (False, False)
        assert "another input" in text(found)
        assert one.document(operation_id).status == "queued"


def test_a_document_without_a_record() -> None:
    """A document that says more than `queued` has a record, or this is the wrong table."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.system.run(one.system.service.dependencies.board.show(claim(one, operation_id)))
        one.system.records._records.clear()
        found = look(one, operation_id)
        assert said(found) == (False, "delivery")
        assert "OFFPOLL_RECORDS_TABLE" in text(found)


def test_a_record_without_a_document() -> None:
    """Before the end nothing creates one, so readers find nothing: that is said, and a repair does not create one either."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.store._objects.clear()
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((False, "lease"), False)
        assert "the end will create it" in text(found)
        assert one.system.store._objects == {}


def test_an_end_that_the_record_does_not_know() -> None:
    """A terminal document beside an open record is nobody's doing here; it is told, never overwritten."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        overwrite(one, operation_id, status="succeeded")
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((False, "lease"), False)
        assert one.document(operation_id).status == "succeeded"


def test_a_document_that_is_ahead() -> None:
    """A document of a later attempt than the record has seen: the item was lost, and the operation begun anew."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        overwrite(one, operation_id, status="running", attempt=2)
        found = look(one, operation_id)
        assert said(found) == (False, "lease")
        assert "was the item deleted" in text(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "succeeded", "error": None},
        {"attempt": 9},
        {"error": {"code": "other", "message": "?"}},
        {"result": 7},
        {"finished_at": None},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_two_ends(changes: dict[str, Any]) -> None:
    """A terminal document that shows something else than the recorded outcome: said, with what differs, and not overwritten."""
    with lab(single(handle)) as one:
        operation_id = one.submit(-1)
        one.until_done(operation_id)
        overwrite(one, operation_id, **changes)
        before = one.document(operation_id)
        found = repair(one, operation_id)
        assert (said(found), found.repaired, found.advice) == ((False, "nothing"), False, "")
        assert next(iter(changes)) in text(found)
        assert one.document(operation_id) == before


def test_something_else_under_the_key() -> None:
    """What is no status document is said to be none, whatever the record knows, and is not overwritten."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED))
        one.system.store._objects[f"status/public/{operation_id}"] = b"broken"
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((False, None), False)
        assert f"status/public/{operation_id} is no status document" in text(found)
        one.on_records.down()
        assert said(look(one, operation_id)) == (False, None)
        assert one.system.store._objects[f"status/public/{operation_id}"] == b"broken"


def test_an_end_between_the_two_reads() -> None:
    """The document is read first: an end in between is a document that lags, not one that ended without a record."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        record = claim(one, operation_id)

        async def end() -> None:
            outcome = Outcome(status=Status.SUCCEEDED, result="1")
            held = Claim(attempt=1, token="t0")
            update = await one.system.records.decide(record.submission, outcome, guard=held, expires_at=record.expires_at)
            assert update.record is not None
            await one.system.service.dependencies.board.show(update.record)

        one.on_records.meanwhile("get", end)
        found = look(one, operation_id)
        assert found.agreement is not None
        assert (found.agreement.repairable, found.record is not None and found.record.status) == (True, "succeeded")


# --- repair ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [False, True])
def test_a_repair(missing: bool) -> None:
    """A document that lags behind an outcome, or is gone, shows it then; the inspection says what is true afterwards."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        error = {"code": "out_of_stock", "message": "There is none left."}
        decide(one, operation_id, Outcome(status=Status.FAILED, error=error))
        if missing:
            one.system.store._objects.clear()
        before = look(one, operation_id)
        assert said(before) == (False, "delivery")
        assert "--repair" in before.advice
        assert one.on_store.count("replace") == 0
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((True, "nothing"), True)
        assert (one.document(operation_id).status, one.document(operation_id).error) == ("failed", error)


@pytest.mark.parametrize("shows", [False, True])
def test_a_repair_shows_a_result_only_where_its_kind_does(shows: bool) -> None:
    """Without the service nobody knows whether it may, so a succeeded operation is not repaired without."""
    with lab(single(handle, show_result=shows), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.SUCCEEDED, result="7"))
        with pytest.raises(ConfigurationError, match="MODULE:APP"):
            repair(one, operation_id)
        assert one.document(operation_id).status == "queued"
        found = repair(one, operation_id, known=True)
        assert (said(found), one.document(operation_id).result) == ((True, "nothing"), 7 if shows else None)


def test_a_repair_of_what_has_not_ended() -> None:
    """Without an outcome there is nothing to publish: a plan that readers follow is not taken from them."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        before = one.document(operation_id)
        claim(one, operation_id)
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((True, "lease"), False)
        assert one.document(operation_id) == before


# --- outages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [False, True])
def test_the_store_does_not_answer(ended: bool) -> None:
    """The record is shown; of an outcome nobody can tell whether it is published."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED)) if ended else claim(one, operation_id)
        one.on_store.down()
        found = look(one, operation_id)
        assert (said(found), len(found.faults)) == ((None, None if ended else "lease"), 1)
        assert found.found


def test_the_records_do_not_answer() -> None:
    """The document is shown, and nothing is concluded from it; nothing is repaired."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_records.down()
        found = repair(one, operation_id)
        assert (said(found), len(found.faults), found.repaired, found.at) == ((None, None), 1, False, None)
        assert found.document == one.document(operation_id)


def test_the_queue_does_not_answer() -> None:
    """Nobody concludes from a counter that could not be read that a message is lost."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_queue.fail("depth", error=DependencyRefused("SQS", "no"))
        found = look(one, operation_id)
        assert (said(found), found.queue, found.no_message) == ((True, "delivery"), None, False)
        assert [type(each) for each in found.faults] == [DependencyRefused]


def test_a_configuration_that_cannot_be_used() -> None:
    """It is raised, not shown as an outage."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_records.fail("get", error=ConfigurationError("no credentials"))
        with pytest.raises(ConfigurationError, match="no credentials"):
            look(one, operation_id)


def test_a_document_is_read_as_stored() -> None:
    """What an inspection shows is the document as readers get it."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        assert look(one, operation_id).document == Document.from_bytes(one.system.store._objects[f"status/public/{operation_id}"])
