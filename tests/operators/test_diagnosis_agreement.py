"""Whether document and record agree, and what a diagnosis says if they do not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.inspections import claim, decide, handle, look, overwrite, repair, said, text
from tests.support.lab import lab, single

from offpoll.operation import Outcome, Status


def test_another_prefix() -> None:
    """If the workers publish under another prefix than this environment reads, the inspection says so."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.service.dependencies.board.prefix = "other"
        found = look(one, operation_id)
        assert said(found) == (False, None)
        assert "OFFPOLL_PREFIX" in text(found)


@pytest.mark.parametrize("changes", [{"digest": "0" * 64}, {"kind": "report"}], ids=lambda changes: next(iter(changes)))
def test_a_document_of_another_input(changes: dict[str, Any]) -> None:
    """A repair leaves a document of another input alone, whatever the record says."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        decide(one, operation_id, Outcome(status=Status.CANCELED))
        overwrite(one, operation_id, **changes)
        found = repair(one, operation_id)
        assert (said(found)[0], found.repaired) == (False, False)
        assert "another input" in text(found)
        assert one.document(operation_id).status == "queued"


def test_a_document_without_a_record() -> None:
    """If a document says more than `queued` and has no record, the inspection suspects the wrong table."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        one.system.run(one.system.service.dependencies.board.show(claim(one, operation_id)))
        one.system.records._records.clear()
        found = look(one, operation_id)
        assert said(found) == (False, "delivery")
        assert "OFFPOLL_RECORDS_TABLE" in text(found)


def test_a_record_without_a_document() -> None:
    """Only the end creates a missing document: the inspection says so, and a repair does not create one before."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        one.system.store._objects.clear()
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((False, "lease"), False)
        assert "the end will create it" in text(found)
        assert one.system.store._objects == {}


def test_an_end_that_the_record_does_not_know() -> None:
    """A terminal document beside an open record does not come from offpoll; a repair reports it and never overwrites it."""
    with lab(single(handle), workers=0) as one:
        operation_id = one.submit()
        claim(one, operation_id)
        overwrite(one, operation_id, status="succeeded")
        found = repair(one, operation_id)
        assert (said(found), found.repaired) == ((False, "lease"), False)
        assert one.document(operation_id).status == "succeeded"


def test_a_document_that_is_ahead() -> None:
    """If the document shows a later attempt than the record, the inspection suspects that the item was deleted."""
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
    """If a terminal document shows another outcome than the record, a repair names what differs and overwrites nothing."""
    with lab(single(handle)) as one:
        operation_id = one.submit(-1)
        one.until_done(operation_id)
        overwrite(one, operation_id, **changes)
        before = one.document(operation_id)
        found = repair(one, operation_id)
        assert (said(found), found.repaired, found.advice) == ((False, "nothing"), False, "")
        assert next(iter(changes)) in text(found)
        assert one.document(operation_id) == before
