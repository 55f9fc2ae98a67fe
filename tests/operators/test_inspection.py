"""Inspecting an operation: what is read, what a repair publishes and leaves alone, and what an outage hides."""

from __future__ import annotations

import pytest
from tests.support.inspections import NOBODY, claim, decide, handle, inspector, look, repair, said, text
from tests.support.lab import lab, single

from offpoll.document import Document
from offpoll.errors import ConfigurationError, DependencyRefused
from offpoll.operation import Outcome, Status
from offpoll.records import Claim


def test_an_unknown_operation() -> None:
    """An operation with neither a document nor a record is reported as unknown."""
    with lab(single(handle), workers=0) as one:
        found = look(one, NOBODY)
        assert (found.found, found.kind, said(found), found.advice) == (False, None, (False, None), "")
        assert "no such operation" in text(found)


def test_an_operation_of_another_owner() -> None:
    """The inspection names the owner in the record, says no more about the operation, and repairs nothing."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED))
        found = one.system.run(inspector(one).repair(operation_id, owner="ada"))
        assert (said(found), found.repaired, found.advice) == ((False, None), False, "")
        assert "belongs to the owner 'public'" in text(found)
        assert one.on_store.count("create", "replace") == 1


def test_something_else_under_the_key() -> None:
    """If something other than a status document is stored under the key, a repair says so and does not overwrite it."""
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
    """The document is read first, so an end in between looks like a document that lags, not like an end without a record."""
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


@pytest.mark.parametrize("missing", [False, True])
def test_a_repair(missing: bool) -> None:
    """A repair publishes an outcome that the document does not show, or recreates the document, and then looks again."""
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
def test_a_repair_shows_a_result_only_if_its_kind_does(shows: bool) -> None:
    """Only a kind says whether to publish results, so without the app a succeeded operation is not repaired."""
    with lab(single(handle, show_result=shows), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.SUCCEEDED, result="7"))
        with pytest.raises(ConfigurationError, match="MODULE:APP"):
            repair(one, operation_id)
        assert one.document(operation_id).status == "queued"
        found = repair(one, operation_id, known=True)
        assert (said(found), one.document(operation_id).result) == ((True, "nothing"), 7 if shows else None)


def test_a_repair_of_what_has_not_ended() -> None:
    """Without an outcome a repair publishes nothing, so readers keep the poll plan that they follow."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        before = one.document(operation_id)
        claim(one, operation_id)
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((True, "lease"), False)
        assert one.document(operation_id) == before


@pytest.mark.parametrize("ended", [False, True])
def test_the_store_does_not_answer(ended: bool) -> None:
    """Without the store the inspection shows the record, but cannot tell whether an outcome is published."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED)) if ended else claim(one, operation_id)
        one.on_store.down()
        found = look(one, operation_id)
        assert (said(found), len(found.faults)) == ((None, None if ended else "lease"), 1)
        assert found.found


def test_the_records_do_not_answer() -> None:
    """Without the records the inspection shows the document, concludes nothing from it, and repairs nothing."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_records.down()
        found = repair(one, operation_id)
        assert (said(found), len(found.faults), found.repaired, found.at) == ((None, None), 1, False, None)
        assert found.document == one.document(operation_id)


def test_the_queue_does_not_answer() -> None:
    """The inspection does not call a message lost if it could not read the queue's counters."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_queue.fail("depth", error=DependencyRefused("SQS", "no"))
        found = look(one, operation_id)
        assert (said(found), found.queue, found.no_message) == ((True, "delivery"), None, False)
        assert [type(each) for each in found.faults] == [DependencyRefused]


def test_a_configuration_error() -> None:
    """A configuration error is raised, not shown as an outage."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.on_records.fail("get", error=ConfigurationError("no credentials"))
        with pytest.raises(ConfigurationError, match="no credentials"):
            look(one, operation_id)


def test_a_document_is_read_as_stored() -> None:
    """An inspection shows the document exactly as readers get it."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        assert look(one, operation_id).document == Document.from_bytes(one.system.store._objects[f"status/public/{operation_id}"])
