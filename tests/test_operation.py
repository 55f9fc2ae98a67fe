"""Operations: statuses and their order, valid names, outcomes and records, and the progress that a handler reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from offpoll.errors import HandlerStopped
from offpoll.operation import (
    TERMINAL,
    TRANSITIONS,
    Operation,
    Outcome,
    Progress,
    Record,
    Status,
    Submission,
    is_kind,
    is_operation_id,
    is_owner,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SUBMISSION = Submission(operation_id="a" * 32, kind="order", owner="public", status_key="k", digest=None, base_url="", created_at=NOW)


def test_terminal_statuses_have_no_successor() -> None:
    """Nothing follows succeeded, failed or canceled; every other status leads to each of them."""
    assert {"succeeded", "failed", "canceled"} == TERMINAL
    assert all(after >= TERMINAL for status, after in TRANSITIONS.items() if status not in TERMINAL)


def test_every_status_is_in_the_table() -> None:
    """The table has all five statuses, and nothing returns to queued."""
    assert set(TRANSITIONS) == set(Status)
    assert not any(Status.QUEUED in after for after in TRANSITIONS.values())


@pytest.mark.parametrize("text", ["", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "a" * 32 + "\n", "\u0660" * 32])
def test_texts_that_are_no_operation_id(text: str) -> None:
    """Only 32 lowercase hex digits are an operation's id."""
    assert not is_operation_id(text)


@pytest.mark.parametrize(("text", "valid"), [("order", True), ("a", True), ("a-b_2", True), ("a" * 64, True), ("a" * 65, False),
                                             ("", False), ("Order", False), ("2a", False), ("a/b", False), ("a\n", False)])  # fmt: skip
def test_kinds(text: str, valid: bool) -> None:
    """A kind is a lowercase letter followed by letters, digits, `_` and `-`."""
    assert is_kind(text) is valid


@pytest.mark.parametrize(("text", "valid"), [("x", True), ("Zoë@example.com / 7", True), ("o" * 256, True), ("o" * 257, False), ("", False),
                                             ("a\x00", False), ("a\n", False), ("\ud800", False), ("\uffff", False)])  # fmt: skip
def test_owners(text: str, valid: bool) -> None:
    """An owner is 1 to 256 characters that fit into a message attribute."""
    assert is_owner(text) is valid


def test_an_outcome_is_terminal() -> None:
    """An outcome needs a terminal status."""
    with pytest.raises(ValueError, match="not terminal"):
        Outcome(status=Status.RUNNING)


def test_a_records_status() -> None:
    """A record is queued before its first claim, running after it, and then has its outcome's status."""
    assert Record(submission=SUBMISSION, expires_at=NOW).status is Status.QUEUED
    assert Record(submission=SUBMISSION, expires_at=NOW, attempt=1).status is Status.RUNNING
    done = Record(submission=SUBMISSION, expires_at=NOW, attempt=1, outcome=Outcome(status=Status.CANCELED))
    assert (done.status, done.done) == (Status.CANCELED, True)


def operation(**functions: Any) -> Operation:
    return Operation(id="a" * 32, kind="order", owner="public", created_at=datetime(2030, 1, 1, tzinfo=UTC), **functions)


@pytest.mark.parametrize(("given", "kept"), [(0.5, 0.5), (-1, 0.0), (7, 1.0), (float("inf"), 1.0), (True, 1.0), (None, None)])
def test_fractions_are_clamped(given: Any, kept: float | None) -> None:
    """A fraction outside 0 to 1 is clamped."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(given, "x")
    assert reported == [Progress(fraction=kept, message="x")]


def test_nan_is_refused() -> None:
    """NaN is the handler's mistake and is refused where the handler makes it."""
    with pytest.raises(ValueError, match="not a number"):
        operation().progress(float("nan"))


def test_a_message_becomes_text() -> None:
    """Any object passed as message is published as text, so that everything in a document has a JSON form."""
    reported: list[Progress] = []
    operation(_report=reported.append).progress(message=datetime(2030, 1, 1, tzinfo=UTC))  # type: ignore[arg-type]
    assert reported[0].message == "2030-01-01 00:00:00+00:00"


def test_a_stopped_handler_reports_nothing() -> None:
    """Once the handler has to stop, `progress` raises and reports nothing."""
    reported: list[Progress] = []

    def stop() -> None:
        raise HandlerStopped

    with pytest.raises(HandlerStopped):
        operation(_report=reported.append, _checkpoint=stop).progress(0.5)
    assert reported == []
