"""The status document: its form, limits and rank, and how a record is projected onto it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offpoll.document import MAX_BYTES, Document, Estimate, PollHint, links, project, queued
from offpoll.errors import MalformedDocument
from offpoll.limits import MAX_BASE_URL, MAX_MESSAGE, json_error
from offpoll.operation import Outcome, Progress, Record, Status, Submission

NOW = datetime(2030, 1, 1, 12, 30, 15, 123000, tzinfo=UTC)
SUBMISSION = Submission(
    operation_id="0123456789abcdef" * 2,
    kind="order",
    owner="public",
    status_key="status/public/0123456789abcdef0123456789abcdef",
    digest="d" * 64,
    base_url="https://api.example.com",
    created_at=NOW,
)
RECORD = Record(submission=SUBMISSION, attempt=1, token="t", lease_until=NOW, started_at=NOW, expires_at=NOW + timedelta(days=14))
HINTS: dict[str, Any] = {"estimate": Estimate(earliest=NOW, mean=NOW, latest=NOW), "poll": PollHint(not_before=NOW, interval=1234.567)}


def decided(status: Status, *, attempt: int = 1, **outcome: Any) -> Record:
    return replace(RECORD, attempt=attempt, finished_at=NOW, outcome=Outcome(status=status, **outcome))


def fields(**changes: Any) -> dict[str, Any]:
    return {**queued(SUBMISSION, expires_at=NOW, **HINTS).to_dict(), **changes}


def test_round_trip() -> None:
    """A document that is written and read again is unchanged."""
    document = project(RECORD, before=None, updated_at=NOW, progress=Progress(fraction=0.4, message="packing"), **HINTS)
    assert Document.from_bytes(document.to_bytes()) == document


def test_wire_form() -> None:
    """Instants are RFC 3339 in UTC with milliseconds, `done` is written out, and links are absolute."""
    written = json.loads(queued(SUBMISSION, expires_at=NOW, **HINTS).to_bytes())
    assert written["spec"] == "offpoll/1"
    assert written["created_at"] == "2030-01-01T12:30:15.123Z"
    assert written["done"] is False
    assert written["links"] == {
        "self": f"https://api.example.com/order/{SUBMISSION.operation_id}",
        "status_link": f"https://api.example.com/order/{SUBMISSION.operation_id}/status-link",
        "cancel": f"https://api.example.com/order/{SUBMISSION.operation_id}/cancel",
    }


def test_unknown_status_is_not_done() -> None:
    """A status from a newer writer counts as not done, whatever its `done` says."""
    assert not Document.from_dict(fields(status="paused", done=True)).done


def test_unknown_fields_survive_a_rewrite() -> None:
    """A rewrite keeps the fields that a newer writer added."""
    before = Document.from_dict(fields(priority={"level": 3}))
    after = project(decided(Status.SUCCEEDED), before=before, updated_at=NOW)
    assert json.loads(after.to_bytes())["priority"] == {"level": 3}


def test_a_record_may_follow_an_unknown_status() -> None:
    """A status unknown to this version does not block later records."""
    assert project(RECORD, before=Document.from_dict(fields(status="paused")), updated_at=NOW).status == "running"


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": "offpoll/2"},
        {"spec": None},
        {"created_at": "2030-01-01T00:00:00"},
        {"created_at": "0001-01-01T00:00:00+23:59"},
        {"created_at": 5},
        {"revision": float("inf")},
        {"revision": "many"},
        {"id": 7},
        {"progress": []},
        {"progress": {"message": 3}},
        {"poll": {"interval": 2}},
        {"links": ["a"]},
        {"links": {"self": None}},
        {"error": 3},
        {"digest": 3},
    ],
    ids=str,
)
def test_malformed(changes: dict[str, Any]) -> None:
    """Another spec, or a field of the wrong type, raises MalformedDocument and no other error."""
    with pytest.raises(MalformedDocument):
        Document.from_dict(fields(**changes))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 4000, b" " * (MAX_BYTES + 1)])
def test_bytes_that_are_not_a_document(body: bytes) -> None:
    """Bytes that are not a document of at most 4 KiB are refused as malformed."""
    with pytest.raises(MalformedDocument):
        Document.from_bytes(body)


def test_missing_field_is_malformed() -> None:
    """Every required field has to be present."""
    for name in ("id", "kind", "status", "revision", "attempt", "created_at", "updated_at"):
        with pytest.raises(MalformedDocument, match=name):
            Document.from_dict({key: value for key, value in fields().items() if key != name})


def test_rank() -> None:
    """Done outranks attempts, and attempts outrank revisions."""
    running = Document.from_dict(fields(status="running", attempt=9, revision=9))
    done = Document.from_dict(fields(status="failed", attempt=1, revision=1))
    later = Document.from_dict(fields(status="running", attempt=10, revision=1))
    assert done.rank > later.rank > running.rank


def test_projection_of_an_outcome_drops_the_future() -> None:
    """A done document has no progress, estimate or poll hint, whatever is passed. Times and attempt come from the record."""
    record = decided(Status.FAILED, attempt=3, error={"code": "broken", "message": "it broke"})
    document = project(record, before=Document.from_dict(fields(revision=6)), updated_at=NOW, progress=Progress(fraction=1.0), **HINTS)
    assert (document.progress, document.estimate, document.poll) == (None, None, None)
    assert (document.status, document.attempt, document.revision, document.finished_at) == ("failed", 3, 7, NOW)
    assert document.error == {"code": "broken", "message": "it broke"}


@pytest.mark.parametrize("terminal", ["succeeded", "failed", "canceled"])
def test_nothing_follows_a_terminal_document(terminal: str) -> None:
    """Projecting a record onto a done document is refused: the caller has a bug."""
    with pytest.raises(ValueError, match="may not follow"):
        project(RECORD, before=Document.from_dict(fields(status=terminal)), updated_at=NOW)


def test_result_is_shown_only_by_option() -> None:
    """The document omits the result unless the service opts in, and always omits a large one."""
    small, large = decided(Status.SUCCEEDED, result='{"n":1}'), decided(Status.SUCCEEDED, result=json.dumps("x" * 2050))
    assert project(small, before=None, updated_at=NOW).result is None
    assert project(small, before=None, updated_at=NOW, show_result=True).result == {"n": 1}
    assert project(large, before=None, updated_at=NOW, show_result=True).result is None


def test_the_result_yields_to_unknown_fields() -> None:
    """If unknown fields and a result do not both fit, the result is dropped: readers can get it elsewhere."""
    before = Document.from_dict(fields(note="n" * 1500))
    after = project(decided(Status.SUCCEEDED, result=json.dumps("x" * 2000)), before=before, updated_at=NOW, show_result=True)
    assert after.unknown == {"note": "n" * 1500}
    assert after.result is None
    assert len(after.to_bytes()) <= MAX_BYTES


def test_no_links_without_a_base_url() -> None:
    """If the API's address is unknown or too long, a document has no links."""
    assert links(replace(SUBMISSION, base_url="")) == {}
    assert links(replace(SUBMISSION, base_url="https://" + "a" * MAX_BASE_URL)) == {}


@given(st.text(max_size=300))
def test_messages_fit(message: str) -> None:
    """A message is cut to its limit in bytes; one that fits is left alone."""
    fitted = Progress(fraction=1 / 3, message=message).fitted()
    size = len(json.dumps(fitted.message)) - 2
    assert size <= MAX_MESSAGE
    assert fitted.fraction == 0.3333
    if len(json.dumps(message)) - 2 <= MAX_MESSAGE:
        assert fitted.message == message
    else:
        assert size > MAX_MESSAGE - 24  # no more is cut than necessary
    assert fitted.fitted() == fitted


longest = st.text(max_size=6000) | st.sampled_from(["\U0001f600" * 900, "\x00" * 3000, "é" * 3000, "a" * 3000, '"' * 3000])


@settings(max_examples=300)
@given(
    message=longest,
    code=longest,
    detail=longest,
    member=longest,
    result=st.none() | longest,
    base=st.integers(0, 600),
    status=st.sampled_from([Status.SUCCEEDED, Status.FAILED, Status.CANCELED, None]),
)
def test_every_document_fits(
    message: str, code: str, detail: str, member: str, result: str | None, base: int, status: Status | None
) -> None:
    """With everything at its maximum a document has at most 4 KiB and can be read back, whatever a handler reports."""
    submission = replace(SUBMISSION, kind="k" * 64, digest="d" * 128, base_url="https://" + "h" * base if base else "")
    record = replace(RECORD, submission=submission, attempt=100)
    if status is not None:
        error = json_error({"code": code, "message": detail, "member": member})
        outcome = Outcome(status=status, error=error, result=None if result is None else json.dumps(result))
        record = replace(record, finished_at=NOW, outcome=outcome)
    before = Document.from_dict(fields(revision=10**9, extra=member[:2000]))
    for each in (None, before):
        document = project(
            record, before=each, updated_at=NOW, progress=Progress(fraction=0.123456789, message=message), show_result=True, **HINTS
        )
        assert len(document.to_bytes()) <= MAX_BYTES
        assert Document.from_bytes(document.to_bytes()) == document
